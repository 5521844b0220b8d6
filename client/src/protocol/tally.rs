//! Counting the votes of one round.

use super::operation::Vote;
use super::quorum::{EndpointId, EndpointSet, Quorum};

/// The votes of one round. An endpoint's first vote stands; later ones change nothing.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    quorum: Quorum,
    yes: EndpointSet,
    no: EndpointSet,
    unknown: EndpointSet,
}

impl Tally {
    /// No votes yet.
    #[must_use]
    pub fn new(quorum: Quorum) -> Self {
        Self {
            quorum,
            yes: EndpointSet::default(),
            no: EndpointSet::default(),
            unknown: EndpointSet::default(),
        }
    }

    /// Who may vote.
    #[must_use]
    pub const fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// Counts a vote. Says whether it was this endpoint's first.
    pub fn cast(&mut self, endpoint: EndpointId, vote: Vote) -> bool {
        let first = self.pending().contains(endpoint);
        if first {
            match vote {
                Vote::Yes => self.yes.insert(endpoint),
                Vote::No => self.no.insert(endpoint),
                Vote::Unknown => self.unknown.insert(endpoint),
            }
        }
        first
    }

    /// Who said yes.
    #[must_use]
    pub const fn yes(&self) -> EndpointSet {
        self.yes
    }

    /// Who said no.
    #[must_use]
    pub const fn no(&self) -> EndpointSet {
        self.no
    }

    /// Who has not voted.
    #[must_use]
    pub fn pending(&self) -> EndpointSet {
        self.quorum.all().difference(self.yes).difference(self.no).difference(self.unknown)
    }

    /// M said yes.
    #[must_use]
    pub const fn carried(&self) -> bool {
        self.yes.len() >= self.quorum.majority()
    }

    /// M can no longer say yes.
    #[must_use]
    pub const fn out_of_reach(&self) -> bool {
        self.no.len() + self.unknown.len() > self.quorum.spare()
    }
}
