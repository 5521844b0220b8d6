//! What is explored, how far, and which control must be caught where.

use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker as _, HasDiscoveries, Model};

use crate::admission::{Admission, EARNED};
use crate::referee::{
    ACTING_OVERLAP, DEGRADED, EXCLUSION, GIVEN_TO_SLEEPER, GRANTED, HANDED_OVER, LATCHED, ORDER, PROGRESS,
    RENEWED, RETRIED, Sight, TOKENS, UNHEARD,
};
use crate::rules::{Control, Rules, Tokens};
use crate::state::Op;
use crate::world::World;

/// A part of what may happen, and how far it is explored.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// What is in it.
    pub name: &'static str,
    /// Steps from the beginning; `None` where every reachable state is looked at.
    pub depth: Option<usize>,
    /// Whether it is small enough to run with the tests.
    pub quick: bool,
    /// Its bounds.
    pub subject: Subject,
}

/// What a slice explores.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "named as the models are")]
pub enum Subject {
    World(World),
    Admission(Admission),
}

/// A rule broken, and where that must be seen.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// The rule.
    pub control: Control,
    /// The slice.
    pub slice: &'static str,
    /// The property that must fail.
    pub property: &'static str,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Different states, all orders of the endpoints being one.
    pub states: usize,
    /// Steps tried.
    pub steps: usize,
    /// The longest way from the beginning, in steps.
    pub depth: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// Properties that failed, each with the steps that lead there.
    pub failed: Vec<(&'static str, Vec<String>)>,
    /// Sights that were not seen.
    pub unseen: Vec<&'static str>,
}

impl Slice {
    fn new(name: &'static str, rules: Rules, sight: Sight) -> Self {
        Self { name, depth: None, quick: false, subject: Subject::World(World { rules, sight }) }
    }

    fn admission(name: &'static str, faults: u8) -> Self {
        let admission = Admission { control: None, ttl: 2, quarantine: 2, faults };
        Self { name, depth: None, quick: false, subject: Subject::Admission(admission) }
    }

    fn quick(self) -> Self {
        Self { quick: true, ..self }
    }

    fn to_depth(self, depth: usize) -> Self {
        Self { depth: Some(depth), ..self }
    }

    /// Explores it, with one rule broken if `control` says so.
    #[must_use]
    pub fn explore(&self, control: Option<Control>, threads: usize) -> Outcome {
        match &self.subject {
            Subject::World(world) => {
                let rules = Rules { control, ..world.rules };
                explore(World { rules, ..*world }, self.depth, threads)
            }
            Subject::Admission(admission) => {
                explore(Admission { control, ..*admission }, self.depth, threads)
            }
        }
    }
}

fn explore<M>(model: M, depth: Option<usize>, threads: usize) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Clone + PartialEq + Send + Sync + std::fmt::Debug,
    M::Action: Clone + PartialEq + std::fmt::Debug,
{
    let start = Instant::now();
    // Several threads drift apart by a level, and would cut off at the bound what one of them reached by a detour.
    let threads = if depth.is_some() { 1 } else { threads };
    let properties = model.properties();
    let mut builder = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    if let Some(depth) = depth {
        // The checker counts states, the first one included, and looks at none that lies at its bound.
        builder = builder.target_max_depth(depth + 2);
    }
    let checker = builder.spawn_bfs().join();
    let discoveries = checker.discoveries();
    let (must_hold, sights): (Vec<_>, Vec<_>) =
        properties.iter().partition(|property| property.expectation.discovery_is_failure());
    let path = |name| discoveries.get(name).map(|path| path.clone().into_actions());
    let steps = |name| path(name).map(|path| path.iter().map(|step| format!("{step:?}")).collect());
    Outcome {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: depth.unwrap_or(usize::MAX).min(checker.max_depth() - 1),
        elapsed: start.elapsed(),
        failed: must_hold.iter().filter_map(|p| steps(p.name).map(|steps| (p.name, steps))).collect(),
        unseen: sights.iter().map(|p| p.name).filter(|name| !discoveries.contains_key(name)).collect(),
    }
}

/// All slices.
#[must_use]
pub fn slices() -> Vec<Slice> {
    [asking(), waiting()].concat()
}

