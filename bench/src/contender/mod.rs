//! The locks that are measured. Each uses one client on the runtime it is called on, and takes only free locks.

mod quorum;
mod raw;
mod rslock;

use std::time::Duration;

pub use quorum::Quorum;
pub use raw::{Batches, Driver, Fred, Raw, RedisRs, Rung, Step, Word};
pub use rslock::Rslock;

/// The same TTL for all.
pub const TTL: Duration = Duration::from_secs(5);

/// Why a measurement cannot go on. The names are free and the servers healthy: any failure spoils it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A lock under measurement.
pub trait Contender: Send + Sync + 'static {
    /// What an acquisition hands out.
    type Held: Send;

    /// How many locks one acquisition takes.
    const LOCKS: u64 = 1;

    /// Takes a free lock.
    fn acquire(&self, name: &str) -> impl Future<Output = Result<Self::Held, Failure>> + Send;

    /// Gives it back, and waits for as many confirmations as this lock waits for.
    fn release(&self, held: Self::Held) -> impl Future<Output = Result<(), Failure>> + Send;
}
