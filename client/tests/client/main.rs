//! The client on real servers, which each test starts and stops itself; one file per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/script.rs"]
mod script;

mod addresses;
mod admission;
mod connecting;
mod dropped_at_each_poll;
mod dropped_futures;
mod drops;
mod exclusion;
mod failures;
mod fences;
mod forgetting;
mod identity;
mod loss;
mod memory;
mod memory_faults;
mod passwords;
mod release;
mod renewal;
mod rights;
mod rotation;
mod runtimes;
mod settings;
mod shortcut;
mod tls;
mod waiting;