/// Slices in which somebody waits in line, and is given the lock. They begin with an earlier holder's lock and its release.
fn waiting() -> Vec<Slice> {
    let line = Rules {
        asks: [1, 1, 0],
        predecessor: &[Op::Release],
        ttls: &[2],
        quarantine: 2,
        release: false,
        ..Rules::PLAIN
    };
    vec![
        Slice::new("line, release and undo", Rules { release: true, ..line }, HANDED_OVER).quick(),
        Slice::new(
            "line, given for less",
            Rules { ttls: &[3], given_less: 1, quarantine: 3, release: true, ..line },
            HANDED_OVER,
        ),
        Slice::new("line, a retry", Rules { attempts: [2, 1, 0], ..line }, HANDED_OVER).to_depth(11),
        Slice::new(
            "line, word and asking again",
            Rules { asks: [2, 0, 0], ttls: &[1], quarantine: 1, ..line },
            UNHEARD,
        ),
        Slice::new("line, asking again", Rules { asks: [2, 0, 0], predecessor: &[], ..line }, UNHEARD)
            .to_depth(15),
        Slice::new("line, renewal", Rules { renewals: [1, 0, 0], ..line }, HANDED_OVER),
        Slice::new("line, an amnesia", Rules { amnesias: 1, ..line }, HANDED_OVER).to_depth(11),
        Slice::new(
            "line, an amnesia but for the line",
            Rules {
                asks: [0, 1, 0],
                predecessor: &[Op::Heal, Op::Release],
                ttls: &[1],
                quarantine: 1,
                amnesias: 1,
                line_kept: true,
                ..line
            },
            HANDED_OVER,
        )
        .to_depth(14),
        Slice::new(
            "line, pause, tokens",
            Rules { asks: [0, 1, 0], ttls: &[1], pauses: true, tokens: Tokens::Any(1), ..line },
            GIVEN_TO_SLEEPER,
        ),
        Slice::new("line, three clients", Rules { clients: 3, asks: [1, 1, 1], ..line }, HANDED_OVER)
            .to_depth(10),
    ]
}

/// Slices in which nobody waits, small ones first.
fn asking() -> Vec<Slice> {
    let plain = Rules::PLAIN;
    let short = Rules { ttls: &[2], quarantine: 2, ..plain };
    vec![
        Slice::admission("admission, two faults", 2).quick(),
        Slice::admission("admission, three faults", 3),
        Slice::new("two acquire, release", plain, GRANTED).quick(),
        Slice::new(
            "pause: a holder sleeps past its deadline",
            Rules { pauses: true, ttls: &[2], tokens: Tokens::Any(1), ..plain },
            ACTING_OVERLAP,
        )
        .quick(),
        Slice::new("tokens, no clock to trust", Rules { tokens: Tokens::NoClocks(1), ..plain }, TOKENS)
            .quick(),
        Slice::new(
            "tokens, no clock to trust, a request twice",
            Rules { tokens: Tokens::NoClocks(0), duplicates: 1, ..plain },
            TOKENS,
        ),
        Slice::new(
            "tokens, no clock to trust, a retry",
            Rules { tokens: Tokens::NoClocks(0), attempts: [2, 1, 0], release: false, ..plain },
            TOKENS,
        )
        .to_depth(15),
        Slice::new(
            "tokens, clocks, an amnesia",
            Rules {
                ttls: &[1],
                quarantine: 3,
                amnesias: 1,
                tokens: Tokens::Clocks { skew: 0, slack: 1, end: 6 },
                ..plain
            },
            TOKENS,
        ),
        Slice::new("retries", Rules { attempts: [2, 1, 0], ..short }, RETRIED),
        Slice::new(
            "retries of both, held to the end",
            Rules { attempts: [2, 2, 0], release: false, ..short },
            RETRIED,
        )
        .to_depth(12),
        Slice::new(
            "retry and renewal, held to the end",
            Rules { attempts: [2, 1, 0], renewals: [1, 0, 0], release: false, ..short },
            RETRIED,
        )
        .to_depth(15),
        Slice::new("three acquire, release", Rules { clients: 3, ..short }, GRANTED),
        Slice::new(
            "three acquire, one renews",
            Rules { clients: 3, renewals: [1, 0, 0], release: false, ..short },
            RENEWED,
        )
        .to_depth(14),
        Slice::new("two amnesias", Rules { amnesias: 2, ..short }, GRANTED),
        Slice::new("renewal, an amnesia", Rules { renewals: [1, 0, 0], amnesias: 1, ..short }, RENEWED),
        Slice::new(
            "two renewals at once, held to the end",
            Rules { renewals: [2, 0, 0], rounds: 2, release: false, ..short },
            RENEWED,
        ),
        Slice::new(
            "two renewals at once, an amnesia",
            Rules { renewals: [2, 0, 0], rounds: 2, amnesias: 1, release: false, ..short },
            RENEWED,
        )
        .to_depth(15),
        Slice::new(
            "renewal, clocks apart within drift",
            Rules { renewals: [1, 1, 0], drift: 1, lags: 1, ..plain },
            RENEWED,
        ),
        Slice::new(
            "renewal, TTL moves",
            Rules { renewals: [1, 0, 0], ttls: &[1, 3], release: false, ..plain },
            RENEWED,
        ),
        Slice::new(
            "grow, renewal, an amnesia",
            Rules { grow: true, renewals: [1, 0, 0], amnesias: 1, release: false, ..short },
            RENEWED,
        )
        .to_depth(15),
        Slice::new(
            "shadow, renewal, held to the end",
            Rules { renewals: [1, 0, 0], rounds: 2, shadow_ttl: 3, release: false, ..short },
            DEGRADED,
        ),
        Slice::new(
            "shadow, renewal, an amnesia",
            Rules {
                ttls: &[1],
                renewals: [1, 0, 0],
                rounds: 2,
                shadow_ttl: 2,
                quarantine: 2,
                amnesias: 1,
                release: false,
                ..plain
            },
            DEGRADED,
        )
        .to_depth(19),
    ]
}

