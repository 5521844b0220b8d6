//! A held lease under random histories: answers of any kind, in any order, to any round, at any time; timers late or not at
//! all. What is promised holds after every step.

use std::collections::{BTreeMap, BTreeSet};

use leasehold::protocol::validity::{deadline, given_ms, notice_at};
use leasehold::protocol::{
    Action, Fence, Hold, HoldEvent, HoldParams, LossReason, Moment, Quorum, Reply, Request, Round,
};
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use crate::support::{T0, granted, held, not_sent, quarantined, terms, unknown};

const TTL_MS: u32 = 2_000;
const PATIENCE_MS: u32 = 300;
const TOKEN: u64 = 77;

#[derive(Clone, Debug)]
enum Step {
    /// An answer arrives to one of the requests ever sent, chosen among the newest first.
    Answer {
        back: prop::sample::Index,
        newest: bool,
        reply: Reply,
    },
    /// Time passes.
    Pass {
        ms: u64,
    },
    /// The timer rings, when it should or whenever.
    Ring,
    /// Time passes until the timer rings.
    Sleep,
    Release,
}

fn replies() -> impl Strategy<Value = Reply> {
    prop_oneof![
        8 => prop::sample::select(vec![granted(TOKEN)]),
        4 => prop::sample::select(vec![Reply::Missing, Reply::Released]),
        2 => prop::sample::select(vec![held(50), Reply::NotALock]),
        3 => prop::sample::select(vec![unknown(), not_sent(), quarantined(), Reply::Superseded]),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (any::<prop::sample::Index>(), prop::bool::weighted(0.8), replies())
            .prop_map(|(back, newest, reply)| Step::Answer { back, newest, reply }),
        3 => (0u64..60).prop_map(|ms| Step::Pass { ms }),
        1 => (0u64..2_500).prop_map(|ms| Step::Pass { ms }),
        1 => prop::sample::select(vec![Step::Ring]),
        6 => prop::sample::select(vec![Step::Sleep]),
        1 => prop::sample::select(vec![Step::Release]),
    ]
}

/// What arrived in answer to one round.
#[derive(Debug, Default)]
struct Ballots {
    yes: BTreeSet<usize>,
    against: BTreeSet<usize>,
}

/// The machine beside what an onlooker knows of it.
struct Watched {
    quorum: Quorum,
    machine: Hold,
    now: Moment,
    sent: Vec<Request>,
    /// When each round began, and the TTL it asked for.
    begun: BTreeMap<Round, (Moment, u32)>,
    events: Vec<HoldEvent>,
    ballots: BTreeMap<Round, Ballots>,
    deadline: Moment,
    loss: Option<LossReason>,
    losses_told: u32,
    releases_told: u32,
}

impl Watched {
    /// One that was given in line stands for half of the TTL at first.
    fn new(quorum: Quorum, jitter_seed: u64, given: bool) -> Self {
        let mut params = HoldParams { patience_ms: PATIENCE_MS, jitter_seed, ..terms(quorum, TOKEN, TTL_MS) };
        if given {
            params.grant.deadline = deadline(T0, given_ms(TTL_MS));
        }
        Self {
            quorum,
            machine: Hold::new(params),
            now: T0.plus_ms(2),
            sent: Vec::new(),
            begun: BTreeMap::new(),
            events: Vec::new(),
            ballots: BTreeMap::new(),
            deadline: params.grant.deadline,
            loss: None,
            losses_told: 0,
            releases_told: 0,
        }
    }

