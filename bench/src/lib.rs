//! Whole cycles of acquire and release, measured side by side in one process over the same three servers.
//!
//! # Layout
//!
//! * [`contender`]: what is measured: leasehold, the peer `rslock`, and the raw limit.
//! * [`sample`]: one measurement of one contender under one load.
//! * [`report`]: many samples as a table and as JSON, with ratios taken pair by pair.
//! * [`machine`]: where it was measured.
//!
//! `benches/cycles.rs` puts them together; `benches/protocol.rs` measures the client's pure core and needs none of this.

pub mod contender;
pub mod machine;
pub mod report;
pub mod sample;
