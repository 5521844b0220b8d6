//! Whose clocks the times of a run were read from.

/// The machines that a run was shared among.
///
/// Times of one machine were read from one clock, and are compared exactly. Times of two machines were put on one line
/// afterwards and may each be off: what lies nearer together than the margin may have happened in either order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machines {
    count: u32,
    margin_ns: u64,
}

impl Machines {
    /// All that a run of one machine needs.
    pub(crate) const ONE: Self = Self { count: 1, margin_ns: 0 };

    /// So many, of which any two may disagree by up to `margin_ns`.
    pub(crate) fn sharing(count: u32, margin_ns: u64) -> Self {
        Self { count: count.max(1), margin_ns }
    }

    pub(crate) fn is_one(self) -> bool {
        self.count == 1
    }

    /// The machine that plays this node, counted from 0.
    pub(crate) fn playing(self, node: u32) -> u32 {
        node % self.count
    }

    /// By how much the times of two nodes may disagree.
    pub(crate) fn margin_ns(self, node: u32, other: u32) -> u64 {
        if self.playing(node) == self.playing(other) { 0 } else { self.margin_ns }
    }

    /// By how much any two nodes' times may.
    pub(crate) fn margin_max_ns(self) -> u64 {
        if self.is_one() { 0 } else { self.margin_ns }
    }
}
