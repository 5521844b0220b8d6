//! Histograms of a run's phases: recorded in a worker, shipped to the coordinator, merged without loss.

mod codec;
mod histogram;
mod latency;
mod phase;
mod recorder;
#[cfg(test)]
mod tests;
mod timeline;

pub(crate) use codec::{CodecError, decode, encode};
pub(crate) use histogram::new_histogram;
pub(crate) use latency::{Latency, Slack, percentile_us};
pub(crate) use phase::Phase;
pub(crate) use recorder::{EncodedInterval, Interval, PhaseSet, Recorder};
pub(crate) use timeline::Timeline;
