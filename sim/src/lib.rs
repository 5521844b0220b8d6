//! Leases in virtual time: many hosts, endpoints and networks, what goes wrong with them, and a referee who sees it all.
//!
//! What is simulated is not a model of the client. The machines of [`leasehold::protocol`] run here as they run in
//! production, against the store that the script on real servers is proven equal to. Only the shell around them is
//! another: sockets, tasks and timers are events in one queue, and a seed fixes them all.
//!
//! # Layout
//!
//! * [`plan`]: what a seed fixes before its run; a list of faults that a shrinker can take from. Its `bias` is the corners to draw from.
//! * [`world`]: one run. Hosts, links, servers, network and faults, event by event.
//! * [`referee`]: records of its own, and what must hold.
//! * [`sabotage`]: rules that are broken on purpose, which the referee must find.
//! * [`swarm`]: many seeds at once. [`shrink`]: the least that still fails. [`controls`]: how many seeds each control needs.
//! * [`time`], [`random`], [`queue`]: clocks, chance and order.

pub mod controls;
mod hand_overs;
pub mod plan;
pub mod queue;
pub mod random;
pub mod referee;
pub mod sabotage;
mod server;
pub mod shrink;
pub mod swarm;
pub mod time;
pub mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
