//! Who believes in one name now.

use super::GrantId;
use crate::time::At;

/// The beliefs that are open. Each is half-open in time: what ends as another begins does not meet it.
#[derive(Clone, Debug, Default)]
pub(super) struct Beliefs {
    open: Vec<(GrantId, At)>,
}

impl Beliefs {
    /// A belief begins, or now lasts until another moment. Gives those of others that it meets now: two beliefs that meet at
    /// all meet when one of them begins or is taken up again.
    pub(super) fn begin(&mut self, id: GrantId, now: At, until: At) -> Vec<GrantId> {
        self.open.retain(|&(other, end)| other != id && end > now);
        if until <= now {
            return Vec::new();
        }
        let others = self.open.iter().map(|&(other, _)| other).collect();
        self.open.push((id, until));
        others
    }

    /// A belief is over.
    pub(super) fn end(&mut self, id: GrantId) {
        self.open.retain(|&(other, _)| other != id);
    }
}
