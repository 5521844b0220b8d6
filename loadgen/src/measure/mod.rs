//! Histograms of a run's phases: recorded in a worker, shipped to the coordinator, merged without loss.
#![allow(dead_code, unused_imports, reason = "the run engine that uses these is not merged yet")]

mod codec;
mod histogram;
mod latency;
mod phase;
mod recorder;
#[cfg(test)]
mod tests;
mod timeline;

pub(crate) use codec::CodecError;
pub(crate) use histogram::{HIGH_NS, new_histogram};
pub(crate) use latency::{Latency, Slack, percentile_us};
pub(crate) use phase::Phase;
pub(crate) use recorder::{EncodedInterval, Interval, PhaseSet, Recorder};
pub(crate) use timeline::Timeline;
