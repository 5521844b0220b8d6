//! What the endpoints of one client know of each other: to which set they belong, that they are distinct servers, and
//! whose clock is off.

use std::sync::Arc;

use super::quorum::{EndpointId, EndpointSet, Quorum};
use super::time::Moment;

/// The id of a set that nobody has declared.
const SET_UNKNOWN: &str = "-";

/// Clocks that are found off within this time are part of one alarm.
const ALARM_MS: u64 = 5_000;

/// What is kept of each endpoint, for the others to see.
#[derive(Clone, Debug)]
pub struct Peers {
    quorum: Quorum,
    /// The record under which each was last admitted.
    members: Vec<Option<Arc<str>>>,
    clocks: Clocks,
}

/// Whose clocks have been looked at since the last alarm, and whose are off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    quorum: Quorum,
    /// Counts alarms.
    alarm: u64,
    raised_at: Moment,
    looked_at: EndpointSet,
    off: EndpointSet,
}

impl Clocks {
    /// How many alarms there have been: at each one, all endpoints look at their clocks.
    #[must_use]
    pub const fn alarm(&self) -> u64 {
        self.alarm
    }

    /// Whether so many clocks are off that it must be the client's own; `None` while that is open.
    #[must_use]
    pub const fn own_is_off(&self) -> Option<bool> {
        if self.off.len() > self.quorum.spare() {
            Some(true)
        } else if self.quorum.endpoints() - self.looked_at.len() + self.off.len() <= self.quorum.spare() {
            Some(false)
        } else {
            None
        }
    }
}

impl Peers {
    /// Of none is anything known.
    #[must_use]
    pub fn new(quorum: Quorum) -> Self {
        let nobody = EndpointSet::default();
        let clocks =
            Clocks { quorum, alarm: 0, raised_at: Moment::default(), looked_at: nobody, off: nobody };
        Self { quorum, members: quorum.ids().map(|_| None).collect(), clocks }
    }

    /// Whose clocks are off.
    #[must_use]
    pub const fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// An endpoint's clock has been looked at. The first that is off raises an alarm: all look again.
    pub fn clock_seen(&mut self, now: Moment, endpoint: EndpointId, is_off: bool) {
        let Clocks { off, raised_at, .. } = self.clocks;
        if is_off && (off.is_empty() || now > raised_at.plus_ms(ALARM_MS)) {
            let alarm = self.clocks.alarm + 1;
            self.clocks = Clocks { alarm, raised_at: now, ..Self::new(self.quorum).clocks };
        }
        self.clocks.looked_at.insert(endpoint);
        if is_off {
            self.clocks.off.insert(endpoint);
        }
    }

    /// The id of the set, as far as any endpoint has told it; `-` if none has.
    #[must_use]
    pub fn set(&self) -> &str {
        let mut told = self.members.iter().flatten().filter_map(|member| field(member, "set"));
        told.find(|&set| set != SET_UNKNOWN).unwrap_or(SET_UNKNOWN)
    }

    /// Records under which identity an endpoint was admitted, unless it is another endpoint's server: that would be two
    /// voters and one vote.
    ///
    /// # Errors
    /// That other endpoint's place.
    pub fn join(&mut self, endpoint: EndpointId, member: &Arc<str>) -> Result<(), usize> {
        let run = field(member, "run");
        let is_twin =
            |other: &Option<Arc<str>>| other.as_ref().is_some_and(|other| field(other, "run") == run);
        match self.members.iter().position(is_twin) {
            Some(index) if index != endpoint.index() => Err(index),
            _ => {
                self.members[endpoint.index()] = Some(Arc::clone(member));
                Ok(())
            }
        }
    }

    /// Forgets an endpoint whose server is not the one it was.
    pub fn leave(&mut self, endpoint: EndpointId) {
        self.members[endpoint.index()] = None;
    }
}

/// The value after `key=` in a record of admission.
fn field<'a>(member: &'a str, key: &str) -> Option<&'a str> {
    member.split(' ').find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}
