//! What is known about one grant once it has ended.

use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

/// One grant from the call of its acquisition to its last trace.
///
/// Two beliefs follow from it, and they are never mixed. The *contract belief* is what the lock promised. The *acting
/// belief* also holds the things done by a holder that slept through its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantRecord {
    /// Unique within the run.
    pub(crate) grant_id: u64,
    /// The node that held the lease.
    pub(crate) node: u32,
    /// The name that was locked.
    pub(crate) key: u32,
    /// The fencing token; `None` for locks that have none.
    pub(crate) token: Option<u64>,
    /// When the acquisition was called, waiting and retries included.
    pub(crate) call_ns: u64,
    /// When the lease was in the user's hands.
    pub(crate) granted_ns: u64,
    /// The holder's final deadline, after all renewals; `None` when it believes until it releases.
    pub(crate) valid_until_ns: Option<u64>,
    /// When the holder was told that the lease is over.
    pub(crate) told_lost_ns: Option<u64>,
    /// When release was called.
    pub(crate) release_call_ns: Option<u64>,
    /// When release returned.
    pub(crate) release_done_ns: Option<u64>,
    /// The last protected act; `granted_ns` when there was none.
    pub(crate) last_act_ns: u64,
    /// What became of the release.
    pub(crate) release: ReleaseOutcome,
    /// The holder was told that the lease is lost while a majority still held it for this holder.
    pub(crate) lost_false: bool,
}

/// What became of a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReleaseOutcome {
    /// Release was never called: the lease was lost, or the run ended first.
    #[default]
    NotCalled,
    /// The lease was the caller's own and is gone, or was over already and nothing was removed.
    Clean,
    /// The release removed a lock that belonged to somebody else.
    Foreign,
    /// Nobody knows: timeout or broken connection.
    Unknown,
}

/// The id of a node's `number`th grant: unique among all nodes of a run, on whichever machine each is played.
pub(crate) fn grant_id(node: u32, number: u32) -> u64 {
    u64::from(node) << 32 | u64::from(number)
}

/// The node whose grant has this id.
pub(crate) fn node_of(grant_id: u64) -> u32 {
    u32::try_from(grant_id >> 32).unwrap_or(u32::MAX)
}

impl GrantRecord {
    /// From the grant to the deadline, the loss notice or the call of release, whichever comes first; without end
    /// where none of them came.
    pub(crate) fn contract_belief(&self) -> Range<u64> {
        self.granted_ns..self.contract_end_ns().unwrap_or(u64::MAX)
    }

    /// From the grant to the last act, that instant included.
    pub(crate) fn acting_belief(&self) -> Range<u64> {
        self.granted_ns..self.last_act_ns.max(self.granted_ns).saturating_add(1)
    }

    /// From the grant to the end of either belief: the time in which a fault could do harm.
    pub(crate) fn hold(&self) -> RangeInclusive<u64> {
        let acting_until_ns = self.last_act_ns.max(self.granted_ns);
        self.granted_ns..=self.contract_end_ns().unwrap_or(acting_until_ns).max(acting_until_ns)
    }

    /// How long the holder acted on a lease that was over by its own deadline.
    pub(crate) fn acted_late_ns(&self) -> Option<u64> {
        self.last_act_ns.checked_sub(self.valid_until_ns?).filter(|&late_ns| late_ns > 0)
    }

    fn contract_end_ns(&self) -> Option<u64> {
        [self.valid_until_ns, self.told_lost_ns, self.release_call_ns].into_iter().flatten().min()
    }
}

/// An acquisition that won nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    /// The node that asked.
    pub(crate) node: u32,
    /// The name that it asked for.
    pub(crate) key: u32,
    /// When the acquisition was called.
    pub(crate) call_ns: u64,
    /// When it gave up.
    pub(crate) end_ns: u64,
    /// Nobody knows whether a lease was taken.
    pub(crate) unknown: bool,
}
