//! Which holds met a fault: a count of zero violations says little about runs in which nothing could go wrong.

use std::ops::RangeInclusive;

/// Names a fault that [`Faults::begin`] was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FaultId(usize);

/// The stretches of time in which faults were active, as they were observed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    /// The one node that the fault touches; `None` when it touches all.
    node: Option<u32>,
    began_ns: u64,
    ended_ns: Option<u64>,
}

impl Faults {
    /// A fault has become active, for one node or for all.
    pub(crate) fn begin(&mut self, node: Option<u32>, at_ns: u64) -> FaultId {
        self.windows.push(Window { node, began_ns: at_ns, ended_ns: None });
        FaultId(self.windows.len() - 1)
    }

    /// A fault is over.
    pub(crate) fn end(&mut self, fault: FaultId, at_ns: u64) {
        if let Some(window) = self.windows.get_mut(fault.0) {
            window.ended_ns = Some(at_ns);
        }
    }

    /// Whether a hold of `node` met an active fault.
    pub(crate) fn met(&self, node: u32, hold: &RangeInclusive<u64>) -> bool {
        self.windows.iter().any(|window| {
            window.node.is_none_or(|target| target == node)
                && window.began_ns <= *hold.end()
                && window.ended_ns.is_none_or(|ended_ns| ended_ns >= *hold.start())
        })
    }
}
