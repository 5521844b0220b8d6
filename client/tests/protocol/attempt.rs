//! One attempt to acquire, told case by case; every order of every answer is in `attempt_orders`.

use leasehold::protocol::validity::{deadline, min_validity_ns};
use leasehold::protocol::{
    Action, Attempt, AttemptFailure, AttemptParams, EndpointSet, Fence, Grant, Moment, OwnerId, Quorum,
    Reply, Request, Round,
};

use crate::support::{T0, granted, held, id, not_sent, quarantined, set, three, unknown};

const TTL_MS: u32 = 5_000;
const PATIENCE_MS: u32 = 1_000;

/// An attempt with what it asked for, so that answers find their round.
struct Played {
    machine: Attempt,
    asked: Vec<Request>,
}

impl Played {
    fn start(quorum: Quorum) -> Self {
        let params = AttemptParams {
            quorum,
            owner: OwnerId::new(7),
            ttl_ms: TTL_MS,
            proposal: 100,
            t0: T0,
            patience_ms: PATIENCE_MS,
        };
        let mut played = Self { machine: Attempt::new(params), asked: Vec::new() };
        played.listen();
        played
    }

    fn listen(&mut self) {
        self.asked.extend(std::iter::from_fn(|| self.machine.poll_request()));
    }

    fn answer_at(&mut self, now: Moment, index: usize, round: u32, reply: Reply) {
        self.machine.handle_reply(now, id(index), Round(round), reply);
        self.listen();
    }

    /// An answer to the acquire.
    fn vote(&mut self, index: usize, reply: Reply) {
        self.answer_at(T0.plus_ms(1), index, 0, reply);
    }

    /// An answer to the raise.
    fn confirm(&mut self, index: usize, reply: Reply) {
        self.answer_at(T0.plus_ms(2), index, 1, reply);
    }

    fn won(&self) -> Grant {
        match self.machine.outcome() {
            Some(Ok(grant)) => grant,
            other => panic!("not won: {other:?}"),
        }
    }

    fn lost(&self) -> AttemptFailure {
        match self.machine.outcome() {
            Some(Err(failure)) => failure,
            other => panic!("not lost: {other:?}"),
        }
    }

    fn asked_to(&self, action: Action) -> EndpointSet {
        self.asked.iter().filter(|request| request.action == action).map(|request| request.endpoint).collect()
    }
}

#[test]
fn an_attempt_begins_by_asking_every_endpoint_at_once() {
    let played = Played::start(three());
    assert_eq!(played.asked.len(), 3);
    assert_eq!(played.asked_to(Action::Acquire { ttl_ms: TTL_MS, proposal: 100 }), set([0, 1, 2]));
    assert_eq!(played.machine.outcome(), None);
    assert_eq!(played.machine.poll_timeout(), Some(T0.plus_ms(1_000)));
}

#[test]
fn two_equal_tokens_of_three_win_in_one_round_trip() {
    let mut played = Played::start(three());
    played.vote(2, granted(100));
    assert_eq!(played.machine.outcome(), None);
    played.vote(0, granted(100));
    let grant = played.won();
    assert_eq!(grant.fence, Fence::new(100));
    assert_eq!(grant.deadline, deadline(T0, TTL_MS));
    assert_eq!(grant.voters, set([0, 2]));
    assert_eq!(played.asked.len(), 3, "nothing more is asked");
    assert_eq!(played.machine.poll_timeout(), None);
}

#[test]
fn a_single_endpoint_is_its_own_majority() {
    let mut played = Played::start(Quorum::new(1).unwrap());
    played.vote(0, granted(9));
    assert_eq!(played.won().voters, set([0]));
}

#[test]
fn the_token_is_the_largest_drawn_and_the_others_are_raised_to_it() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.vote(1, granted(108));
    assert_eq!(played.machine.outcome(), None, "one endpoint holds 108, and one is no majority");
    assert_eq!(played.asked_to(Action::Raise { fence: Fence::new(108) }), set([0]));
    played.confirm(0, granted(108));
    assert_eq!(played.won().fence, Fence::new(108));
    assert_eq!(played.won().voters, set([0, 1]));
}

