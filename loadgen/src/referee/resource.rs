//! The protected resource: what the lock is there to protect, once with a fence and once without.
//!
//! Both take writes in the order of the moments in which they were made, on the one clock that all writers read, so
//! they are linearizable, and add no latency of their own. The unfenced one accepts every write; the fenced one refuses a token smaller than the
//! largest it has accepted for that name. One run thus tells what went wrong and what fencing would have stopped.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::machines::Machines;
use super::record::node_of;

/// One write as it reaches the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Write {
    /// The name whose resource is written.
    pub(crate) key: u32,
    /// The grant under which the writer believes to act.
    pub(crate) grant_id: u64,
    /// When that grant was handed out.
    pub(crate) granted_ns: u64,
    /// The grant's fencing token, if its lock has tokens.
    pub(crate) token: Option<u64>,
    /// How many writes this grant has made before. From the second on a write rests on the one before it, as the
    /// write of a read-modify-write rests on its read.
    pub(crate) ordinal: u32,
}

/// What became of a write. The unfenced resource accepts every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WriteVerdict {
    /// A grant that was handed out later and has already written, as `(granted_ns, grant_id)`: the writer's time is over.
    pub(crate) superseded_by: Option<(u64, u64)>,
    /// What the fenced resource did.
    pub(crate) fenced: FenceVerdict,
}

impl WriteVerdict {
    /// The writer's time is over.
    pub(crate) fn is_stale(&self) -> bool {
        self.superseded_by.is_some()
    }
}

/// What the fenced resource did with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FenceVerdict {
    /// The token was at least as large as every accepted one.
    Accepted,
    /// A larger token had been accepted before.
    Refused,
    /// A write without a token: fencing is not possible.
    NoToken,
}

/// The protected resource of every name, and what was written to it.
#[derive(Debug)]
pub(crate) struct Resource {
    machines: Machines,
    keys: HashMap<u32, KeyState>,
    tally: WriteTally,
}

#[derive(Debug, Default)]
struct KeyState {
    /// Of the grants that have written, the one handed out last, and its first write.
    latest: Option<Writer>,
    /// Whose write the unfenced resource took last.
    unfenced_writer: Option<Writer>,
    /// Whose write the fenced resource took last.
    fenced_writer: Option<Writer>,
    /// The largest token that the fenced resource has accepted.
    largest_token: Option<u64>,
}

/// A grant that has written, and when.
#[derive(Clone, Copy, Debug)]
struct Writer {
    granted_ns: u64,
    grant_id: u64,
    at_ns: u64,
}

/// The writes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteTally {
    /// All writes.
    pub(crate) writes: u64,
    /// Those with a token.
    pub(crate) with_token: u64,
    /// Those of superseded holders.
    pub(crate) stale: u64,
    /// Stale writes that the fence let pass.
    pub(crate) stale_past_fence: u64,
    /// Writes to the unfenced resource that overwrote what their writer had not seen.
    pub(crate) lost_updates_unfenced: u64,
    /// The same past the fence.
    pub(crate) lost_updates_fenced: u64,
}

impl Resource {
    pub(crate) fn new(machines: Machines) -> Self {
        Self { machines, keys: HashMap::new(), tally: WriteTally::default() }
    }

    /// Applies a write, made at `at_ns`, to both resources.
    pub(crate) fn write(&mut self, write: &Write, at_ns: u64) -> WriteVerdict {
        let state = self.keys.entry(write.key).or_default();
        let own = Writer { granted_ns: write.granted_ns, grant_id: write.grant_id, at_ns };
        let verdict = WriteVerdict {
            superseded_by: state.superseder(own, self.machines),
            fenced: state.fence(write.token),
        };
        self.tally.add(write, own, verdict, state, self.machines);
        state.apply(write.token, own, verdict);
        verdict
    }

    /// The writes so far.
    pub(crate) fn tally(&self) -> WriteTally {
        self.tally
    }
}

impl Writer {
    /// Whether this write came after an `earlier` one for sure: within the margin of two machines' clocks, nobody knows.
    fn surely_after(self, earlier: Self, machines: Machines) -> bool {
        let margin_ns = machines.margin_ns(node_of(self.grant_id), node_of(earlier.grant_id));
        margin_ns == 0 || self.at_ns.saturating_sub(earlier.at_ns) > margin_ns
    }

    /// Whether its grant was handed out after an `earlier` one for sure.
    fn surely_granted_after(self, earlier: Self, machines: Machines) -> bool {
        let margin_ns = machines.margin_ns(node_of(self.grant_id), node_of(earlier.grant_id));
        self.granted_ns > earlier.granted_ns.saturating_add(margin_ns)
    }
}

impl KeyState {
    fn superseder(&self, own: Writer, machines: Machines) -> Option<(u64, u64)> {
        let later = self.latest.filter(|latest| {
            latest.surely_granted_after(own, machines) && own.surely_after(*latest, machines)
        });
        later.map(|later| (later.granted_ns, later.grant_id))
    }

    fn fence(&self, token: Option<u64>) -> FenceVerdict {
        match (token, self.largest_token) {
            (None, _) => FenceVerdict::NoToken,
            (Some(token), Some(largest)) if token < largest => FenceVerdict::Refused,
            (Some(_), _) => FenceVerdict::Accepted,
        }
    }

    fn apply(&mut self, token: Option<u64>, own: Writer, verdict: WriteVerdict) {
        let is_later =
            |latest: Writer| own.granted_ns >= latest.granted_ns && own.grant_id != latest.grant_id;
        if self.latest.is_none_or(is_later) {
            self.latest = Some(own);
        }
        self.unfenced_writer = Some(own);
        if verdict.fenced == FenceVerdict::Accepted {
            self.fenced_writer = Some(own);
            self.largest_token = token;
        }
    }
}

impl WriteTally {
    fn add(
        &mut self,
        write: &Write,
        own: Writer,
        verdict: WriteVerdict,
        before: &KeyState,
        machines: Machines,
    ) {
        let past_fence = verdict.fenced == FenceVerdict::Accepted;
        let foreign = |last: Writer| last.grant_id != own.grant_id && own.surely_after(last, machines);
        let lost = |last: Option<Writer>| write.ordinal > 0 && last.is_none_or(foreign);
        self.writes += 1;
        self.with_token += u64::from(write.token.is_some());
        self.stale += u64::from(verdict.is_stale());
        self.stale_past_fence += u64::from(verdict.is_stale() && past_fence);
        self.lost_updates_unfenced += u64::from(lost(before.unfenced_writer));
        self.lost_updates_fenced += u64::from(past_fence && lost(before.fenced_writer));
    }
}