    fn notice(&self) -> Moment {
        notice_at(self.deadline, TTL_MS)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass { ms } => self.now = self.now.plus_ms(ms),
            Step::Ring => {
                let due = self.machine.poll_timeout().is_some_and(|at| at <= self.now);
                self.machine.handle_timeout(self.now);
                let silent =
                    due || (self.machine.poll_request().is_none() && self.machine.poll_event().is_none());
                assert!(silent, "woken for nothing, it does something");
            }
            Step::Sleep => {
                self.now = self.now.max(self.machine.poll_timeout().unwrap_or(self.now));
                self.machine.handle_timeout(self.now);
            }
            Step::Release => self.machine.handle_release(self.now),
            Step::Answer { back, newest, reply } => self.answer(back, newest, &reply),
        }
        self.check();
    }

    fn answer(&mut self, back: prop::sample::Index, newest: bool, reply: &Reply) {
        if self.sent.is_empty() {
            return;
        }
        let all = self.quorum.endpoints() as usize;
        let among = if newest { self.sent.len().min(all) } else { self.sent.len() };
        let request = self.sent[self.sent.len() - 1 - back.index(among)].clone();
        let index = request.endpoint.index();
        let renewing = !matches!(request.action, Action::Release);
        if renewing && self.now < self.notice() {
            let ballots = self.ballots.entry(request.round).or_default();
            match reply {
                Reply::Granted { .. } => drop(ballots.yes.insert(index)),
                Reply::Held { .. } | Reply::NotALock => drop(ballots.against.insert(index)),
                _ => {}
            }
        }
        self.machine.handle_reply(self.now, request.endpoint, request.round, reply);
    }

    fn check(&mut self) {
        let (old_loss, old_deadline, old_notice) = (self.loss, self.deadline, self.notice());
        // A renewal that is due is admitted at once.
        while let Some(event) = self.machine.poll_event() {
            if matches!(event, HoldEvent::RenewalDue { .. }) {
                self.machine.handle_admission(self.now, TTL_MS, 0);
            }
            self.events.push(event);
        }
        self.loss = self.machine.loss();
        self.deadline = self.machine.deadline();
        self.check_deadline(old_deadline, old_notice);
        self.check_requests(old_loss);
        self.check_loss(old_loss);
        self.check_events();

        assert!(!(self.machine.is_valid(self.now) && self.loss.is_some()));
        assert!(!self.machine.is_valid(self.notice()), "valid at its own notice");
        match (self.loss, self.machine.poll_timeout()) {
            (None, Some(at)) => assert!(at <= self.notice(), "the timer is set too late for the notice"),
            (None, None) => panic!("held, and no timer for the notice"),
            _ => {}
        }
    }

    fn check_deadline(&self, old_deadline: Moment, old_notice: Moment) {
        if self.deadline == old_deadline {
            return;
        }
        assert!(self.deadline > old_deadline, "the deadline moved back");
        assert!(self.now < old_notice, "the deadline moved after the old one");
        let carried = self.begun.iter().any(|(round, &(t0, ttl_ms))| {
            // Who confirmed a later round of the same kind has the lock for longer.
            let alike = self.begun.range(round..).filter(|(_, (_, later_ms))| *later_ms == ttl_ms);
            let ballots = alike.filter_map(|(round, _)| self.ballots.get(round));
            let yes: BTreeSet<usize> = ballots.flat_map(|ballots| &ballots.yes).copied().collect();
            self.deadline == deadline(t0, ttl_ms) && yes.len() >= self.quorum.majority() as usize
        });
        assert!(carried, "moved by no round that a majority confirmed: {:?}", self.ballots);
    }

    fn check_requests(&mut self, old_loss: Option<LossReason>) {
        while let Some(request) = self.machine.poll_request() {
            match request.action {
                Action::Extend { ttl_ms, fence } | Action::Heal { ttl_ms, fence } => {
                    assert_eq!((ttl_ms, fence), (TTL_MS, Fence::new(TOKEN)));
                    assert_eq!((old_loss, self.loss), (None, None), "a renewal after the end");
                    assert!(self.machine.wants(&request), "asked for and not wanted");
                    self.begun.entry(request.round).or_insert((self.now, TTL_MS));
                }
                Action::Shadow { ttl_ms } => {
                    assert_eq!(ttl_ms, 10 * TTL_MS);
                    assert_eq!((old_loss, self.loss), (None, None), "a shadow after the end");
                    self.begun.entry(request.round).or_insert((self.now, ttl_ms));
                }
                Action::Release => assert!(self.loss.is_some(), "released while held"),
                other => panic!("{other:?} is not the holder's business"),
            }
            self.sent.push(request);
        }
        if self.loss.is_some() {
            let renewals = self.sent.iter().filter(|request| request.action != Action::Release);
            assert!(
                renewals.into_iter().all(|request| !self.machine.wants(request)),
                "a renewal wanted after the end"
            );
            let released: Vec<_> =
                self.sent.iter().filter(|request| request.action == Action::Release).collect();
            assert_eq!(
                released.len(),
                self.quorum.endpoints() as usize,
                "each endpoint is told once: {released:?}"
            );
        }
    }

    fn check_loss(&self, old_loss: Option<LossReason>) {
        assert!(old_loss.is_none() || old_loss == self.loss, "{old_loss:?} became {:?}", self.loss);
        if old_loss == self.loss {
            return;
        }
        match self.loss {
            Some(LossReason::Expired) => assert!(self.now >= self.notice(), "expired too early"),
            Some(LossReason::Taken) => {
                let majority = self.quorum.majority() as usize;
                let taken = self.ballots.values().any(|ballots| ballots.against.len() >= majority);
                assert!(taken, "taken by {:?}", self.ballots);
            }
            _ => {}
        }
    }

    fn check_events(&mut self) {
        for event in self.events.drain(..) {
            match event {
                HoldEvent::Lost(reason) => {
                    self.losses_told += 1;
                    assert_eq!(self.loss, Some(reason));
                }
                HoldEvent::Released { .. } => {
                    self.releases_told += 1;
                    assert_eq!(self.loss, Some(LossReason::Released));
                }
                HoldEvent::Renewed { t0, .. } | HoldEvent::RenewalFailed { t0 } => {
                    assert!(self.begun.values().any(|&(begun, _)| begun == t0));
                }
                HoldEvent::RenewalDue { urgent_at, .. } => assert!(urgent_at < self.deadline),
                HoldEvent::ExpiringSoon => {}
            }
        }
        let lost = !matches!(self.loss, None | Some(LossReason::Released));
        assert_eq!(self.losses_told, u32::from(lost), "a loss is told once");
        assert!(self.releases_told <= 1);
    }

    /// Left alone, every lease comes to its end, in time.
    fn finish(mut self) {
        for _ in 0..200 {
            if self.machine.poll_timeout().is_none() {
                let released = self.loss == Some(LossReason::Released);
                assert!(self.loss.is_some());
                assert_eq!(self.releases_told, u32::from(released), "how a release ends is told once");
                return;
            }
            self.take(Step::Sleep);
        }
        panic!("it goes on for ever");
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1_500))]

    #[test]
    fn what_is_promised_holds_after_every_step(
        half in 0usize..3,
        jitter_seed in any::<u64>(),
        history in prop::collection::vec(steps(), 0..120),
        given in any::<bool>(),
    ) {
        let mut watched = Watched::new(Quorum::new(2 * half + 1).unwrap(), jitter_seed, given);
        for step in history {
            watched.take(step);
        }
        watched.finish();
    }
}
