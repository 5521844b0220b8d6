//! May the figures of a run be used, and what does the program answer to its caller?

use std::process::ExitCode;

use clap::ValueEnum as _;
use hdrhistogram::Histogram;

use super::run_json::Run;
use crate::run::plan::LockKind;

/// Late sending that is no more than this never spoils a run: it is the machine's own noise.
const LAG_TOLERATED_NS: u64 = 500_000;
/// What is measured must be at least so many times the late sending.
const ACQUIRE_PER_LAG_MIN: u64 = 10;
/// At least so many of a hundred due acquisitions must have been sent.
const SENT_PER_CENT_MIN: u64 = 99;

/// How well the sender kept its schedule, leaving out the arrivals whose node a fault was holding when they came due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Punctuality<'a> {
    /// Arrivals that were due.
    pub(crate) due: u64,
    /// Of those, the ones that were sent.
    pub(crate) sent: u64,
    /// [`crate::measure::Phase::SendLag`].
    pub(crate) send_lag: &'a Histogram<u64>,
    /// [`crate::measure::Phase::Acquire`].
    pub(crate) acquire: &'a Histogram<u64>,
}

impl Punctuality<'_> {
    /// Why the run's figures may not be used, in sentences; empty when they may.
    pub(crate) fn objections(&self) -> Vec<String> {
        [self.late(), self.short()].into_iter().flatten().collect()
    }

    fn late(&self) -> Option<String> {
        let lag_ns = self.send_lag.value_at_quantile(0.99);
        let acquire_ns = self.acquire.value_at_quantile(0.5);
        let too_late = lag_ns > LAG_TOLERATED_NS && lag_ns.saturating_mul(ACQUIRE_PER_LAG_MIN) > acquire_ns;
        too_late.then(|| {
            format!(
                "acquisitions were sent late: p99 of due-to-sent is {:.3} ms, over 0.5 ms and over a tenth of the \
                 acquisitions' p50 of {:.3} ms; lower the rate or give the machine more processors",
                lag_ns as f64 / 1e6,
                acquire_ns as f64 / 1e6,
            )
        })
    }

    fn short(&self) -> Option<String> {
        let too_few = self.sent.saturating_mul(100) < self.due.saturating_mul(SENT_PER_CENT_MIN);
        too_few.then(|| {
            format!(
                "only {} of {} due acquisitions were sent, less than 99 %; lower the rate",
                self.sent, self.due
            )
        })
    }
}

/// Whether a lock of this name answers for what the referee finds. One that this program does not know promises nothing
/// that it could hold against it.
pub(crate) fn promises_exclusion(lock: &str) -> bool {
    LockKind::from_str(lock, false).is_ok_and(LockKind::promises_exclusion)
}

/// What the program answers to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Fine,
    /// Wrong usage, or an environment in which nothing could be run.
    Usage,
    /// A threshold for latency or rate was missed.
    ThresholdMissed,
    /// A lock broke what it promises.
    SafetyViolated,
    /// The figures may not be used.
    Invalid,
}

impl Exit {
    /// The answer to one run.
    ///
    /// A broken promise is said first: that two nodes held one lock is a fact, however badly the load was kept. An
    /// invalid run comes next, because its latencies prove neither that a threshold was kept nor that it was missed.
    pub(crate) fn of(run: &Run, promises_safety: bool, threshold_missed: bool) -> Self {
        if promises_safety && !run.safety.broken_promises().is_empty() {
            Self::SafetyViolated
        } else if !run.valid {
            Self::Invalid
        } else if threshold_missed {
            Self::ThresholdMissed
        } else {
            Self::Fine
        }
    }

    /// The answer to several runs: the first of them in the order violated, invalid, missed.
    pub(crate) fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max_by_key(|exit| exit.urgency()).unwrap_or(Self::Fine)
    }

    /// The number that scripts rely on.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Usage => 1,
            Self::ThresholdMissed => 2,
            Self::SafetyViolated => 3,
            Self::Invalid => 4,
        }
    }

    const fn urgency(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::ThresholdMissed => 1,
            Self::Invalid => 2,
            Self::SafetyViolated => 3,
            Self::Usage => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
