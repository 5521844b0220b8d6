//! The phases of an acquisition and of the lease it wins.

use serde::{Deserialize, Serialize};

/// A stretch of time that has a histogram of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// From the time an acquisition was due to the time it was sent, whatever held it up.
    DueToSent,
    /// The same, without the arrivals whose node a fault was holding: the sender's own lateness, on which the verdict
    /// about the run's validity rests.
    SendLag,
    /// From the time an acquisition was due to the lease in hand, all attempts and waiting included.
    Acquire,
    /// One attempt, won or lost.
    Attempt,
    /// Within an attempt, from the first reply to the one that decided.
    FirstToDeciding,
    /// From the lease in hand to the call of release.
    Hold,
    /// One renewal.
    Renew,
    /// From the old deadline back to the moment its renewal was done: the margin that was left.
    RenewalSlack,
    /// From the call of release to its return.
    Release,
    /// From the deadline to the notice of the loss.
    LossNotice,
}

impl Phase {
    /// Every phase, in the order of their declaration.
    pub(crate) const ALL: [Self; 10] = [
        Self::DueToSent,
        Self::SendLag,
        Self::Acquire,
        Self::Attempt,
        Self::FirstToDeciding,
        Self::Hold,
        Self::Renew,
        Self::RenewalSlack,
        Self::Release,
        Self::LossNotice,
    ];

    /// The phase's name in files: a `.hgrm`'s stem and a `.hlog`'s tag.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DueToSent => "due_to_sent",
            Self::SendLag => "send_lag",
            Self::Acquire => "acquire",
            Self::Attempt => "attempt",
            Self::FirstToDeciding => "first_to_deciding",
            Self::Hold => "hold",
            Self::Renew => "renew",
            Self::RenewalSlack => "renewal_slack",
            Self::Release => "release",
            Self::LossNotice => "loss_notice",
        }
    }

    /// The phase of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// The phase's place in [`Phase::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
