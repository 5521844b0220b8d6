//! The referee's findings, as they stand under `safety` in `run.json`.

use serde::{Deserialize, Serialize};

use super::count::Count;
use crate::measure::Latency;

/// The referee's findings. What must be 0 and what is only reported depends on the lock: see
/// [`Safety::broken_promises`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Safety {
    /// Grants whose hold met an active fault, of all grants. A zero elsewhere is worth as much as this is not.
    pub(crate) exposure: Count,
    /// Grants handed out while another lease on the name was valid by its holder's own word, of all grants.
    pub(crate) contract_overlaps: Count,
    /// The most leases on one name that were valid at once.
    pub(crate) contract_holders_max: u64,
    /// For how long contract overlaps lasted.
    pub(crate) contract_overlap_us: Latency,
    /// Grants handed out while another holder of the name had not yet done its last act, of all grants.
    pub(crate) acting_overlaps: Count,
    /// The most holders of one name that were acting at once.
    pub(crate) acting_holders_max: u64,
    /// For how long acting overlaps lasted.
    pub(crate) acting_overlap_us: Latency,
    /// Writes by a superseded holder, of all writes.
    pub(crate) stale_writes_attempted: Count,
    /// Of those, what a resource without a fence accepts: all of them.
    pub(crate) stale_writes_accepted_unfenced: Count,
    /// Of those, what got past the fence; nothing for a lock without tokens, which cannot be fenced.
    pub(crate) stale_writes_accepted_fenced: Option<Count>,
    /// Read-modify-writes that overwrote somebody else's without having read it, on the resource without a fence.
    pub(crate) lost_updates_unfenced: Count,
    /// The same past the fence.
    pub(crate) lost_updates_fenced: Option<Count>,
    /// Grants with a smaller token than one that was handed out before they were called.
    pub(crate) token_regressions: Option<Count>,
    /// Grants with a token that another grant of the name carries.
    pub(crate) token_duplicates: Option<Count>,
    /// The events of `acting_overlaps` as a rate over all grants.
    pub(crate) double_acquisition_rate: Count,
    /// From the deadline to the last act of those that acted on a lease that was over.
    pub(crate) late_notice_us: Latency,
    /// Leases reported lost though a majority still held them, of all leases reported lost.
    pub(crate) lost_false: Count,
    /// Acquisitions and releases of which nobody knows whether they happened, of all.
    pub(crate) unknown_outcomes: Count,
    /// Releases that removed somebody else's lock, of all releases.
    pub(crate) foreign_releases: Count,
    /// What clocks cannot tell, where the run was shared among machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undecided: Option<Undecided>,
}

/// Grants of which nobody can tell whether they overlapped, and which are therefore not counted as overlaps: another
/// machine's lease on the name ended so near to their beginning, before or after it, that the machines' clocks may
/// disagree about the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undecided {
    /// By how much the clocks of two machines may disagree, in microseconds.
    pub(crate) margin_us: f64,
    /// Where leases ended by contract, of all grants.
    pub(crate) contract_overlaps: Count,
    /// Where holders did their last act, of all grants.
    pub(crate) acting_overlaps: Count,
}

impl Safety {
    /// What a lock that promises exclusion has broken, in sentences; empty when it kept its word.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let must_be_zero = [
            (Some(&self.contract_overlaps), "grants while another lease on the name was still valid"),
            (self.stale_writes_accepted_fenced.as_ref(), "stale writes past the fence"),
            (self.token_regressions.as_ref(), "tokens smaller than one handed out before"),
            (self.token_duplicates.as_ref(), "tokens handed out twice"),
            (Some(&self.foreign_releases), "releases of somebody else's lock"),
        ];
        must_be_zero
            .into_iter()
            .filter_map(|(count, what)| count.map(|count| (count.count, count.of, what)))
            .filter(|&(count, _, _)| count > 0)
            .map(|(count, of, what)| format!("{count} {what} (of {of})"))
            .collect()
    }
}
