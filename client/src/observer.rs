//! Word of what a client does, for metrics and logs.

use std::time::Duration;

use crate::LossReason;

/// Is told about attempts, renewals and losses. All methods default to nothing.
///
/// They are called on the client's own tasks: they must be quick and must not block.
pub trait Observer: Send + Sync + 'static {
    /// One attempt to acquire has ended.
    fn on_attempt(&self, report: &AttemptReport) {
        let _ = report;
    }

    /// One renewal round has ended.
    fn on_renewal(&self, report: &RenewalReport) {
        let _ = report;
    }

    /// A lease was lost.
    fn on_loss(&self, report: &LossReport) {
        let _ = report;
    }
}

pub(crate) struct NoObserver;

impl Observer for NoObserver {}

/// One attempt to acquire.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptReport {
    /// The lease's name.
    pub name: String,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// From before the first request was sent to the decision.
    pub latency: Duration,
    /// From the first answer to the one that decided; `None` if none came.
    pub first_to_deciding: Option<Duration>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// The lease was handed out.
    Won,
    /// Somebody else holds it.
    Held,
    /// Too few endpoints voted.
    NoQuorum,
    /// Something else stands under the key.
    NotALock,
    /// The majority came too late.
    ValidityExhausted,
    /// The caller dropped the future.
    Cancelled,
}

/// One renewal round.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RenewalReport {
    /// The lease's name.
    pub name: String,
    /// Whether a majority confirmed in time.
    pub succeeded: bool,
    /// Whether it was a shadow that was confirmed: the lease lives on, but degraded.
    pub shadow: bool,
    /// From before the first request was sent to the decision.
    pub latency: Duration,
    /// What was left to the old deadline at the decision.
    pub slack: Duration,
}

/// A lost lease.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LossReport {
    /// The lease's name.
    pub name: String,
    /// Why.
    pub reason: LossReason,
    /// How long after the deadline the holder was told; zero if before.
    pub after_deadline: Duration,
}
