//! Merges what the workers recorded: a run's totals, and every second of it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::codec::{CodecError, decode, encode};
use super::histogram::new_histogram;
use super::latency::{Latency, Slack};
use super::phase::Phase;
use super::recorder::{EncodedInterval, PhaseSet};

/// All that was recorded in a run.
///
/// Totals are kept open; seconds are kept encoded, a few KiB each, so that an hour fits into memory.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    totals: PhaseSet,
    seconds: BTreeMap<(u32, Phase), String>,
}

impl Timeline {
    /// Adds one second of one worker; which worker comes first makes no difference.
    pub(crate) fn merge(&mut self, interval: EncodedInterval) -> Result<(), CodecError> {
        for (phase, text) in interval.phases {
            let mut histogram = decode(&text)?;
            self.totals.merge(phase, &histogram)?;
            let merged = match self.seconds.remove(&(interval.second, phase)) {
                None => text,
                Some(others) => {
                    histogram.add(decode(&others)?)?;
                    encode(&histogram)?
                }
            };
            self.seconds.insert((interval.second, phase), merged);
        }
        Ok(())
    }

    /// Adds all that another machine recorded, second by second of its own count.
    pub(crate) fn absorb(&mut self, other: &Self) -> Result<(), CodecError> {
        for (&(second, phase), text) in &other.seconds {
            self.merge(EncodedInterval { second, phases: vec![(phase, text.clone())] })?;
        }
        Ok(())
    }

    /// The phases' histograms over the whole run.
    pub(crate) fn totals(&self) -> &PhaseSet {
        &self.totals
    }

    /// The histogram of a phase over the whole run, empty where nothing was recorded.
    pub(crate) fn total(&self, phase: Phase) -> Histogram<u64> {
        self.totals.get(phase).cloned().unwrap_or_else(new_histogram)
    }

    /// A phase of the whole run in a few numbers.
    pub(crate) fn latency(&self, phase: Phase) -> Latency {
        self.totals.get(phase).map(Latency::of).unwrap_or_default()
    }

    /// The margin that renewals kept over the whole run.
    pub(crate) fn slack(&self) -> Slack {
        self.totals.get(Phase::RenewalSlack).map(Slack::of).unwrap_or_default()
    }

    /// The last second in which anything was recorded.
    pub(crate) fn last_second(&self) -> Option<u32> {
        self.seconds.last_key_value().map(|(&(second, _), _)| second)
    }

    /// A phase in one second, if it has samples there.
    pub(crate) fn second(&self, second: u32, phase: Phase) -> Option<Result<Histogram<u64>, CodecError>> {
        self.seconds.get(&(second, phase)).map(|text| decode(text))
    }

    /// Every second of every phase, in the order of time.
    pub(crate) fn seconds(&self) -> impl Iterator<Item = (u32, Phase, Result<Histogram<u64>, CodecError>)> {
        self.seconds.iter().map(|(&(second, phase), text)| (second, phase, decode(text)))
    }
}
