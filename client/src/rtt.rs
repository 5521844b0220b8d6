//! How long rounds take, and the TTL that follows from it.

use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;

use crate::clock::Clock;
use crate::protocol::Moment;
use crate::sync::{AtomicU64, Mutex, lock};

/// Rounds below this many say nothing about their 99th percentile.
const SAMPLES_MIN: u64 = 100;
/// How long one window is filled before it becomes the old one.
const WINDOW_MS: u64 = 30_000;
/// The percentile is computed anew after this many rounds, not after each.
const REFRESH: u64 = 32;
/// What a round is counted as at most.
const ROUND_US_MAX: u64 = 60_000_000;

/// A rolling histogram of the time to the deciding answer: two windows, of which the older is dropped.
pub(crate) struct RoundTimes {
    clock: Clock,
    windows: Mutex<Windows>,
    /// The 99th percentile in nanoseconds; zero while there are too few samples.
    p99_ns: AtomicU64,
}

struct Windows {
    current: Histogram<u32>,
    previous: Histogram<u32>,
    since: Moment,
    unread: u64,
}

impl RoundTimes {
    pub(crate) fn new(clock: &Clock) -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, ROUND_US_MAX, 2)
                .unwrap_or_else(|error| unreachable!("constant bounds: {error}"))
        };
        let windows = Windows { current: histogram(), previous: histogram(), since: clock.now(), unread: 0 };
        Self { clock: clock.clone(), windows: Mutex::new(windows), p99_ns: AtomicU64::new(0) }
    }

    /// Counts a round; one without a majority counts with the time after which it was given up.
    pub(crate) fn record(&self, round_ns: u64) {
        let mut windows = lock(&self.windows);
        windows.roll(self.clock.now());
        windows.current.saturating_record((round_ns / 1_000).max(1));
        windows.unread += 1;
        if windows.unread >= REFRESH || self.p99_ns.load(Ordering::Relaxed) == 0 {
            windows.unread = 0;
            self.p99_ns.store(windows.p99_ns(), Ordering::Relaxed);
        }
    }

    /// The 99th percentile, once there are enough samples.
    pub(crate) fn p99_ns(&self) -> Option<u64> {
        Some(self.p99_ns.load(Ordering::Relaxed)).filter(|&ns| ns > 0)
    }
}

impl Windows {
    fn roll(&mut self, now: Moment) {
        if now >= self.since.plus_ms(WINDOW_MS) {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.reset();
            self.since = now;
        }
    }

    /// The larger of the two windows' percentiles: a network that has just slowed is believed at once, one that has just
    /// recovered after a window.
    fn p99_ns(&self) -> u64 {
        if self.current.len() + self.previous.len() < SAMPLES_MIN {
            return 0;
        }
        let p99 =
            |window: &Histogram<u32>| if window.is_empty() { 0 } else { window.value_at_quantile(0.99) };
        p99(&self.current).max(p99(&self.previous)).saturating_mul(1_000)
    }
}
