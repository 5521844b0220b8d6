//! The protected resource: what the lock is there to protect, once with a fence and once without.

use std::collections::HashMap;

/// One write as it reaches the resource, in the order of its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// The name whose resource is written.
    pub(crate) key: u32,
    /// The grant under which the writer believes to act.
    pub(crate) grant_id: u64,
    /// When that grant was handed out.
    pub(crate) granted_ns: u64,
    /// The grant's fencing token, if its lock has tokens.
    pub(crate) token: Option<u64>,
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

/// What became of a write. The unfenced resource accepts every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WriteVerdict {
    /// A grant that was handed out later had already written: the writer has been superseded.
    pub(crate) stale: bool,
    /// What the fenced resource did.
    pub(crate) fenced: FenceVerdict,
}

/// The protected resource of every name.
#[derive(Debug, Default)]
pub(crate) struct Resource {
    keys: HashMap<u32, KeyState>,
}

#[derive(Debug, Default)]
struct KeyState {
    /// The latest `granted_ns` among the grants that have written.
    latest_granted_ns: u64,
    /// The largest token that the fenced resource has accepted.
    largest_token: Option<u64>,
}

impl Resource {
    /// Applies a write to both resources.
    pub(crate) fn write(&mut self, write: &Write) -> WriteVerdict {
        let state = self.keys.entry(write.key).or_default();
        let stale = write.granted_ns < state.latest_granted_ns;
        state.latest_granted_ns = state.latest_granted_ns.max(write.granted_ns);
        let fenced = match write.token {
            None => FenceVerdict::NoToken,
            Some(token) if state.largest_token.is_some_and(|largest| token < largest) => {
                FenceVerdict::Refused
            }
            Some(token) => {
                state.largest_token = Some(token);
                FenceVerdict::Accepted
            }
        };
        WriteVerdict { stale, fenced }
    }
}
