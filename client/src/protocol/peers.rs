//! What the endpoints of one client know of each other: to which set they belong, that they are distinct servers, and
//! whose clock is off.

use std::fmt;
use std::sync::Arc;

use super::quorum::{EndpointId, EndpointSet, Quorum};
use super::time::Moment;
use super::validity::QUARANTINE_MS;

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
    /// The servers that vote for this client, or did so lately.
    voters: Vec<Voter>,
    clocks: Clocks,
}

/// A server, and the one endpoint as which it votes.
#[derive(Clone, Debug)]
struct Voter {
    run: String,
    endpoint: EndpointId,
    left: Left,
}

/// Whether a server has left its endpoint: its address leads elsewhere, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    No,
    JustNow,
    At(Moment),
}

/// Why a server cannot vote as this endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It votes as another endpoint, at this place from 1, or did so lately: it would have two votes.
    Twin {
        /// Which.
        place: usize,
        /// Whether it is that endpoint's no longer. What it voted there may still count for as long as a quarantine lasts.
        has_left: bool,
    },
    /// It belongs to another set than the endpoint at this place, from 1.
    OtherSet {
        /// Which.
        place: usize,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twin { place, has_left: false } => {
                write!(f, "it is the same server as endpoint {place}; each vote needs its own")
            }
            Self::Twin { place, has_left: true } => {
                write!(f, "its server was endpoint {place} until now, whose votes may still count; wait")
            }
            Self::OtherSet { place } => {
                write!(f, "it belongs to another set than endpoint {place}; correct the list of endpoints")
            }
        }
    }
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
        Self { quorum, members: quorum.ids().map(|_| None).collect(), voters: Vec::new(), clocks }
    }

    /// Whose clocks are off.
    #[must_use]
    pub const fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// An endpoint's clock has been looked at. The first that is off raises an alarm: all look again.
    pub fn clock_seen(&mut self, now: Moment, endpoint: EndpointId, is_off: bool) {
        self.forget_voters(now);
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
        self.members.iter().flatten().find_map(|member| known_set(member)).unwrap_or(SET_UNKNOWN)
    }

    /// Records under which identity an endpoint was admitted, unless its server votes as another endpoint, or did so lately:
    /// that would be two voters and one vote. A round may still count what the server said as that other endpoint before the
    /// address led elsewhere; no round is counted for longer than a quarantine lasts.
    ///
    /// Sets are compared here once more: endpoints that are admitted at the same moment know nothing of each other's set.
    ///
    /// # Errors
    /// What is in the way.
    pub fn join(&mut self, now: Moment, endpoint: EndpointId, member: &Arc<str>) -> Result<(), Misfit> {
        self.forget_voters(now);
        let run = field(member, "run").unwrap_or(member);
        let twin = self.voters.iter().find(|voter| voter.run == run && voter.endpoint != endpoint);
        if let Some(Voter { endpoint, left, .. }) = twin {
            return Err(Misfit::Twin { place: endpoint.index() + 1, has_left: *left != Left::No });
        }
        let own = known_set(member);
        let is_stranger = |(index, other): (usize, &Option<Arc<str>>)| {
            let set = other.as_ref().and_then(|other| known_set(other));
            index != endpoint.index() && own.is_some() && set.is_some() && set != own
        };
        if let Some(index) = self.members.iter().enumerate().position(is_stranger) {
            return Err(Misfit::OtherSet { place: index + 1 });
        }
        self.leave(endpoint);
        self.voters.retain(|voter| voter.run != run);
        self.voters.push(Voter { run: run.to_owned(), endpoint, left: Left::No });
        self.members[endpoint.index()] = Some(Arc::clone(member));
        Ok(())
    }

    /// Forgets an endpoint whose server is not the one it was, or may not be.
    pub fn leave(&mut self, endpoint: EndpointId) {
        self.members[endpoint.index()] = None;
        for voter in &mut self.voters {
            if voter.endpoint == endpoint && voter.left == Left::No {
                voter.left = Left::JustNow;
            }
        }
    }

    /// Forgets servers that left so long ago that no round counts them any more. Of one that has just left this is the first
    /// word about when.
    fn forget_voters(&mut self, now: Moment) {
        for voter in &mut self.voters {
            if voter.left == Left::JustNow {
                voter.left = Left::At(now);
            }
        }
        let counts = |left| match left {
            Left::At(at) => now < at.plus_ms(QUARANTINE_MS.into()),
            Left::No | Left::JustNow => true,
        };
        self.voters.retain(|voter| counts(voter.left));
    }
}

/// The id of the set that a record of admission names, if somebody declared it.
fn known_set(member: &str) -> Option<&str> {
    field(member, "set").filter(|&set| set != SET_UNKNOWN)
}

/// The value after `key=` in a record of admission.
fn field<'a>(member: &'a str, key: &str) -> Option<&'a str> {
    member.split(' ').find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}
