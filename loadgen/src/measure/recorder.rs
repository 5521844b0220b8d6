//! Records in one worker, second by second.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::codec::{CodecError, encode};
use super::histogram::new_histogram;
use super::phase::Phase;

const SECOND_NS: u64 = 1_000_000_000;

/// The histograms of one worker's current second.
///
/// Recording is an index and an increment. At the turn of a second the histograms are set aside whole and not encoded:
/// that takes longer than a pacer can wait, and is for [`Interval::encode`] on a thread that has time.
#[derive(Debug)]
pub(crate) struct Recorder {
    origin_ns: u64,
    second: u32,
    phases: PhaseSet,
    closed: Vec<Interval>,
}

/// A histogram for every phase that has samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct PhaseSet {
    histograms: [Option<Histogram<u64>>; Phase::ALL.len()],
}

/// One second of one worker.
#[derive(Debug)]
pub(crate) struct Interval {
    second: u32,
    phases: PhaseSet,
}

/// One second of one worker, ready to travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EncodedInterval {
    /// Seconds since the start of the measured part.
    pub(crate) second: u32,
    /// The phases that have samples.
    pub(crate) phases: Vec<(Phase, String)>,
}

impl Recorder {
    /// Counts seconds from `origin_ns`, the start of the measured part on the clock that `at_ns` is read from.
    pub(crate) fn new(origin_ns: u64) -> Self {
        Self { origin_ns, second: 0, phases: PhaseSet::default(), closed: Vec::new() }
    }

    /// Records that `phase` took `length_ns`, as known at `at_ns`. What comes with an earlier time than another before
    /// it belongs to the second in which it became known.
    pub(crate) fn record(&mut self, phase: Phase, at_ns: u64, length_ns: u64) {
        let second = at_ns.saturating_sub(self.origin_ns) / SECOND_NS;
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        if second > self.second {
            self.close();
            self.second = second;
        }
        self.phases.record(phase, length_ns);
    }

    /// Takes the seconds that are over. They hold some 150 KiB a phase, so they should be taken every few seconds.
    pub(crate) fn take_closed(&mut self) -> Vec<Interval> {
        std::mem::take(&mut self.closed)
    }

    /// Takes all that is left; the run is over.
    pub(crate) fn finish(mut self) -> Vec<Interval> {
        self.close();
        self.closed
    }

    fn close(&mut self) {
        let phases = std::mem::take(&mut self.phases);
        if !phases.is_empty() {
            self.closed.push(Interval { second: self.second, phases });
        }
    }
}

impl Interval {
    /// Makes the second ready to travel.
    pub(crate) fn encode(&self) -> Result<EncodedInterval, CodecError> {
        let encoded = self.phases.iter().map(|(phase, histogram)| Ok((phase, encode(histogram)?)));
        Ok(EncodedInterval { second: self.second, phases: encoded.collect::<Result<_, CodecError>>()? })
    }
}

impl PhaseSet {
    /// Records a length; beyond a minute it counts as a minute.
    pub(crate) fn record(&mut self, phase: Phase, length_ns: u64) {
        self.entry(phase).saturating_record(length_ns);
    }

    /// Adds a histogram to a phase, without loss.
    pub(crate) fn merge(&mut self, phase: Phase, other: &Histogram<u64>) -> Result<(), CodecError> {
        Ok(self.entry(phase).add(other)?)
    }

    /// The histogram of a phase, if it has samples.
    pub(crate) fn get(&self, phase: Phase) -> Option<&Histogram<u64>> {
        self.histograms.get(phase.index())?.as_ref()
    }

    /// The phases that have samples, in the order of [`Phase::ALL`].
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Phase, &Histogram<u64>)> {
        Phase::ALL.into_iter().filter_map(|phase| Some((phase, self.get(phase)?)))
    }

    fn is_empty(&self) -> bool {
        self.histograms.iter().all(Option::is_none)
    }

    fn entry(&mut self, phase: Phase) -> &mut Histogram<u64> {
        self.histograms[phase.index()].get_or_insert_with(new_histogram)
    }
}
