//! One round of a holder: what was asked when, and who has answered.

use crate::protocol::EndpointId;
use crate::protocol::operation::{Reply, Round};
use crate::protocol::quorum::{EndpointSet, Quorum};
use crate::protocol::tally::Tally;
use crate::protocol::time::Moment;
use crate::protocol::validity;

/// What a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Move the deadline on: extend everywhere, heal where the lock is missing.
    Renew,
    /// Outlive an outage: a shadow with a longer TTL, because extends get no answers.
    Shadow,
    /// Give the lock to endpoints that have not voted for it. Moves no deadline.
    Grow,
}

/// A round under way. Its answers count for the deadline that its own `t0` gives and for earlier ones, never for a later round's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) round: Round,
    pub(super) purpose: Purpose,
    pub(super) t0: Moment,
    /// The TTL that was asked for.
    pub(super) ttl_ms: u32,
    tally: Tally,
    /// Endpoints that have confirmed a later round, and so the lock for longer than this one asks.
    later: EndpointSet,
    /// Endpoints that hold another lock, or something that is no lock.
    against: EndpointSet,
}

/// What an answer made of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing new.
    Open,
    /// With this answer M have confirmed.
    Carried,
    /// With this answer M can no longer confirm.
    Failed,
    /// So many endpoints hold something else that M is out of reach for good.
    Taken,
}

impl Asked {
    pub(super) fn new(round: Round, purpose: Purpose, t0: Moment, ttl_ms: u32, quorum: Quorum) -> Self {
        let tally = Tally::new(quorum);
        Self { round, purpose, t0, ttl_ms, tally, later: EndpointSet::EMPTY, against: EndpointSet::EMPTY }
    }

    /// Until when this round's votes may be counted on.
    pub(super) fn deadline(&self) -> Moment {
        validity::deadline(self.t0, self.ttl_ms)
    }

    /// Who has confirmed.
    pub(super) const fn voters(&self) -> EndpointSet {
        self.tally.yes().union(self.later)
    }

    /// Whether an endpoint's answer is still out.
    pub(super) fn awaits(&self, endpoint: EndpointId) -> bool {
        self.tally.pending().contains(endpoint)
    }

    /// Whether anybody is known to hold something else.
    pub(super) const fn is_contested(&self) -> bool {
        !self.against.is_empty()
    }

    /// Whether M have confirmed.
    pub(super) const fn is_carried(&self) -> bool {
        self.voters().len() >= self.tally.quorum().majority()
    }

    /// Whether it may still move the deadline by its own answers.
    pub(super) fn is_open(&self) -> bool {
        self.purpose != Purpose::Grow && !self.is_carried() && !self.tally.out_of_reach()
    }

    /// An endpoint has confirmed a later round. Says whether with that M have confirmed this one.
    pub(super) fn confirm_by(&mut self, later: &Self, endpoint: EndpointId) -> bool {
        let was_carried = self.is_carried();
        let renewals = self.purpose == Purpose::Renew && later.purpose == Purpose::Renew;
        if renewals && self.round < later.round && self.deadline() <= later.deadline() {
            self.later.insert(endpoint);
        }
        self.is_carried() && !was_carried
    }

    /// Counts an answer.
    pub(super) fn count(&mut self, endpoint: EndpointId, reply: &Reply) -> Progress {
        let (was_carried, was_failed) = (self.is_carried(), self.tally.out_of_reach());
        if !self.tally.cast(endpoint, reply.vote()) {
            return Progress::Open;
        }
        if matches!(reply, Reply::Held { .. } | Reply::NotALock) {
            self.against.insert(endpoint);
        }
        if self.against.len() > self.tally.quorum().spare() {
            Progress::Taken
        } else if self.is_carried() {
            if was_carried { Progress::Open } else { Progress::Carried }
        } else if self.tally.out_of_reach() && !was_failed {
            Progress::Failed
        } else {
            Progress::Open
        }
    }
}
