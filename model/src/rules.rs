//! The numbers of the protocol, in ticks, and every way to get one rule wrong.

use crate::state::{CLIENTS, Op};

/// One rule broken: a control. Each must be caught, or the model sees nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told by `text`")]
pub enum Control {
    MajorityOfOne,
    NoQuarantine,
    QuarantineShorterThanTtl,
    QuarantineShorterThanShadow,
    VotesInQuarantine,
    ExtendShortens,
    OwnerPerAcquisition,
    VotesAfterDeadline,
    AnswersOfOlderRounds,
    DeadlineFromReply,
    NoDrift,
    ShadowsIgnored,
    ExtendDropsShadow,
    ReleaseUnowned,
    TokenUnraised,
    RaiseUnowned,
    RaiseByOwnerAlone,
    StripeAtHandOut,
    QuarantineShorterThanClocks,
    ProposalUnclamped,
    MemberBeforeQuarantine,
    QuarantineBeforeMember,
    HashAsProof,
    RunIdAlone,
    MemberUnread,
    IdentityUnread,
    QuarantineWithoutEnd,
    HandOverFromHearing,
    HandOverForNewest,
    RefreshKeepsExpiry,
    HandOverInQuarantine,
    TwoGiven,
    UndoGives,
    ParkedWithoutEnd,
    GivenInFull,
}

impl Control {
    /// What is wrong.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::MajorityOfOne => "one of three is a majority",
            Self::NoQuarantine => "no quarantine after a loss of data",
            Self::QuarantineShorterThanTtl => "quarantine shorter than the TTL",
            Self::QuarantineShorterThanShadow => "quarantine shorter than a shadow",
            Self::VotesInQuarantine => "what is carried out in quarantine counts",
            Self::ExtendShortens => "extend sets a shorter expiry",
            Self::OwnerPerAcquisition => "one owner id for all attempts",
            Self::VotesAfterDeadline => "votes count after the old deadline",
            Self::AnswersOfOlderRounds => "an older round's answer counts for the newest",
            Self::DeadlineFromReply => "the deadline runs from the reply",
            Self::NoDrift => "no allowance for drift",
            Self::ShadowsIgnored => "acquirers ignore shadows",
            Self::ExtendDropsShadow => "extend deletes its own shadow",
            Self::ReleaseUnowned => "release deletes whatever stands there",
            Self::TokenUnraised => "token is the largest drawn, not raised",
            Self::RaiseUnowned => "raise does not ask whose lock it is",
            Self::RaiseByOwnerAlone => "raise does not look at the lock's token",
            Self::StripeAtHandOut => "stripe written only at hand-out",
            Self::QuarantineShorterThanClocks => "quarantine shorter than the clocks' disagreement",
            Self::ProposalUnclamped => "proposals are not clamped",
            Self::MemberBeforeQuarantine => "member written a step before quarantine",
            Self::QuarantineBeforeMember => "quarantine written a step before member",
            Self::HashAsProof => "a known hash is proof of admission",
            Self::RunIdAlone => "identity is the run id alone",
            Self::MemberUnread => "a batch does not read member",
            Self::IdentityUnread => "a batch does not read the server's identity",
            Self::QuarantineWithoutEnd => "quarantine has no end",
            Self::HandOverFromHearing => "a hand-over counts from when it is heard",
            Self::HandOverForNewest => "a hand-over counts for the newest request",
            Self::RefreshKeepsExpiry => "asking again does not extend the own lock",
            Self::HandOverInQuarantine => "the lock is handed over in quarantine",
            Self::TwoGiven => "the second in line is told as well",
            Self::UndoGives => "an undo that freed nothing gives the lock",
            Self::ParkedWithoutEnd => "what is parked does not expire",
            Self::GivenInFull => "a hand-over counts for a whole TTL",
        }
    }
}

