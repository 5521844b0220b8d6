//! One attempt to acquire: every combination of answers, in every order, early and late, cancelled at every point.

use std::collections::BTreeSet;

use leasehold::protocol::validity::{deadline, min_validity_ns};
use leasehold::protocol::{
    Action, Attempt, AttemptFailure, AttemptParams, Fence, Grant, Moment, OwnerId, Quorum, Reply, Request,
    Round,
};
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use crate::support::{T0, assignments, granted, held, id, not_sent, three, unknown};

const TTL_MS: u32 = 5_000;
const TOKEN: u64 = 100;

/// What endpoints answer, and when.
struct World {
    quorum: Quorum,
    /// To the acquire, by place.
    votes: Vec<Reply>,
    /// To the raise, by place.
    confirmations: Vec<Reply>,
    now: Moment,
}

/// One answer that arrived.
struct Step {
    request: Request,
    reply: Reply,
    /// The outcome before it.
    before: Option<Result<Grant, AttemptFailure>>,
}

/// One run: which of the requests under way is answered next is chosen from outside.
struct Run {
    attempt: Attempt,
    steps: Vec<Step>,
    releases: BTreeSet<usize>,
}

impl World {
    fn reply(&self, request: &Request) -> Reply {
        let index = request.endpoint.index();
        match request.action {
            Action::Acquire { .. } => self.votes[index].clone(),
            Action::Raise { fence } => match &self.confirmations[index] {
                Reply::Granted { .. } => Reply::Granted { fence },
                other => other.clone(),
            },
            _ => unreachable!("an attempt asks for nothing else before its end"),
        }
    }

    /// Plays until `stop` answers have arrived, or all have. `choose(options)` picks the next to arrive.
    fn play(&self, stop: usize, mut choose: impl FnMut(usize) -> usize) -> Run {
        let params = AttemptParams {
            quorum: self.quorum,
            owner: OwnerId::new(1),
            ttl_ms: TTL_MS,
            proposal: TOKEN,
            t0: T0,
            patience_ms: 1_000,
        };
        let mut run = Run { attempt: Attempt::new(params), steps: Vec::new(), releases: BTreeSet::new() };
        let mut under_way = Vec::new();
        loop {
            run.collect(&mut under_way);
            if under_way.is_empty() || run.steps.len() == stop {
                return run;
            }
            let request = under_way.remove(choose(under_way.len()));
            let (reply, before) = (self.reply(&request), run.attempt.outcome());
            run.attempt.handle_reply(self.now, request.endpoint, request.round, reply.clone());
            run.steps.push(Step { request, reply, before });
        }
    }

    /// Plays every order there is.
    fn play_all(&self, stop: usize, mut check: impl FnMut(Run)) {
        // A choice is a digit of a number whose bases are learned on the way; count it up until it overflows.
        let mut digits: Vec<(usize, usize)> = Vec::new();
        loop {
            let mut place = 0;
            let run = self.play(stop, |options| {
                if place == digits.len() {
                    digits.push((0, options));
                }
                place += 1;
                digits[place - 1].0
            });
            check(run);
            while digits.last().is_some_and(|&(digit, base)| digit + 1 == base) {
                digits.pop();
            }
            match digits.last_mut() {
                Some((digit, _)) => *digit += 1,
                None => return,
            }
        }
    }
}

impl Run {
    fn collect(&mut self, under_way: &mut Vec<Request>) {
        while let Some(request) = self.attempt.poll_request() {
            if request.action == Action::Release {
                assert!(self.releases.insert(request.endpoint.index()), "undone twice");
            } else {
                under_way.push(request);
            }
        }
    }

    fn answers(&self, until_decided: bool) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| !until_decided || step.before.is_none())
    }

    /// Endpoints that may hold the attempt's lock, as far as the first `answers` answers tell.
    fn may_hold(&self, quorum: Quorum, until_decided: bool) -> BTreeSet<usize> {
        let mut may: BTreeSet<usize> = quorum.ids().map(|id| id.index()).collect();
        for Step { request, reply, .. } in self.answers(until_decided) {
            let refused = !matches!(reply, Reply::Granted { .. } | Reply::Unknown(_));
            if matches!(request.action, Action::Acquire { .. }) && refused {
                may.remove(&request.endpoint.index());
            }
        }
        may
    }
}

