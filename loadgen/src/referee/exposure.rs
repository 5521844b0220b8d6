//! Which holds met a fault: a count of zero violations says little about runs in which nothing could go wrong.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Names a fault that [`Faults::begin`] was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FaultId(usize);

/// The stretches of time in which faults were active, as they were observed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    windows: BTreeMap<usize, Window>,
    next: usize,
}

#[derive(Debug)]
struct Window {
    /// The nodes that the fault touches; `None` when it touches all.
    nodes: Option<Vec<u32>>,
    began_ns: u64,
    ended_ns: Option<u64>,
}

impl Faults {
    /// A fault has become active, for some nodes or for all.
    pub(crate) fn begin(&mut self, nodes: Option<&[u32]>, at_ns: u64) -> FaultId {
        let window = Window { nodes: nodes.map(<[u32]>::to_vec), began_ns: at_ns, ended_ns: None };
        self.windows.insert(self.next, window);
        self.next += 1;
        FaultId(self.next - 1)
    }

    /// A fault is over.
    pub(crate) fn end(&mut self, fault: FaultId, at_ns: u64) {
        if let Some(window) = self.windows.get_mut(&fault.0) {
            window.ended_ns = Some(at_ns);
        }
    }

    /// Whether a hold of `node` met an active fault.
    pub(crate) fn met(&self, node: u32, hold: &RangeInclusive<u64>) -> bool {
        self.windows.values().any(|window| {
            window.nodes.as_ref().is_none_or(|nodes| nodes.contains(&node))
                && window.began_ns <= *hold.end()
                && window.ended_ns.is_none_or(|ended_ns| ended_ns >= *hold.start())
        })
    }

    /// No hold that begins before this will be asked about any more.
    pub(crate) fn forget(&mut self, before_ns: u64) {
        self.windows.retain(|_, window| window.ended_ns.is_none_or(|ended_ns| ended_ns >= before_ns));
    }
}
