//! The clocks of this process. The protocol never reads one: it is told.

use std::sync::Arc;
// Not of `sync`: clocks are also read where nobody else can go on.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::protocol::Moment;
use crate::sync::{has_timers, time};

/// A monotonic clock that runs on while the machine is suspended, as the endpoints' clocks do.
#[cfg(target_os = "linux")]
const HOLDER_CLOCK: ClockId = ClockId::Boottime;
/// On macOS and the BSDs the monotonic clock itself counts suspended time.
#[cfg(not(target_os = "linux"))]
const HOLDER_CLOCK: ClockId = ClockId::Monotonic;

/// With the machine's clock, somebody looks at it at least this often: a timer does not count the time it is suspended.
const TIMER_TRUST_MS: u64 = 1_000;

/// The clocks that one client, its timers and its endpoints in memory go by.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The machine's, as real endpoints go by theirs.
    Machine,
    /// That of the runtime's timers, which a test may pause and wind on. For endpoints in memory: theirs is the same.
    Timers(Arc<Timers>),
}

/// A clock that follows the runtime's timers.
#[derive(Debug)]
pub(crate) struct Timers {
    origin: time::Instant,
    /// The wall clock at the origin.
    wall_us: u64,
    /// The latest moment that was told. A thread that is on no runtime does not see time that was wound on.
    latest_ns: AtomicU64,
}

/// The moment at which a clock of timers begins: late enough that what is long before can be told.
const TIMERS_ORIGIN_NS: u64 = 3_600_000_000_000;

impl Clock {
    /// A clock of timers that says `wall_us` now.
    pub(crate) fn timers(wall_us: u64) -> Self {
        let origin = time::Instant::now();
        Self::Timers(Arc::new(Timers { origin, wall_us, latest_ns: AtomicU64::new(TIMERS_ORIGIN_NS) }))
    }

    /// Now, on the holder's clock.
    pub(crate) fn now(&self) -> Moment {
        match self {
            Self::Machine => Moment::from_nanos(nanos(HOLDER_CLOCK)),
            Self::Timers(timers) => Moment::from_nanos(timers.now_ns()),
        }
    }

    /// Now, as users' monotonic clock has it.
    pub(crate) fn instant(&self) -> Instant {
        match self {
            Self::Machine => Instant::now(),
            Self::Timers(timers) => {
                let origin = timers.origin.into_std();
                origin + Duration::from_nanos(timers.now_ns() - TIMERS_ORIGIN_NS)
            }
        }
    }

    /// The wall clock in microseconds since 1970: a proposal for a token, never a measure of time.
    pub(crate) fn wall_us(&self) -> u64 {
        match self {
            Self::Machine => wall_us(),
            Self::Timers(timers) => timers.wall_us + (timers.now_ns() - TIMERS_ORIGIN_NS) / 1_000,
        }
    }

    /// Sleeps until a moment, where the caller is on a runtime; for ever elsewhere, where there is no timer.
    pub(crate) async fn sleep_until(&self, at: Moment) {
        if !has_timers() {
            std::future::pending::<()>().await;
        }
        time::sleep(Duration::from_nanos(at.ns_since(self.now()))).await;
    }

    /// The latest that a timer may be asked to ring.
    pub(crate) fn timer_end(&self) -> Moment {
        match self {
            Self::Machine => self.now().plus_ms(TIMER_TRUST_MS),
            Self::Timers(_) => Moment::from_nanos(u64::MAX),
        }
    }
}

impl Timers {
    fn now_ns(&self) -> u64 {
        let elapsed = time::Instant::now().saturating_duration_since(self.origin);
        let elapsed_ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let now_ns = elapsed_ns.saturating_add(TIMERS_ORIGIN_NS);
        now_ns.max(self.latest_ns.fetch_max(now_ns, Ordering::Relaxed))
    }
}

/// The machine's wall clock in microseconds since 1970.
pub(crate) fn wall_us() -> u64 {
    nanos(ClockId::Realtime) / 1_000
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
