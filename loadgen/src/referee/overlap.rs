//! Who held one name at once: a sweep over beliefs in the order of their beginning.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use hdrhistogram::Histogram;

use super::count::Count;
use super::record::GrantRecord;
use crate::measure::{Latency, new_histogram};

/// The beliefs about one name that are still open where the sweep stands.
///
/// Beliefs are half-open stretches of time and must come in the order of their beginning. What has ended before the
/// newest beginning can overlap nothing more and is forgotten, so memory is bounded by what is held at once.
#[derive(Debug, Default)]
pub(crate) struct Beliefs {
    /// By `(end_ns, grant_id)`: the first ends next, the last is the running maximum of the ends.
    open: BTreeMap<(u64, u64), Arc<GrantRecord>>,
}

/// A belief began while others were open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Of those others, the one that ends last.
    pub(crate) other: Arc<GrantRecord>,
    /// How long the two stand side by side.
    pub(crate) length_ns: u64,
}

impl Beliefs {
    /// Opens a grant's belief; tells of the overlap, if there is one, and how many holders there are now.
    pub(crate) fn begin(&mut self, grant: &Arc<GrantRecord>, belief: Range<u64>) -> (Option<Overlap>, u64) {
        if belief.is_empty() {
            return (None, 0);
        }
        while self.open.first_key_value().is_some_and(|(&(end_ns, _), _)| end_ns <= belief.start) {
            self.open.pop_first();
        }
        let overlap = self.open.last_key_value().map(|(&(end_ns, _), other)| Overlap {
            other: Arc::clone(other),
            length_ns: end_ns.min(belief.end) - belief.start,
        });
        self.open.insert((belief.end, grant.grant_id), Arc::clone(grant));
        (overlap, u64::try_from(self.open.len()).unwrap_or(u64::MAX))
    }

    /// How many things are remembered.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.open.len()
    }
}

/// The overlaps of all names.
#[derive(Debug)]
pub(crate) struct OverlapTally {
    count: u64,
    holders_max: u64,
    lengths_ns: Histogram<u64>,
}

impl OverlapTally {
    pub(crate) fn new() -> Self {
        Self { count: 0, holders_max: 0, lengths_ns: new_histogram() }
    }

    /// Counts what [`Beliefs::begin`] told.
    pub(crate) fn add(&mut self, overlap: Option<&Overlap>, holders: u64) {
        self.holders_max = self.holders_max.max(holders);
        if let Some(overlap) = overlap {
            self.count += 1;
            self.lengths_ns.saturating_record(overlap.length_ns);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn holders_max(&self) -> u64 {
        self.holders_max
    }

    /// The grants that began inside another belief, of all `grants`.
    pub(crate) fn of(&self, grants: u64) -> Count {
        Count::new(self.count, grants)
    }

    pub(crate) fn lengths(&self) -> Latency {
        Latency::of(&self.lengths_ns)
    }
}