/// What the design says must come of these answers in this order, by plain counting.
fn verdict(world: &World, run: &Run) -> Option<Result<(Fence, usize), AttemptFailure>> {
    let majority = world.quorum.majority() as usize;
    let mut voters: Vec<(usize, u64)> = Vec::new();
    let mut confirmed = BTreeSet::new();
    let mut refused_to_raise = false;
    let (mut answered, mut against, mut not_locks, mut out) = (0, 0, 0, 0);
    let mut left_ms: Option<u64> = None;
    for Step { request, reply, .. } in &run.steps {
        let index = request.endpoint.index();
        match (&request.action, reply) {
            (Action::Acquire { .. }, _) if voters.len() == majority => {}
            (Action::Acquire { .. }, Reply::Granted { fence }) => {
                voters.push((index, fence.get()));
                answered += 1;
            }
            (Action::Acquire { .. }, reply) => {
                against += 1;
                match reply {
                    Reply::Held { left_ms: left } => {
                        answered += 1;
                        left_ms = Some(left_ms.map_or(*left, |least| least.min(*left)));
                    }
                    Reply::NotALock => {
                        answered += 1;
                        not_locks += 1;
                    }
                    _ => out += 1,
                }
            }
            (Action::Raise { .. }, Reply::Granted { .. }) => drop(confirmed.insert(index)),
            (Action::Raise { .. }, _) => refused_to_raise = true,
            _ => unreachable!(),
        }
        if voters.len() == majority {
            let token = voters.iter().map(|&(_, token)| token).max().unwrap();
            confirmed.extend(voters.iter().filter(|&&(_, drawn)| drawn == token).map(|&(index, _)| index));
            if confirmed.len() >= majority {
                let in_time = deadline(T0, TTL_MS).ns_since(world.now) >= min_validity_ns(TTL_MS);
                let won = (Fence::new(token), confirmed.len());
                return Some(if in_time { Ok(won) } else { Err(AttemptFailure::ValidityExhausted) });
            }
            if refused_to_raise {
                return Some(Err(AttemptFailure::NoQuorum));
            }
            continue;
        }
        let spare = world.quorum.spare() as usize;
        // Out of reach, and what is still out cannot turn "no quorum" into "held" any more.
        if against > spare && (answered >= majority || out > spare) {
            return Some(Err(match left_ms {
                _ if not_locks > spare => AttemptFailure::NotALock,
                Some(left_ms) if answered >= majority => AttemptFailure::Held { left_ms },
                _ => AttemptFailure::NoQuorum,
            }));
        }
    }
    None
}

fn check(world: &World, run: &Run) {
    let outcome = run.attempt.outcome();
    let expected = verdict(world, run);
    match (&outcome, &expected) {
        (Some(Ok(grant)), Some(Ok((fence, voters)))) => {
            assert_eq!((grant.fence, grant.voters.len() as usize), (*fence, *voters));
            assert!(grant.voters.len() >= world.quorum.majority());
            assert_eq!(grant.deadline, deadline(T0, TTL_MS));
            assert!(run.releases.is_empty(), "won, and undone");
        }
        (Some(Err(failure)), Some(Err(wanted))) => {
            assert_eq!(failure, wanted);
            assert_eq!(
                run.releases,
                run.may_hold(world.quorum, true),
                "undone where the lock may be, and only there"
            );
        }
        (None, None) => assert!(run.releases.is_empty(), "undecided, and undone"),
        _ => panic!("{outcome:?} instead of {expected:?}"),
    }
    // The outcome stood from the answer that decided it to the last.
    let mut before = run.steps.iter().filter_map(|step| step.before);
    assert!(before.all(|before| Some(before) == outcome), "a late answer changed the outcome");
    for &index in &run.releases {
        let undo = Request { endpoint: id(index), round: Round(2), action: Action::Release };
        let needed = run.may_hold(world.quorum, false).contains(&index);
        assert_eq!(run.attempt.wants(&undo), needed, "an undo is sent while it may be needed");
    }
}

fn votes() -> [Reply; 7] {
    [granted(TOKEN), granted(TOKEN + 9), held(800), Reply::Missing, Reply::NotALock, unknown(), not_sent()]
}

fn confirmations() -> [Reply; 4] {
    [granted(0), held(5), Reply::Superseded, unknown()]
}

fn moments() -> [Moment; 2] {
    [T0.plus_ms(3), deadline(T0, TTL_MS).minus_ns(min_validity_ns(TTL_MS) - 1)]
}

/// Every world of three endpoints: 7 x 7 x 7 votes, 4 answers to a raise, early and late.
fn worlds() -> impl Iterator<Item = World> {
    assignments(&votes(), 3).into_iter().flat_map(|votes| {
        confirmations().into_iter().flat_map(move |confirmation| {
            let votes = votes.clone();
            moments().map(|now| World {
                quorum: three(),
                votes: votes.clone(),
                confirmations: vec![confirmation.clone(); 3],
                now,
            })
        })
    })
}