#[test]
fn a_yes_after_the_majority_is_not_counted_not_even_for_its_token() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.vote(1, granted(108));
    played.vote(2, granted(999));
    assert_eq!(played.asked_to(Action::Raise { fence: Fence::new(999) }), set([]));
    played.confirm(0, granted(108));
    assert_eq!(played.won().fence, Fence::new(108));
    assert_eq!(played.won().voters, set([0, 1]));
}

#[test]
fn a_raise_is_confirmed_only_by_the_owner() {
    for refusal in
        [held(10), Reply::Missing, Reply::Superseded, Reply::NotALock, quarantined(), not_sent(), unknown()]
    {
        let mut played = Played::start(three());
        played.vote(0, granted(100));
        played.vote(1, granted(108));
        played.confirm(0, refusal.clone());
        assert_eq!(played.lost(), AttemptFailure::NoQuorum, "{refusal:?}");
        assert_eq!(played.machine.replies()[0], Some(refusal), "its reason is now why it does not count");
        assert_eq!(played.asked_to(Action::Release), set([0, 1, 2]));
    }
}

#[test]
fn an_endpoint_that_was_not_asked_to_raise_cannot_confirm_a_raise() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.vote(1, granted(108));
    played.confirm(2, granted(108));
    assert_eq!(played.machine.outcome(), None);
    played.confirm(1, granted(108));
    assert_eq!(played.machine.outcome(), None, "it voted for 108 already");
}

#[test]
fn no_answer_to_a_raise_is_no_quorum_whoever_holds_the_third() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.vote(1, granted(108));
    played.vote(2, held(4_000));
    played.machine.handle_timeout(T0.plus_ms(PATIENCE_MS.into()));
    // A majority said yes: it would be wrong to tell that somebody else holds the lock.
    assert_eq!(played.lost(), AttemptFailure::NoQuorum);
}

#[test]
fn a_lease_is_not_handed_out_with_hardly_any_validity_left() {
    let end = deadline(T0, TTL_MS);
    let last_call = end.minus_ns(min_validity_ns(TTL_MS));
    for (now, wins) in
        [(last_call, true), (last_call.plus_ns(1), false), (end, false), (end.plus_ms(60_000), false)]
    {
        let mut played = Played::start(three());
        played.vote(0, granted(100));
        played.answer_at(now, 1, 0, granted(100));
        if wins {
            assert_eq!(played.won().deadline, end);
        } else {
            assert_eq!(played.lost(), AttemptFailure::ValidityExhausted);
        }
    }
}

#[test]
fn the_validity_is_looked_at_after_the_raise() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.vote(1, granted(108));
    played.answer_at(deadline(T0, TTL_MS), 0, 1, granted(108));
    assert_eq!(played.lost(), AttemptFailure::ValidityExhausted);
    assert_eq!(played.asked_to(Action::Release), set([0, 1, 2]));
}

#[test]
fn a_lock_held_by_another_on_a_majority_is_held_for_the_shortest_time_left() {
    let mut played = Played::start(three());
    played.vote(1, held(700));
    assert_eq!(played.machine.outcome(), None);
    played.vote(2, held(300));
    assert_eq!(played.lost(), AttemptFailure::Held { left_ms: 300 });
    assert_eq!(played.asked_to(Action::Release), set([0]), "the endpoints that refused hold nothing of ours");
}

#[test]
fn a_split_vote_is_held_not_down() {
    let five = Quorum::new(5).unwrap();
    let mut played = Played::start(five);
    played.vote(0, granted(1));
    played.vote(1, granted(1));
    played.vote(2, held(50));
    played.vote(3, held(60));
    assert_eq!(played.machine.outcome(), None, "the fifth can still carry it");
    played.vote(4, held(70));
    assert_eq!(played.lost(), AttemptFailure::Held { left_ms: 50 });
    assert_eq!(played.asked_to(Action::Release), set([0, 1]));
}

#[test]
fn held_on_one_of_three_with_the_others_down_is_no_quorum() {
    let mut played = Played::start(three());
    played.vote(0, not_sent());
    played.vote(1, held(300));
    assert_eq!(played.machine.outcome(), None, "the third may yet say that it is held: worth waiting for");
    played.vote(2, unknown());
    assert_eq!(played.lost(), AttemptFailure::NoQuorum);
    assert_eq!(played.asked_to(Action::Release), set([2]), "only where the lock may be");
}

