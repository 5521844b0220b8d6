//! What the endpoints of one client know of each other, shared between their couriers.

use tokio::sync::watch;

use crate::protocol::Quorum;
use crate::protocol::peers::{self, Clocks};
use crate::sync::{Mutex, lock};

/// The rules' table under a lock, and word of alarms about clocks.
pub(crate) struct Peers {
    table: Mutex<peers::Peers>,
    clocks: watch::Sender<Clocks>,
}

impl Peers {
    pub(crate) fn new(quorum: Quorum) -> Self {
        let table = peers::Peers::new(quorum);
        let clocks = watch::Sender::new(table.clocks());
        Self { table: Mutex::new(table), clocks }
    }

    /// Follows alarms about clocks.
    pub(crate) fn clocks(&self) -> watch::Receiver<Clocks> {
        self.clocks.subscribe()
    }

    /// Looks at the table, or changes it. What is new about clocks is passed on.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut peers::Peers) -> T) -> T {
        let mut table = lock(&self.table);
        let outcome = act(&mut table);
        let newest = table.clocks();
        // Still under the lock, so that word of two changes cannot arrive in the wrong order.
        self.clocks.send_if_modified(|clocks| std::mem::replace(clocks, newest) != newest);
        outcome
    }
}
