//! What tasks and threads share, wait on and are started by.
//!
//! In production that is std's and tokio's own. In the tests of the package `races/`, which builds this source a second time, it is
//! the explorer's, which decides at each lock, atomic, notification and timer who goes on: what is explored is the very code that
//! runs in production.
//!
//! Not in here, so not explored: Redis connections; channels and cancellation tokens, each operation of which counts as one step;
//! orders of memory weaker than one after the other.

#[cfg(all(test, feature = "races"))]
mod explored;

use std::sync::PoisonError;

#[cfg(all(test, feature = "races"))]
pub(crate) use self::explored::*;
#[cfg(not(all(test, feature = "races")))]
pub(crate) use self::production::*;

#[cfg(not(all(test, feature = "races")))]
mod production {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
    pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};

    pub(crate) use tokio::sync::Notify;
    pub(crate) use tokio::{spawn, time};

    /// Whether the caller is where timers ring.
    pub(crate) fn has_timers() -> bool {
        tokio::runtime::Handle::try_current().is_ok()
    }
}

/// Locks a mutex. A panic elsewhere does not poison it for others: machines are only changed by calls that do not panic
/// half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