#[test]
fn what_is_not_sent_because_all_is_decided_says_nothing_of_its_endpoint() {
    let mut played = Played::start(three());
    played.vote(0, not_sent());
    played.vote(1, unknown());
    assert_eq!(played.lost(), AttemptFailure::NoQuorum);
    played.vote(2, Reply::NotSent("nobody waits for it any more".into()));
    assert_eq!(played.machine.replies()[2], None);
    played.vote(2, held(300));
    assert_eq!(played.machine.replies()[2], Some(held(300)), "what it says itself is told");
}

#[test]
fn two_endpoints_down_end_an_attempt_without_waiting_for_the_third() {
    let mut played = Played::start(three());
    played.vote(0, not_sent());
    played.vote(1, unknown());
    assert_eq!(played.lost(), AttemptFailure::NoQuorum);
    assert_eq!(played.asked_to(Action::Release), set([1, 2]));
}

#[test]
fn something_that_is_no_lock_on_a_majority_is_not_a_lock() {
    let mut played = Played::start(three());
    played.vote(0, Reply::NotALock);
    played.vote(2, Reply::NotALock);
    assert_eq!(played.lost(), AttemptFailure::NotALock);

    let mut played = Played::start(three());
    played.vote(0, Reply::NotALock);
    played.vote(2, held(30));
    assert_eq!(played.lost(), AttemptFailure::Held { left_ms: 30 });
}

#[test]
fn something_that_is_no_lock_on_one_endpoint_does_not_stop_the_others() {
    let mut played = Played::start(three());
    played.vote(0, Reply::NotALock);
    played.vote(1, granted(4));
    played.vote(2, granted(4));
    assert_eq!(played.won().voters, set([1, 2]));
}

#[test]
fn quarantine_is_down_not_held() {
    let mut played = Played::start(three());
    played.vote(0, quarantined());
    played.vote(1, quarantined());
    assert_eq!(played.lost(), AttemptFailure::NoQuorum);
    assert_eq!(played.asked_to(Action::Release), set([2]));
}

#[test]
fn silence_counts_as_unknown_once_patience_is_over() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.machine.handle_timeout(T0.plus_ms(PATIENCE_MS.into()).minus_ns(1));
    assert_eq!(played.machine.outcome(), None, "too early");
    played.machine.handle_timeout(T0.plus_ms(PATIENCE_MS.into()));
    played.listen();
    assert_eq!(played.lost(), AttemptFailure::NoQuorum);
    assert_eq!(played.asked_to(Action::Release), set([0, 1, 2]));
    assert_eq!(played.machine.poll_timeout(), None);
}

#[test]
fn an_undo_that_has_become_needless_is_not_wanted_any_more() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.machine.handle_cancel();
    played.listen();
    let undo = |index| Request { endpoint: id(index), round: Round(2), action: Action::Release };
    assert!((0..3).all(|index| played.machine.wants(&undo(index))));
    played.vote(1, held(40));
    played.vote(2, not_sent());
    assert!(played.machine.wants(&undo(0)), "it is the one that holds the lock");
    assert!(!played.machine.wants(&undo(1)), "it refused");
    assert!(!played.machine.wants(&undo(2)), "it was never asked");
}

#[test]
fn an_unknown_answer_keeps_the_undo() {
    let mut played = Played::start(three());
    played.machine.handle_cancel();
    played.listen();
    played.vote(1, unknown());
    assert!(played.machine.wants(&Request { endpoint: id(1), round: Round(2), action: Action::Release }));
}

#[test]
fn what_was_not_sent_before_the_decision_is_not_wanted_after_it() {
    let mut played = Played::start(three());
    let third = played.asked[2].clone();
    played.vote(0, granted(100));
    assert!(played.machine.wants(&third));
    played.vote(1, granted(100));
    assert!(!played.machine.wants(&third));
}

#[test]
fn a_lease_that_was_won_but_not_taken_is_undone() {
    let mut played = Played::start(three());
    played.vote(0, granted(100));
    played.vote(1, granted(100));
    played.won();
    played.machine.handle_cancel();
    played.listen();
    assert_eq!(played.lost(), AttemptFailure::Cancelled);
    assert_eq!(played.asked_to(Action::Release), set([0, 1, 2]));
}
