//! One run on several machines, and its parts put together again.
//!
//! Every machine draws the same arrivals from the same seed and plays those of its own nodes, from the same moment on.
//! None hears of the others: each keeps what the referee needs, and `loadgen merge` judges all of it at once.
//!
//! # Layout
//!
//! - `shard`: which nodes are whose. `start`: the moment to begin at.
//! - `watch`: measures this machine's clock against those of the endpoints. `clock`: what the samples say.
//! - `ledger`: every grant, write, failure and fault of a shard, in a file. `part`: what else a shard's folder holds.
//! - `merge`: the command. `check`: whether these shards are one run. `judge`: the referee over all of them. `sum`: one
//!   run out of many.

mod check;
mod clock;
mod judge;
mod ledger;
mod merge;
mod part;
mod shard;
mod start;
mod sum;
mod watch;

pub(crate) use clock::ClockLog;
pub(crate) use ledger::{Entry, Ledger};
pub(crate) use merge::merge;
pub(crate) use part::{PART_FILE, PartFile, RECORDS_FILE};
pub(crate) use shard::Shard;
pub(crate) use start::StartAt;
pub(crate) use watch::{ClockError, ClockWatch};