/// All controls.
#[must_use]
pub fn trials() -> Vec<Trial> {
    use Control as C;
    let trial = |control, slice, property| Trial { control, slice, property };
    let admission = |control| Trial { control, slice: "admission, two faults", property: EARNED };
    vec![
        trial(C::MajorityOfOne, "two acquire, release", EXCLUSION),
        trial(C::ReleaseUnowned, "retries", EXCLUSION),
        trial(C::DeadlineFromReply, "two acquire, release", EXCLUSION),
        trial(C::OwnerPerAcquisition, "retries", EXCLUSION),
        trial(C::NoQuarantine, "two amnesias", EXCLUSION),
        trial(C::QuarantineShorterThanTtl, "two amnesias", EXCLUSION),
        trial(C::QuarantineWithoutEnd, "two amnesias", PROGRESS),
        trial(C::VotesInQuarantine, "renewal, an amnesia", EXCLUSION),
        trial(C::VotesAfterDeadline, "renewal, an amnesia", LATCHED),
        trial(C::AnswersOfOlderRounds, "two renewals at once, held to the end", EXCLUSION),
        trial(C::ExtendShortens, "renewal, TTL moves", EXCLUSION),
        trial(C::NoDrift, "renewal, clocks apart within drift", EXCLUSION),
        trial(C::ShadowsIgnored, "shadow, renewal, held to the end", EXCLUSION),
        trial(C::ExtendDropsShadow, "shadow, renewal, held to the end", EXCLUSION),
        trial(C::QuarantineShorterThanShadow, "shadow, renewal, an amnesia", EXCLUSION),
        trial(C::TokenUnraised, "tokens, no clock to trust", ORDER),
        trial(C::RaiseUnowned, "tokens, no clock to trust", ORDER),
        trial(C::StripeAtHandOut, "tokens, no clock to trust", ORDER),
        trial(C::RaiseByOwnerAlone, "tokens, no clock to trust, a request twice", ORDER),
        trial(C::QuarantineShorterThanClocks, "tokens, clocks, an amnesia", ORDER),
        trial(C::ProposalUnclamped, "tokens, clocks, an amnesia", ORDER),
        // Word counts from before the request with its proposal was sent.
        trial(C::HandOverFromHearing, "line, release and undo", EXCLUSION),
        trial(C::HandOverForNewest, "line, word and asking again", EXCLUSION),
        trial(C::GivenInFull, "line, given for less", EXCLUSION),
        // Who asks again and has the lock is told yes, and the lock is extended.
        trial(C::RefreshKeepsExpiry, "line, asking again", EXCLUSION),
        // The lock is given to the first in line, if it was freed, and not in quarantine.
        trial(C::TwoGiven, "line, release and undo", EXCLUSION),
        trial(C::UndoGives, "line, renewal", EXCLUSION),
        trial(C::HandOverInQuarantine, "line, an amnesia but for the line", EXCLUSION),
        // What is parked dies.
        trial(C::ParkedWithoutEnd, "line, release and undo", PROGRESS),
        admission(C::NoQuarantine),
        admission(C::MemberBeforeQuarantine),
        admission(C::QuarantineBeforeMember),
        admission(C::HashAsProof),
        admission(C::RunIdAlone),
        admission(C::MemberUnread),
        admission(C::IdentityUnread),
    ]
}
