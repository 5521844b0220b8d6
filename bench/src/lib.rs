//! leasehold and its peers, measured side by side over the same three servers.
//!
//! # Layout
//!
//! * [`contender`]: what is measured: leasehold, the peer `rslock`, and the raw limit through two drivers.
//! * [`peer`]: peers of other languages, each in a process of its own.
//! * [`sample`]: one measurement of one contender under one load, closed loop.
//! * [`open_loop`]: many nodes at one rate, each acquisition counted from when it was due.
//! * [`contest`]: one hot name.
//! * [`report`]: samples of free locks as a table and as JSON, with ratios taken pair by pair. [`table`]: any other table.
//! * [`machine`]: where it was measured. [`arena`]: three servers, and where results are written.
//!
//! `benches/` puts them together, one file per question: `cycles` (free locks), `limits` (what a
//! call costs step by step, and full batches), `nodes` (many clients), `contention` (one
//! hot name), `outage` (one endpoint hung), `memory`. `benches/protocol.rs` measures the client's pure core and needs none of
//! this.

pub mod arena;
pub mod contender;
pub mod contest;
pub mod machine;
pub mod open_loop;
pub mod peer;
pub mod report;
pub mod sample;
pub mod table;
