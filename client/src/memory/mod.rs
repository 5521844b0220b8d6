//! Endpoints in this process's memory, for users' tests and for a first look: the operations of real ones, and every way to
//! fail at a call.
//!
//! ```
//! use std::time::Duration;
//! use leasehold::Client;
//! use leasehold::memory::MemoryEndpoints;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! let endpoints = MemoryEndpoints::with_seed(3, 1)?;
//! let locks = Client::builder().memory(&endpoints).ttl(Duration::from_secs(10)).connect().await?;
//! let lease = locks.lease("job").acquire().await?;
//! endpoints.servers().iter().for_each(|server| server.hang());
//! let reason = lease.lost().await; // forty seconds later, or at once where time is virtual
//! # assert_eq!(reason, leasehold::LossReason::Expired);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Time
//!
//! A client of endpoints in memory, and the endpoints with it, goes by the clock of tokio's timers. Where a test pauses that (`#[tokio::test(start_paused = true)]`, tokio's
//! feature `test-util`), all of it is virtual: an hour of renewals takes no longer than its computation. Timers count whole
//! milliseconds, so a shorter latency is one.
//!
//! # Chance
//!
//! With [`with_seed`](MemoryEndpoints::with_seed), latency, loss, owners and jitter follow from the seed, and on a current-thread runtime with its time
//! paused the whole run does: the same seed, the same history.
//!
//! # Layout
//!
//! [`store`]: what one endpoint keeps and answers, pure; `batch`, `waiting`, `keyspace`: its inside. [`MemoryServer`]: the process around
//! it, and its faults. `endpoint`: one client's connection, over which calls travel in order.

mod batch;
mod endpoint;
mod keyspace;
mod server;
pub mod store;
mod waiting;

use std::sync::Arc;

use self::endpoint::MemoryEndpoint;
pub use self::server::{MemoryServer, Snapshot};
use crate::chance::Chance;
use crate::clock::{self, Clock};
use crate::endpoint::Endpoint;
use crate::protocol::{Quorum, QuorumError};
use crate::scripts::Settings;

/// The wall clock where a seed fixes everything: 2024-01-01.
const SEEDED_WALL_US: u64 = 1_704_067_200_000_000;

/// A set of endpoints in memory. Clones share them, so that several clients can meet there.
#[derive(Clone, Debug)]
pub struct MemoryEndpoints {
    servers: Arc<[MemoryServer]>,
    clock: Clock,
    chance: Chance,
}

impl MemoryEndpoints {
    /// `count` endpoints that have never voted: clients may begin at once.
    ///
    /// # Errors
    /// The count must be odd, as for real servers.
    pub fn new(count: usize) -> Result<Self, QuorumError> {
        Self::start(count, Clock::timers(clock::wall_us()), Chance::System)
    }

    /// The same, with everything that is left to chance drawn from a seed, for these endpoints and for their clients. Wall clocks begin at one date
    /// then, so tokens of different runs can be equal.
    ///
    /// # Errors
    /// The count must be odd, as for real servers.
    pub fn with_seed(count: usize, seed: u64) -> Result<Self, QuorumError> {
        Self::start(count, Clock::timers(SEEDED_WALL_US), Chance::seeded(seed))
    }

    fn start(count: usize, clock: Clock, chance: Chance) -> Result<Self, QuorumError> {
        let quorum = Quorum::new(count)?;
        let servers = quorum.ids().map(|id| MemoryServer::start(id.index(), &clock, &chance)).collect();
        Ok(Self { servers, clock, chance })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Never: a set has at least one endpoint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// One of them, by place.
    #[must_use]
    pub fn server(&self, index: usize) -> Option<&MemoryServer> {
        self.servers.get(index)
    }

    /// All of them, in order.
    #[must_use]
    pub fn servers(&self) -> &[MemoryServer] {
        &self.servers
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) const fn chance(&self) -> &Chance {
        &self.chance
    }

    pub(crate) fn endpoints(&self, settings: &Settings) -> Vec<Arc<dyn Endpoint>> {
        let settings = Arc::new(settings.clone());
        let endpoint = |server: &MemoryServer| -> Arc<dyn Endpoint> {
            Arc::new(MemoryEndpoint::new(server.clone(), Arc::clone(&settings)))
        };
        self.servers.iter().map(endpoint).collect()
    }
}
