//! What the endpoints of one client know of each other: to which set they belong, and that they are distinct servers.

use std::sync::{Arc, Mutex};

use crate::lock;
use crate::protocol::quorum::{EndpointId, Quorum};

/// The id of a set that nobody has declared.
const SET_UNKNOWN: &str = "-";

/// The record under which each endpoint was last admitted.
pub(crate) struct Peers {
    members: Mutex<Vec<Option<Arc<str>>>>,
}

impl Peers {
    pub(crate) fn new(quorum: Quorum) -> Self {
        Self { members: Mutex::new(quorum.ids().map(|_| None).collect()) }
    }

    /// The id of the set, as far as any endpoint has told it; `-` if none has.
    pub(crate) fn set(&self) -> String {
        let members = lock(&self.members);
        let known = members.iter().flatten().filter_map(|member| field(member, "set"));
        known
            .filter(|&set| set != SET_UNKNOWN)
            .map(str::to_owned)
            .next()
            .unwrap_or_else(|| SET_UNKNOWN.to_owned())
    }

    /// Records under which identity an endpoint was admitted, unless it is another endpoint's server: that would be two
    /// voters and one vote. `Err` is that other
    /// endpoint's place.
    pub(crate) fn join(&self, endpoint: EndpointId, member: &Arc<str>) -> Result<(), usize> {
        let mut members = lock(&self.members);
        let run = field(member, "run");
        let twin =
            members.iter().position(|other| other.as_ref().is_some_and(|other| field(other, "run") == run));
        match twin {
            Some(index) if index != endpoint.index() => Err(index),
            _ => {
                members[endpoint.index()] = Some(Arc::clone(member));
                Ok(())
            }
        }
    }

    /// Forgets an endpoint whose server is not the one it was.
    pub(crate) fn leave(&self, endpoint: EndpointId) {
        lock(&self.members)[endpoint.index()] = None;
    }
}

/// The value after `key=` in a record of admission.
fn field<'a>(member: &'a str, key: &str) -> Option<&'a str> {
    member.split(' ').find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}
