//! How far the referee may judge: nothing that began earlier can still be reported.

use std::collections::BTreeMap;

/// The lowest call time that each worker may still report on.
///
/// A worker reports the earliest call among its acquisitions in flight and its open grants, or the time of the report
/// when it has none. A worker that is paused does not report, so judgement waits for it, and memory grows with the
/// length of the pause and no further.
#[derive(Debug, Default)]
pub(crate) struct Watermarks {
    low_ns: BTreeMap<u32, u64>,
}

impl Watermarks {
    /// A worker has begun, and may report on calls from `at_ns` on; or it reports anew.
    pub(crate) fn report(&mut self, worker: u32, low_ns: u64) {
        let known = self.low_ns.entry(worker).or_default();
        *known = low_ns.max(*known);
    }

    /// A worker has sent its last record.
    pub(crate) fn finish(&mut self, worker: u32) {
        self.low_ns.remove(&worker);
    }

    /// The horizon for [`super::Referee::advance`]; `None` when no worker is left.
    pub(crate) fn horizon_ns(&self) -> Option<u64> {
        self.low_ns.values().min().copied()
    }
}