#[test]
fn every_order_of_every_answer_of_three_endpoints() {
    let (mut runs, mut won) = (0, 0);
    for world in worlds() {
        world.play_all(usize::MAX, |run| {
            check(&world, &run);
            assert!(run.attempt.outcome().is_some(), "all have answered, and nothing is decided");
            runs += 1;
            won += u32::from(matches!(run.attempt.outcome(), Some(Ok(_))));
        });
    }
    assert!(runs > 16_000 && won > 1_000, "{runs} runs, {won} won: too few to prove anything");
}

#[test]
fn an_attempt_that_still_waits_is_ended_by_its_timeout_and_undone() {
    let mut raising_seen = 0;
    for world in worlds() {
        for stop in 0..4 {
            world.play_all(stop, |mut run| {
                if run.attempt.outcome().is_some() {
                    return;
                }
                let at = run.attempt.poll_timeout().unwrap();
                run.attempt.handle_timeout(at.minus_ns(1));
                assert_eq!(run.attempt.outcome(), None, "ended too early");
                run.attempt.handle_timeout(at);

                let yes = run.steps.iter().filter(|step| matches!(step.reply, Reply::Granted { .. })).count();
                let held = run.steps.iter().filter(|step| matches!(step.reply, Reply::Held { .. })).count();
                raising_seen += u32::from(yes == 2);
                // Where a majority said yes, nobody else holds the lock, whatever the third says.
                let expected = match (yes, held) {
                    (1, 1) => AttemptFailure::Held { left_ms: 800 },
                    _ => AttemptFailure::NoQuorum,
                };
                let replies: Vec<&Reply> = run.steps.iter().map(|step| &step.reply).collect();
                assert_eq!(run.attempt.outcome(), Some(Err(expected)), "{replies:?}");
                run.collect(&mut Vec::new());
                assert_eq!(run.releases, run.may_hold(world.quorum, false));
            });
        }
    }
    assert!(raising_seen > 1_000, "{raising_seen}");
}

#[test]
fn a_cancel_at_any_point_undoes_whatever_may_have_been_taken() {
    for world in worlds() {
        for stop in 0..=4 {
            world.play_all(stop, |mut run| {
                let before = run.attempt.outcome();
                run.attempt.handle_cancel();
                run.collect(&mut Vec::new());
                let expected = match before {
                    Some(Err(failure)) => failure,
                    _ => AttemptFailure::Cancelled,
                };
                assert_eq!(run.attempt.outcome(), Some(Err(expected)));
                let until_decided = matches!(before, Some(Err(_)));
                assert_eq!(run.releases, run.may_hold(world.quorum, until_decided));
                // Nothing brings it back, and a second cancel asks for nothing more.
                run.attempt.handle_cancel();
                for id in world.quorum.ids() {
                    run.attempt.handle_reply(world.now, id, Round(0), granted(TOKEN));
                    run.attempt.handle_reply(world.now, id, Round(1), granted(TOKEN));
                }
                run.attempt.handle_timeout(world.now.plus_ms(60_000));
                assert_eq!(run.attempt.outcome(), Some(Err(expected)));
                assert_eq!(run.attempt.poll_request(), None);
                assert_eq!(run.attempt.poll_timeout(), None);
            });
        }
    }
}

#[test]
fn answers_that_come_again_change_nothing_once_it_is_decided() {
    for world in worlds() {
        let mut run = world.play(usize::MAX, |_| 0);
        let outcome = run.attempt.outcome();
        for index in 0..3 {
            for round in 0..4 {
                for reply in votes() {
                    let endpoint = id(index);
                    run.attempt.handle_reply(T0.plus_ms(4), endpoint, Round(round), reply);
                }
            }
        }
        assert_eq!(run.attempt.outcome(), outcome);
        assert_eq!(run.attempt.poll_request(), None);
    }
}

fn any_vote() -> impl Strategy<Value = Reply> {
    // Mostly yes with tokens close together, so that raises happen.
    prop_oneof![
        4 => (TOKEN..TOKEN + 3).prop_map(granted),
        1 => (1u64..5_000).prop_map(held),
        2 => prop::sample::select(votes().to_vec()),
    ]
}

fn any_confirmation() -> impl Strategy<Value = Reply> {
    prop_oneof![4 => prop::sample::select(vec![granted(0)]), 1 => prop::sample::select(confirmations().to_vec())]
}

proptest! {
    #[test]
    fn five_and_seven_endpoints_obey_the_same_rules(
        half in 2usize..4,
        votes in prop::collection::vec(any_vote(), 7),
        confirmations in prop::collection::vec(any_confirmation(), 7),
        late in any::<bool>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 14),
        stop in 0usize..15,
    ) {
        let quorum = Quorum::new(2 * half + 1).unwrap();
        let world = World { quorum, votes, confirmations, now: moments()[usize::from(late)] };
        let mut order = order.into_iter();
        let run = world.play(stop, |options| order.next().unwrap().index(options));
        check(&world, &run);
    }
}
