//! Who held one name at once: a sweep over beliefs in the order of their beginning.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use hdrhistogram::Histogram;

use super::count::Count;
use super::machines::Machines;
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

/// What a belief met when it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meeting {
    /// Others that were open, beyond what clocks may disagree by.
    pub(crate) overlap: Option<Overlap>,
    /// How many holders there are now, this one included.
    pub(crate) holders: u64,
    /// There is no such overlap, but another machine's belief ended so near to this beginning, before or after it, that
    /// their clocks cannot tell.
    pub(crate) undecided: bool,
}

impl Beliefs {
    /// Opens a grant's belief, and tells whom it met.
    pub(crate) fn begin(
        &mut self,
        grant: &Arc<GrantRecord>,
        belief: Range<u64>,
        machines: Machines,
    ) -> Meeting {
        if belief.is_empty() {
            return Meeting::default();
        }
        let margin_ns = machines.margin_max_ns();
        while self
            .open
            .first_key_value()
            .is_some_and(|(&(end_ns, _), _)| end_ns.saturating_add(margin_ns) <= belief.start)
        {
            self.open.pop_first();
        }
        let meeting =
            if machines.is_one() { self.all(&belief) } else { self.told_apart(grant, &belief, machines) };
        self.open.insert((belief.end, grant.grant_id), Arc::clone(grant));
        meeting
    }

    /// With one clock, all that are open.
    fn all(&self, belief: &Range<u64>) -> Meeting {
        let overlap = self.open.last_key_value().map(|(&(end_ns, _), other)| Overlap {
            other: Arc::clone(other),
            length_ns: end_ns.min(belief.end) - belief.start,
        });
        Meeting { overlap, holders: count(self.open.len()) + 1, undecided: false }
    }

    /// With several, those whose overlap is longer than their clocks may disagree by.
    fn told_apart(&self, grant: &GrantRecord, belief: &Range<u64>, machines: Machines) -> Meeting {
        let mut meeting = Meeting { holders: 1, ..Meeting::default() };
        for (&(end_ns, _), other) in &self.open {
            let margin_ns = machines.margin_ns(grant.node, other.node);
            let length_ns = end_ns.min(belief.end).saturating_sub(belief.start);
            if length_ns > margin_ns {
                meeting.holders += 1;
                meeting.overlap = Some(Overlap { other: Arc::clone(other), length_ns });
            } else {
                meeting.undecided |= margin_ns > 0;
            }
        }
        meeting.undecided &= meeting.overlap.is_none();
        meeting
    }

    /// How many things are remembered.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.open.len()
    }
}

fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// The overlaps of all names.
#[derive(Debug)]
pub(crate) struct OverlapTally {
    count: u64,
    undecided: u64,
    holders_max: u64,
    lengths_ns: Histogram<u64>,
}

impl OverlapTally {
    pub(crate) fn new() -> Self {
        Self { count: 0, undecided: 0, holders_max: 0, lengths_ns: new_histogram() }
    }

    /// Counts what [`Beliefs::begin`] told.
    pub(crate) fn add(&mut self, meeting: &Meeting) {
        self.holders_max = self.holders_max.max(meeting.holders);
        self.undecided += u64::from(meeting.undecided);
        if let Some(overlap) = &meeting.overlap {
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

    /// The grants of which nobody can tell whether they did, of all `grants`.
    pub(crate) fn undecided(&self, grants: u64) -> Count {
        Count::new(self.undecided, grants)
    }

    pub(crate) fn lengths(&self) -> Latency {
        Latency::of(&self.lengths_ns)
    }
}
