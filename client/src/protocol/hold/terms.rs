//! On what terms a lease is held, and what happens to it.

use std::fmt;

use crate::protocol::attempt::Grant;
use crate::protocol::quorum::Quorum;
use crate::protocol::time::Moment;

/// What a hold is started with.
#[derive(Clone, Copy, Debug)]
pub struct HoldParams {
    /// Who votes.
    pub quorum: Quorum,
    /// What was won.
    pub grant: Grant,
    /// The TTL it was won with.
    pub ttl_ms: u32,
    /// The longest TTL the set allows: what a shadow may last.
    pub ttl_ms_max: u32,
    /// When the attempt that won was started.
    pub t0: Moment,
    /// How long an answer may take, in milliseconds.
    pub patience_ms: u32,
    /// How long rounds take, as a 99th percentile, in nanoseconds; zero if that is not known.
    pub round_ns: u64,
    /// When it is renewed.
    pub renewal: Renewal,
    /// After this moment it is not renewed any more.
    pub renew_until: Option<Moment>,
    /// Random bits, from which renewals get their jitter.
    pub jitter_seed: u64,
}

/// When a lease is renewed.
///
/// One that was waited for, and handed over, stands for half of its TTL at first. Whatever is chosen, that is made a whole TTL once,
/// in the background, before a quarter of the TTL is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Renewal {
    /// In the background, at about half of the TTL.
    #[default]
    Auto,
    /// Only when asked to.
    Manual,
    /// In the background, but only if the holder has reported progress since the last renewal: a holder that is stuck loses
    /// its lease.
    OnWork,
}

/// Why a lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// No majority confirmed a renewal before the deadline.
    Expired,
    /// So many endpoints hold another lock, or a key that is no lock, that no majority is left.
    Taken,
    /// It was held for as long as it may be.
    HeldTooLong,
    /// The holder's own clock stood still or jumped: so many endpoints' clocks seemed to be off that it must be its own.
    ClockSuspect,
    /// The holder released it itself. Not a loss, but nothing is held any more.
    Released,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "no majority confirmed a renewal before the deadline",
            Self::Taken => "another lock, or a key that is no lock, stands on a majority of endpoints",
            Self::HeldTooLong => "it was held for the longest time it may be",
            Self::ClockSuspect => "this machine's clock stood still or jumped",
            Self::Released => "it was released",
        })
    }
}

/// What happened to a hold, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldEvent {
    /// A renewal is due: [`Hold::handle_admission`](super::Hold::handle_admission) begins it.
    RenewalDue {
        /// When the lease ends without it: those that end first go first.
        deadline: Moment,
        /// From when it cannot wait any longer.
        urgent_at: Moment,
    },
    /// A majority confirmed a renewal.
    Renewed {
        /// When the round was started.
        t0: Moment,
        /// The deadline before it.
        old_deadline: Moment,
        /// Whether it was a shadow: the lease lives on, but degraded.
        shadow: bool,
    },
    /// A renewal round ended without a majority; another follows if there is time.
    RenewalFailed {
        /// When the round was started.
        t0: Moment,
    },
    /// The deadline is near and no renewal has succeeded.
    ExpiringSoon,
    /// The lease is over. Never taken back.
    Lost(LossReason),
    /// The release is over.
    Released {
        /// Whether a majority confirmed that the lock is gone. If not, its TTL removes it.
        confirmed: bool,
    },
}
