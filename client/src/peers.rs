//! What the endpoints of one client know of each other: to which set they belong, that they are distinct servers, and
//! whose clock is off.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::protocol::Moment;
use crate::protocol::quorum::{EndpointId, EndpointSet, Quorum};
use crate::{clock, lock};

/// The id of a set that nobody has declared.
const SET_UNKNOWN: &str = "-";

/// Clocks that are found off within this time are part of one alarm.
const ALARM_MS: u64 = 5_000;

/// What is kept of each endpoint, for the others to see.
pub(crate) struct Peers {
    /// The record under which each was last admitted.
    members: Mutex<Vec<Option<Arc<str>>>>,
    clocks: watch::Sender<Clocks>,
}

/// Whose clocks have been looked at since the last alarm, and whose are off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clocks {
    /// Counts alarms.
    pub(crate) alarm: u64,
    raised_at: Moment,
    looked_at: EndpointSet,
    off: EndpointSet,
}

impl Clocks {
    /// Whether so many clocks are off that it must be the client's own; `None` while that is open.
    pub(crate) fn own_is_off(&self, quorum: Quorum) -> Option<bool> {
        if self.off.len() > quorum.spare() {
            Some(true)
        } else if quorum.endpoints() - self.looked_at.len() + self.off.len() <= quorum.spare() {
            Some(false)
        } else {
            None
        }
    }
}

impl Peers {
    pub(crate) fn new(quorum: Quorum) -> Self {
        let members = Mutex::new(quorum.ids().map(|_| None).collect());
        Self { members, clocks: watch::Sender::new(Clocks::default()) }
    }

    /// Follows alarms about clocks.
    pub(crate) fn clocks(&self) -> watch::Receiver<Clocks> {
        self.clocks.subscribe()
    }

    /// An endpoint's clock has been looked at. The first that is off raises an alarm: all look again.
    pub(crate) fn clock_seen(&self, endpoint: EndpointId, is_off: bool) {
        let now = clock::now();
        self.clocks.send_if_modified(|clocks| {
            let raised = is_off && (clocks.off.is_empty() || now > clocks.raised_at.plus_ms(ALARM_MS));
            if raised {
                let (alarm, raised_at) = (clocks.alarm + 1, now);
                *clocks = Clocks { alarm, raised_at, ..Clocks::default() };
            }
            let before = (clocks.looked_at, clocks.off);
            clocks.looked_at.insert(endpoint);
            if is_off {
                clocks.off.insert(endpoint);
            }
            before != (clocks.looked_at, clocks.off)
        });
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
