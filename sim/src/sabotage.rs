//! Negative controls: rules that are broken on purpose, each one line away from the right code. What the referee does not
//! find, it would not find in the client either.
//!
//! None of them touches production code: answers are changed on their way, operations on a server are done a little
//! differently, requests are added or left out, or a machine is told a wrong time. Where a rule matters in a few histories only,
//! a control's seeds are drawn from the corner that those lie in ([`Bias`]).
//!
//! Not here, and the model's alone (DESIGN.md, section 11): a raise that counts in quarantine, which does no harm, and one of a lock
//! that was taken anew, which needs more at once than a swarm comes to.

use crate::plan::Bias;

/// One rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A client counts the first yes as everybody's.
    MajorityOfOne,
    /// A token is handed out though not M endpoints hold exactly it.
    NoRaise,
    /// An endpoint raises a lock that is not the caller's.
    RaiseUnowned,
    /// An acquire does not write the stripe of its token.
    StripeUnwritten,
    /// A proposal is taken as it comes, however far from the endpoint's clock.
    ProposalUnclamped,
    /// An endpoint that forgot votes at once.
    NoQuarantine,
    /// Its quarantine is shorter than the TTL.
    QuarantineBelowTtl,
    /// Its quarantine covers the TTL, but not a shadow's.
    QuarantineBelowShadow,
    /// The record of admission is written some time before the quarantine.
    MemberFirst,
    /// The quarantine is written some time before the record of admission.
    QuarantineFirst,
    /// A batch does not look at the server's identity: a known script, or an old record, is proof enough.
    IdentityUnchecked,
    /// Identity is the run id alone: a data set that was swapped under the process goes unseen.
    RunIdOnly,
    /// A heal in quarantine counts.
    HealCounts,
    /// An extend in quarantine counts.
    ExtendCounts,
    /// A shadow set in quarantine counts.
    ShadowCounts,
    /// An extend with a smaller TTL shortens.
    ExtendShortens,
    /// An extend deletes the own shadow.
    ExtendDeletesShadow,
    /// Acquirers do not look for shadows.
    ShadowIgnored,
    /// A release deletes whoever's lock stands there.
    ReleaseUnowned,
    /// All attempts of one acquisition share an owner id.
    OwnerPerAcquisition,
    /// A lost attempt is not undone where its vote is unknown.
    NoUndoForUnknown,
    /// A lost lease, or a failed attempt, releases nothing.
    NoUndo,
    /// Votes count after the old deadline.
    VotesAfterDeadline,
    /// An answer to an older round counts for the newest.
    OldRoundCounts,
    /// A deadline is counted from the deciding answer, not from before the first request.
    DeadlineFromReply,
    /// Nothing is taken off a deadline for drift.
    NoDrift,
    /// What was won is handed out however little of it is left.
    NoHandOutCheck,
    /// A renewal is sent after the release.
    RenewalAfterRelease,
    /// Loss is noticed at the next tick of a coarse timer.
    NoticeAtTick,
    /// Due renewals are forgotten.
    RenewalForgotten,
    /// An endpoint that was left is never admitted again.
    NeverAdmittedAgain,
    /// Whoever comes first in its process's line is not told so.
    WaiterForgotten,
    /// An endpoint tells the second in line as well that it has the lock.
    TwoGiven,
    /// Whoever stands in line waits for its wake-up alone, and for ever.
    NoPoll,
    /// A hand-over counts for the newest time that the waiter asked, not for the one that it answers.
    HandOverForNewest,
    /// A hand-over counts for a whole TTL, though the lock stands for half of it.
    GivenInFull,
    /// Whoever asks again and has the lock is told yes, but the lock lasts no longer for it.
    RefreshKeepsExpiry,
    /// An endpoint that gives no votes hands over all the same.
    HandOverInQuarantine,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 38] = [
        Self::MajorityOfOne,
        Self::NoRaise,
        Self::RaiseUnowned,
        Self::StripeUnwritten,
        Self::ProposalUnclamped,
        Self::NoQuarantine,
        Self::QuarantineBelowTtl,
        Self::QuarantineBelowShadow,
        Self::MemberFirst,
        Self::QuarantineFirst,
        Self::IdentityUnchecked,
        Self::RunIdOnly,
        Self::HealCounts,
        Self::ExtendCounts,
        Self::ShadowCounts,
        Self::ExtendShortens,
        Self::ExtendDeletesShadow,
        Self::ShadowIgnored,
        Self::ReleaseUnowned,
        Self::OwnerPerAcquisition,
        Self::NoUndoForUnknown,
        Self::NoUndo,
        Self::VotesAfterDeadline,
        Self::OldRoundCounts,
        Self::DeadlineFromReply,
        Self::NoDrift,
        Self::NoHandOutCheck,
        Self::RenewalAfterRelease,
        Self::NoticeAtTick,
        Self::RenewalForgotten,
        Self::NeverAdmittedAgain,
        Self::WaiterForgotten,
        Self::TwoGiven,
        Self::NoPoll,
        Self::HandOverForNewest,
        Self::GivenInFull,
        Self::RefreshKeepsExpiry,
        Self::HandOverInQuarantine,
    ];

    /// Where its seeds are drawn from; everywhere, if nothing is said.
    #[must_use]
    pub const fn bias(self) -> Option<Bias> {
        Some(match self {
            Self::RaiseUnowned => Bias::LocksRunOut,
            Self::HealCounts | Self::ExtendCounts | Self::ShadowCounts => Bias::VotesForgotten,
            Self::OldRoundCounts | Self::DeadlineFromReply => Bias::AnswersHeldUp,
            Self::NoDrift => Bias::ClocksApart,
            Self::NoHandOutCheck => Bias::WinnersAsleep,
            Self::QuarantineFirst => Bias::FlushedAgain,
            Self::NoPoll => Bias::HoldersDie,
            Self::HandOverForNewest | Self::RefreshKeepsExpiry => Bias::HandedOverUnheard,
            Self::HandOverInQuarantine => Bias::RestartedInLine,
            _ => return None,
        })
    }

    /// Within how many seeds the referee must find it.
    #[must_use]
    pub const fn seeds_max(self) -> u64 {
        match self {
            Self::ExtendCounts => 10_000,
            _ => 3_000,
        }
    }
}
