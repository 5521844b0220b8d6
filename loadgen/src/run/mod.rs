//! One run: arrivals drawn from a seed, played by nodes in processes of their own, judged by this one.
//!
//! # Layout
//!
//! - `plan`: what is to be done; `settings`: from the command line. `schedule`: arrivals, drawn from the seed.
//! - `stage`: the servers; `postgres`, `etcd`: those of other systems.
//! - `coordinator`: leads; `crew` are its workers, `court` hears them, `inflict` does them harm and `faults` keeps the log
//!   of it, `archive` merges its histograms, `live` shows how it goes, `waiting` who waits,
//!   `metrics` serves it to Prometheus.
//! - `watch`: whether anybody wants to see it.
//! - `worker`: plays nodes; `pacer` releases arrivals on time, `alarm` wakes it and the holders, `node` lives through a
//!   lease for each, `probe` takes down how long things took, `packing` makes that small, `outbox` sends it all.
//! - `priority`: what can wait makes way for what cannot.
//! - `link`: the language that both sides speak.
//! - `calibration`, `usage`: what the measuring itself takes.

mod alarm;
mod archive;
mod calibration;
mod coordinator;
mod court;
mod crew;
pub(crate) mod endpoints;
mod environment;
mod etcd;
mod faults;
mod gate;
mod inflict;
pub(crate) mod interrupt;
pub(crate) mod link;
mod live;
mod metrics;
mod node;
mod outbox;
mod pacer;
mod packing;
mod perform;
pub(crate) mod plan;
mod postgres;
mod preflight;
pub(crate) mod priority;
pub(crate) mod probe;
mod schedule;
pub(crate) mod settings;
pub(crate) mod stage;
mod summary;
mod usage;
mod waiting;
pub(crate) mod watch;
pub(crate) mod worker;

pub(crate) use perform::{Played, RunError, play, run};
