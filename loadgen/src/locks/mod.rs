//! The locks that can be driven, all behind one face.

pub(crate) mod control;
pub(crate) mod etcd;
mod lease;
mod none;
pub(crate) mod postgres;
pub(crate) mod quorum;
mod redlock;
pub(crate) mod server;
mod setnx;

pub(crate) use none::NoLock;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use leasehold::memory::MemoryEndpoints;
use serde::{Deserialize, Serialize};

use crate::clock::time_until;
use crate::referee::ReleaseOutcome;
use crate::run::plan::{LockKind, Plan};
use crate::run::probe::Probe;

/// Between two tries of a lock that polls: 10 ms on average, spread so that waiters do not march in step.
const POLL_MEAN: Duration = Duration::from_millis(10);

/// What an acquisition comes to.
pub(crate) type Acquisition = Result<Box<dyn Held>, Failure>;

/// One node's own way to the lock: its own client, its own connections.
pub(crate) trait Lock: Send + Sync {
    /// Tries to get `name`, for at most about `wait` while somebody else holds it.
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition>;

    /// Ends the client.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A lease in hand.
pub(crate) trait Held: Send + Sync {
    /// The fencing token, if the lock has such a thing.
    fn token(&self) -> Option<u64>;

    /// The holder's deadline on the machine-wide clock as it stands now; nothing if it believes until it releases.
    fn valid_until_ns(&self) -> Option<u64>;

    /// What the lock says when asked whether the lease still holds.
    fn is_valid(&self) -> bool;

    /// Completes when the lock tells its holder that the lease is over; never for locks that do not tell.
    fn lost(&self) -> BoxFuture<'static, ()>;

    /// Gives the lock back.
    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome>;
}

/// Why an acquisition did not win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// Somebody else held the lock for as long as the acquisition was ready to wait.
    Held,
    /// Too few endpoints answered.
    NoQuorum,
    /// The lease was won with too little of it left.
    ValidityExhausted,
    /// Nobody knows: no answer in time, or the connection broke.
    Unknown,
    /// The lock refused for another reason.
    Refused,
}

impl Failure {
    /// All there are.
    pub(crate) const ALL: [Self; 5] =
        [Self::Held, Self::NoQuorum, Self::ValidityExhausted, Self::Unknown, Self::Refused];

    /// The reason as it stands in `run.json`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NoQuorum => "no_quorum",
            Self::ValidityExhausted => "validity_exhausted",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }
}

/// A node that could not get to its lock.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConnectError(pub(crate) String);

/// Connects one node.
pub(crate) async fn connect(
    plan: &Plan,
    node: u32,
    memory: Option<&MemoryEndpoints>,
    probe: &Probe,
) -> Result<Arc<dyn Lock>, ConnectError> {
    Ok(match plan.lock {
        LockKind::None => Arc::new(NoLock),
        LockKind::Setnx => Arc::new(setnx::Setnx::connect(plan, node, memory, probe.clone()).await?),
        LockKind::Control(control) => {
            Arc::new(control::Wrong::connect(control, plan, node, probe.clone()).await?)
        }
        LockKind::Lease => Arc::new(lease::LeaseLock::connect(plan, node, probe.clone()).await?),
        LockKind::Etcd => Arc::new(etcd::Etcd::connect(plan, node, probe.clone()).await?),
        LockKind::Postgres => Arc::new(postgres::Postgres::connect(plan, node, probe.clone()).await?),
        LockKind::Redlock => Arc::new(redlock::Redlock::connect(plan, node, probe.clone())),
        LockKind::Quorum => Arc::new(quorum::Quorum::connect(plan, node, memory, probe.clone()).await?),
    })
}

/// How long to sleep before the next try: uniform from nothing to twice the mean, cut off at the end of the wait;
/// nothing when the wait is over.
fn next_poll(wait_end_ns: u64) -> Option<Duration> {
    let left = time_until(wait_end_ns);
    let delay = POLL_MEAN.mul_f64(2.0 * rand::random::<f64>());
    (!left.is_zero()).then(|| delay.min(left))
}
