//! How the nodes got on with each other: hand-overs, waiting, and each node's share.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use hdrhistogram::Histogram;

use super::record::GrantRecord;
use crate::measure::{Latency, new_histogram};

/// Measures hand-overs of one name, from the call of a release to the next grant.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    release_call_ns: Option<u64>,
}

impl Handover {
    /// Takes the name's next grant; how long its hand-over took, if it was waiting when the one before was released.
    pub(crate) fn next(&mut self, grant: &GrantRecord) -> Option<u64> {
        let released_ns = std::mem::replace(&mut self.release_call_ns, grant.release_call_ns)?;
        let was_waiting = grant.call_ns < released_ns && released_ns <= grant.granted_ns;
        was_waiting.then(|| grant.granted_ns - released_ns)
    }
}

/// Counts the acquisitions of each name that are under way at once.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Not yet swept: `(call_ns, end_ns, key)`, the earliest call first.
    pending: BinaryHeap<Reverse<(u64, u64, u32)>>,
    /// Per name, the ends of those under way where the sweep stands.
    under_way: HashMap<u32, BinaryHeap<Reverse<u64>>>,
    max: u64,
}

impl Waiting {
    /// An acquisition, won or not, from its call to its end.
    pub(crate) fn add(&mut self, key: u32, call_ns: u64, end_ns: u64) {
        self.pending.push(Reverse((call_ns, end_ns, key)));
    }

    /// Sweeps over the acquisitions called before `horizon_ns`.
    pub(crate) fn advance(&mut self, horizon_ns: u64) {
        while let Some(&Reverse((call_ns, end_ns, key))) =
            self.pending.peek().filter(|next| next.0.0 < horizon_ns)
        {
            self.pending.pop();
            let ends = self.under_way.entry(key).or_default();
            while ends.peek().is_some_and(|end| end.0 <= call_ns) {
                ends.pop();
            }
            ends.push(Reverse(end_ns));
            self.max = self.max.max(u64::try_from(ends.len()).unwrap_or(u64::MAX));
        }
    }

    /// The most acquisitions of one name that were under way at once.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// How many things are remembered.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.pending.len() + self.under_way.values().map(BinaryHeap::len).sum::<usize>()
    }
}

/// What each node asked for and got.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Per node: acquisitions asked for, and granted.
    nodes: BTreeMap<u32, (u64, u64)>,
    handoff_ns: Histogram<u64>,
}

impl Shares {
    pub(crate) fn new() -> Self {
        Self { nodes: BTreeMap::new(), handoff_ns: new_histogram() }
    }

    /// One acquisition of a node, won or not.
    pub(crate) fn add(&mut self, node: u32, granted: bool) {
        let (asked, won) = self.nodes.entry(node).or_default();
        *asked += 1;
        *won += u64::from(granted);
    }

    /// One hand-over.
    pub(crate) fn add_handoff(&mut self, length_ns: u64) {
        self.handoff_ns.saturating_record(length_ns);
    }

    /// Hand-overs so far.
    pub(crate) fn handoff_us(&self) -> Latency {
        Latency::of(&self.handoff_ns)
    }

    /// Jain's index, `(sum x)^2 / (n x sum x^2)`, over the nodes' granted parts of what they asked for: 1 when all fare
    /// alike, `1/n` when one gets everything, nothing when nobody got anything.
    pub(crate) fn jain_fairness(&self) -> Option<f64> {
        let shares = || self.nodes.values().map(|&(asked, granted)| granted as f64 / asked as f64);
        let sum: f64 = shares().sum();
        let sum_of_squares: f64 = shares().map(|share| share * share).sum();
        (sum_of_squares > 0.0).then(|| sum * sum / (self.nodes.len() as f64 * sum_of_squares))
    }
}
