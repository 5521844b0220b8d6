//! What is asked of an endpoint, and what it may answer.

use std::sync::Arc;

use super::fence::{Fence, OwnerId};
use super::name::LeaseName;
use super::quorum::EndpointId;

/// One operation on one name, executed atomically by an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose lock.
    pub name: LeaseName,
    /// On whose behalf.
    pub owner: OwnerId,
    /// What to do.
    pub action: Action,
}

/// What an operation does; the script beside `scripts/` says it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take the lock if it is free, and draw a token.
    Acquire {
        /// Its time to live.
        ttl_ms: u32,
        /// The client's wall clock in microseconds, which the endpoint clamps to its own.
        proposal: u64,
    },
    /// Take the lock if it is free and nobody has waited longer; else park this in the line before it, to be given the lock when
    /// it is freed. Asked again by the same owner, an own lock is extended.
    AcquireOrWait {
        /// Its time to live.
        ttl_ms: u32,
        /// The client's wall clock in microseconds, which the endpoint clamps to its own. It also tells this request from
        /// the owner's others.
        proposal: u64,
        /// The same clock when the wait began: the place in line. The endpoint moves it as it moves the proposal.
        ticket: u64,
    },
    /// Make the own lock last at least `ttl_ms`; never shortens.
    Extend {
        /// Its time to live.
        ttl_ms: u32,
        /// The lease's token.
        fence: Fence,
    },
    /// Set the own lock where no lock stands.
    Heal {
        /// Its time to live.
        ttl_ms: u32,
        /// The lease's token.
        fence: Fence,
    },
    /// Write a larger token into the own lock.
    Raise {
        /// The token to write.
        fence: Fence,
    },
    /// Stand in for the lock, for longer, where neither a foreign lock nor a foreign shadow stands.
    Shadow {
        /// Its time to live.
        ttl_ms: u32,
    },
    /// Say whether the lock is the owner's.
    Validate,
    /// Delete the own lock and the own shadow, and give the lock to whoever is first in line; leave the line.
    Release,
}

/// Numbers the rounds of one machine: a reply counts only in the round that asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u32);

impl Round {
    /// The round after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// An operation on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub endpoint: EndpointId,
    /// The round it belongs to.
    pub round: Round,
    /// What to do there.
    pub action: Action,
}

/// An endpoint's answer. Every answer that is not a plain yes says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Yes: the lock is the owner's, with this token.
    Granted {
        /// The token in the lock.
        fence: Fence,
    },
    /// The own lock, or the own shadow, has been deleted.
    Released,
    /// Somebody else's lock stands there.
    Held {
        /// How long it will stand if nobody renews it.
        left_ms: u64,
    },
    /// Somebody else's lock stands there; the asker is in line.
    Waiting {
        /// How long it will stand if nobody renews it.
        left_ms: u64,
        /// How many are before the asker.
        ahead: u32,
    },
    /// No lock stands there.
    Missing,
    /// A key of another type, or a string without expiry, is in the way. It is never overwritten.
    NotALock,
    /// The own lock carries a larger token: it lapsed and was taken anew.
    Superseded,
    /// The endpoint may have forgotten votes and gives none yet.
    Quarantined {
        /// For how long.
        left_ms: u64,
    },
    /// The TTL is over what the set allows.
    TtlTooLong {
        /// What it allows.
        max_ms: u64,
    },
    /// The endpoint refused, in its own words; nothing was written.
    Refused(Arc<str>),
    /// The request never left: the queue was full, the endpoint was known to be down, or nobody wanted the answer any more.
    NotSent(Arc<str>),
    /// Nobody knows: timeout or broken connection. It may have been carried out, or may yet be.
    Unknown(Arc<str>),
}

/// What an endpoint says when it has given a lock to an acquire that was parked in line: a reply that was not asked for just
/// now, and may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Whose lock.
    pub name: LeaseName,
    /// To whom it was given.
    pub owner: OwnerId,
    /// Which of the owner's requests it answers: the last one that this endpoint saw.
    pub proposal: u64,
    /// The token in the lock.
    pub fence: Fence,
    /// The record of admission of the server that says so.
    pub member: Arc<str>,
}

/// What a reply is worth in a count. Never a boolean: an unknown vote may be a yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// The lock is the owner's there.
    Yes,
    /// It is certainly not, by this operation.
    No,
    /// It may be.
    Unknown,
}

impl Reply {
    /// The vote that an acquire, extend, heal, raise or validate casts with this answer.
    #[must_use]
    pub const fn vote(&self) -> Vote {
        match self {
            Self::Granted { .. } => Vote::Yes,
            Self::Unknown(_) => Vote::Unknown,
            Self::Released
            | Self::Held { .. }
            | Self::Waiting { .. }
            | Self::Missing
            | Self::NotALock
            | Self::Superseded
            | Self::Quarantined { .. }
            | Self::TtlTooLong { .. }
            | Self::Refused(_)
            | Self::NotSent(_) => Vote::No,
        }
    }
}
