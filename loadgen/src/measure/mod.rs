//! Histograms of a run's phases: recorded in a worker, shipped to the coordinator, merged without loss.
#![allow(dead_code, unused_imports, reason = "the run engine that uses these is not merged yet")]

mod histogram;
mod latency;
mod phase;

pub(crate) use histogram::{HIGH_NS, new_histogram};
pub(crate) use latency::{Latency, Slack, percentile_us};
pub(crate) use phase::Phase;