/// What a slice explores: the protocol's numbers, how many and how much, and which faults there are.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The rule that is broken, if any.
    pub control: Option<Control>,
    /// Clients that take part.
    pub clients: u8,
    /// Attempts of each client, each with an owner of its own.
    pub attempts: [u8; CLIENTS],
    /// Times that each client's attempts may ask: none of those that do not wait in line, one or two of those that do.
    pub asks: [u8; CLIENTS],
    /// Rounds of renewal of each client's lease.
    pub renewals: [u8; CLIENTS],
    /// Rounds of a holder that may be under way at once.
    pub rounds: u8,
    /// TTLs that an attempt or a renewal may ask for.
    pub ttls: &'static [u8],
    /// What is taken off a TTL for drift.
    pub drift: u8,
    /// How long a shadow stands; zero if there are none.
    pub shadow_ttl: u8,
    /// What is under way at the beginning from an earlier holder, whose lock stands everywhere then; nothing if there is none.
    pub predecessor: &'static [Op],
    /// How much shorter than its TTL a lock stands that is given in line.
    pub given_less: u8,
    /// How long a parked acquire stands.
    pub parked: u8,
    /// Whether the line outlives a loss of data.
    pub line_kept: bool,
    /// How long an endpoint that forgot gives no votes.
    pub quarantine: u8,
    /// Whether a lease grows to the endpoints that did not vote.
    pub grow: bool,
    /// Whether holders release; if not, they hold to the end.
    pub release: bool,
    /// Whether holders may be stopped, and act on when they go on.
    pub pauses: bool,
    /// Times that endpoints lose their data.
    pub amnesias: u8,
    /// Restarts that lose nothing but still bring quarantine.
    pub restarts: u8,
    /// Ticks by which one clock may run apart from the others, in all.
    pub lags: u8,
    /// Requests that are executed twice.
    pub duplicates: u8,
    /// How tokens come about.
    pub tokens: Tokens,
}

/// How tokens come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// There are none: only exclusion is looked at.
    Off,
    /// Proposals are any of 0 to this, and stripes begin anywhere from 0 to this.
    Any(u8),
    /// As `Any`, and no clock can be trusted: locks end whenever they like, and beliefs never. Only tokens are looked at.
    NoClocks(u8),
    /// Endpoints clamp proposals to clocks of their own, which are off by up to `skew` ticks; for `end` ticks.
    Clocks {
        /// How far an endpoint's clock may be from true time.
        skew: u8,
        /// How far a proposal may be from an endpoint's clock.
        slack: u8,
        /// How many ticks there are.
        end: u8,
    },
}

impl Rules {
    /// Two clients that acquire once each and release. Slices say how they differ.
    pub const PLAIN: Self = Self {
        control: None,
        clients: 2,
        attempts: [1; CLIENTS],
        asks: [0; CLIENTS],
        renewals: [0; CLIENTS],
        rounds: 1,
        ttls: &[3],
        drift: 0,
        shadow_ttl: 0,
        predecessor: &[],
        given_less: 0,
        parked: 1,
        line_kept: false,
        quarantine: 3,
        grow: false,
        release: true,
        pauses: false,
        amnesias: 0,
        restarts: 0,
        lags: 0,
        duplicates: 0,
        tokens: Tokens::Off,
    };

    /// Whether this rule is the broken one.
    #[must_use]
    pub fn broken(&self, control: Control) -> bool {
        self.control == Some(control)
    }

    /// Whether a client waits in line.
    #[must_use]
    pub fn waits(&self, client: usize) -> bool {
        self.asks[client] > 0
    }

    /// How many endpoints are a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        if self.broken(Control::MajorityOfOne) { 1 } else { 2 }
    }

    /// How long an endpoint that forgot gives no votes.
    #[must_use]
    pub fn quarantine(&self) -> u8 {
        let longest = self.ttls.iter().copied().max().unwrap_or(0);
        match self.control {
            Some(Control::NoQuarantine) => 0,
            Some(Control::QuarantineShorterThanTtl) => longest - 1,
            Some(Control::QuarantineShorterThanShadow) => self.shadow_ttl - 1,
            Some(Control::QuarantineShorterThanClocks) => 1,
            _ => self.quarantine,
        }
    }

    /// Until when a round that asked for this TTL may be counted on.
    #[must_use]
    pub fn validity(&self, ttl: u8) -> u8 {
        if self.broken(Control::NoDrift) { ttl } else { ttl.saturating_sub(self.drift) }
    }

    /// The largest proposal and first stripe that are tried.
    #[must_use]
    pub fn proposals(&self) -> u8 {
        match self.tokens {
            Tokens::Off | Tokens::Clocks { .. } => 0,
            Tokens::Any(most) | Tokens::NoClocks(most) => most,
        }
    }

    /// Whether time passes in ticks.
    #[must_use]
    pub fn timed(&self) -> bool {
        !matches!(self.tokens, Tokens::NoClocks(_))
    }
}
