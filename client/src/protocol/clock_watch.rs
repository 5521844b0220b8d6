//! Does an endpoint's clock keep pace with the holder's? Its expiries follow it.

use super::time::{Moment, NS_PER_MS};

/// How old a sample is when it becomes the one that clocks are compared over, and how old that one may become.
const SPAN_MS: u64 = 5_000;

/// One endpoint's time, as of some moment between sending and receiving.
#[derive(Clone, Copy, Debug)]
struct Sample {
    sent: Moment,
    received: Moment,
    server_us: u64,
}

/// What a sample says of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It keeps pace, as far as the time that requests take lets anybody tell.
    Steady,
    /// It gained (or, negative, lost) so many microseconds more than the drift bound allows.
    Off {
        /// Beyond the bound.
        by_us: i64,
    },
}

/// Watches one endpoint's clock over one connection.
///
/// Compared are times that passed, never times of day: over the last 5 to 10 seconds, so that a step of more than 0.1 s is
/// seen, and a clock that runs fast or slow by a few per cent is.
#[derive(Clone, Debug, Default)]
pub struct ClockWatch {
    base: Option<Sample>,
    next: Option<Sample>,
}

impl ClockWatch {
    /// Takes an endpoint's time, that a request brought which was sent and answered at these moments.
    pub fn handle_sample(&mut self, sent: Moment, received: Moment, server_us: u64) -> Pace {
        let sample = Sample { sent, received, server_us };
        let pace = self.base.map_or(Pace::Steady, |base| compare(&base, &sample));
        if pace != Pace::Steady {
            // What comes next is compared with the clock as it is now.
            *self = Self { base: Some(sample), next: Some(sample) };
            return pace;
        }
        let old_enough =
            |kept: Option<Sample>| kept.is_none_or(|kept| received >= kept.received.plus_ms(SPAN_MS));
        if old_enough(self.next) {
            self.base = self.next.or(Some(sample));
            self.next = Some(sample);
        }
        pace
    }

    /// Forgets what was seen: behind a new connection may be another clock.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Whether more or less time passed there than can have passed here.
fn compare(base: &Sample, sample: &Sample) -> Pace {
    let us = |ns: u64| i64::try_from(ns / 1_000).unwrap_or(i64::MAX);
    let slack_us = us(2 * NS_PER_MS);
    let least_us = us(sample.sent.ns_since(base.received));
    let most_us = us(sample.received.ns_since(base.sent));
    let there_us = i64::try_from(sample.server_us).unwrap_or(i64::MAX)
        - i64::try_from(base.server_us).unwrap_or(i64::MAX);
    let (low_us, high_us) = (least_us - least_us / 100 - slack_us, most_us + most_us / 100 + slack_us);
    if there_us > high_us {
        Pace::Off { by_us: there_us - high_us }
    } else if there_us < low_us {
        Pace::Off { by_us: there_us - low_us }
    } else {
        Pace::Steady
    }
}
