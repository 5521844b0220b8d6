//! An attempt in line: what it is given counts from the request that it answers, whatever was asked since.

use leasehold::protocol::validity::{deadline, given_ms};
use leasehold::protocol::{
    Action, Attempt, AttemptFailure, AttemptParams, EndpointSet, Fence, Grant, Moment, OwnerId, Reply,
    Request, Round,
};

use crate::support::{T0, granted, held, id, set, three, unknown};

const TTL_MS: u32 = 5_000;
const FIRST: u64 = 100;
const TOKEN: Fence = Fence::new(900);
/// How long what is given stands.
const GIVEN_MS: u32 = 2_500;

fn params() -> AttemptParams {
    AttemptParams {
        quorum: three(),
        owner: OwnerId::new(7),
        ttl_ms: TTL_MS,
        proposal: FIRST,
        t0: T0,
        patience_ms: 1_000,
    }
}

fn waiting() -> Reply {
    Reply::Waiting { left_ms: 3_000, ahead: 0 }
}

struct Waiter {
    machine: Attempt,
    asked: Vec<Request>,
}

impl Waiter {
    fn start(heard: EndpointSet) -> Self {
        let mut waiter = Self { machine: Attempt::waiting(params(), FIRST, heard), asked: Vec::new() };
        waiter.listen();
        waiter
    }

    /// In line everywhere, and heard.
    fn in_line() -> Self {
        let mut waiter = Self::start(set([0, 1, 2]));
        (0..3).for_each(|index| waiter.answer(1, index, waiting()));
        assert!(waiter.machine.is_in_line() && waiter.machine.poll_timeout().is_none());
        waiter
    }

    fn listen(&mut self) {
        self.asked.extend(std::iter::from_fn(|| self.machine.poll_request()));
    }

    /// The newest request to an endpoint.
    fn newest(&self, index: usize) -> &Request {
        self.asked.iter().rev().find(|request| request.endpoint == id(index)).unwrap()
    }

    /// An answer to it.
    fn answer(&mut self, ms: u64, index: usize, reply: Reply) {
        let round = self.newest(index).round;
        self.answer_to(ms, index, round, reply);
    }

    fn answer_to(&mut self, ms: u64, index: usize, round: Round, reply: Reply) {
        self.machine.handle_reply(at(ms), id(index), round, reply);
        self.listen();
    }

    fn given(&mut self, ms: u64, index: usize, proposal: u64) {
        self.machine.handle_hand_over(at(ms), id(index), proposal, TOKEN);
        self.listen();
    }

    fn refresh(&mut self, ms: u64, proposal: u64) {
        self.machine.handle_refresh(at(ms), proposal);
        self.listen();
    }

    fn won(&self) -> Grant {
        match self.machine.outcome() {
            Some(Ok(grant)) => grant,
            other => panic!("not won: {other:?}"),
        }
    }

    fn failure(&self) -> AttemptFailure {
        match self.machine.outcome() {
            Some(Err(failure)) => failure,
            other => panic!("not over: {other:?}"),
        }
    }

    /// Where it undoes what it did.
    fn undone(&self) -> EndpointSet {
        let undo = self.asked.iter().filter(|request| request.action == Action::Release);
        undo.map(|request| request.endpoint).collect()
    }
}

fn at(ms: u64) -> Moment {
    T0.plus_ms(ms)
}

#[test]
fn a_majority_that_gives_it_the_lock_makes_it_a_lease_from_the_time_it_asked() {
    let mut waiter = Waiter::in_line();
    waiter.given(700, 2, FIRST);
    assert_eq!(waiter.machine.outcome(), None);
    waiter.given(701, 0, FIRST);
    let grant = waiter.won();
    assert_eq!(given_ms(TTL_MS), GIVEN_MS);
    assert_eq!((grant.fence, grant.deadline, grant.voters), (TOKEN, deadline(T0, GIVEN_MS), set([0, 2])));
    assert_eq!(waiter.machine.t0(), T0);
}

#[test]
fn a_vote_counts_from_the_request_that_it_answers_and_the_lease_from_the_earliest() {
    let mut waiter = Waiter::in_line();
    waiter.refresh(400, 140);
    waiter.answer(401, 1, waiting());
    waiter.given(500, 0, FIRST);
    waiter.given(501, 1, 140);
    assert_eq!(waiter.won().deadline, deadline(T0, GIVEN_MS), "the older one is the one to go by");

    let mut waiter = Waiter::in_line();
    waiter.refresh(400, 140);
    (0..3).for_each(|index| waiter.answer(401, index, waiting()));
    waiter.given(500, 0, 140);
    waiter.given(501, 1, 140);
    assert_eq!((waiter.won().deadline, waiter.machine.t0()), (deadline(at(400), GIVEN_MS), at(400)));
}

#[test]
fn of_what_was_given_and_what_was_taken_the_one_that_ends_first_is_the_one_to_go_by() {
    let mut waiter = Waiter::in_line();
    waiter.refresh(400, 140);
    waiter.answer(401, 1, waiting());
    waiter.answer(402, 0, Reply::Granted { fence: TOKEN });
    waiter.given(500, 1, 140);
    assert_eq!(
        waiter.won().deadline,
        deadline(at(400), GIVEN_MS),
        "the one that ends first is the one to go by"
    );

    let mut waiter = Waiter::in_line();
    waiter.given(300, 0, FIRST);
    waiter.refresh(400, 140);
    waiter.answer(402, 1, Reply::Granted { fence: TOKEN });
    assert_eq!(waiter.won().deadline, deadline(T0, GIVEN_MS));
}

#[test]
fn word_that_was_lost_is_made_up_for_by_asking_again() {
    let mut waiter = Waiter::in_line();
    waiter.given(500, 0, FIRST);
    waiter.refresh(560, 156);
    waiter.answer(561, 0, Reply::Granted { fence: TOKEN });
    assert_eq!(waiter.machine.outcome(), None);
    waiter.answer(562, 1, Reply::Granted { fence: TOKEN });
    assert_eq!(waiter.won().deadline, deadline(at(560), TTL_MS));
}

#[test]
fn word_may_come_before_the_answer_that_it_waits() {
    let mut waiter = Waiter::start(set([0, 1, 2]));
    waiter.given(1, 0, FIRST);
    waiter.answer(2, 0, waiting());
    waiter.answer(2, 2, waiting());
    waiter.given(3, 1, FIRST);
    assert_eq!(waiter.won().voters, set([0, 1]));
}

#[test]
fn word_of_an_older_request_than_the_last_answer_is_no_news() {
    let mut waiter = Waiter::in_line();
    waiter.refresh(400, 140);
    (0..3).for_each(|index| waiter.answer(401, index, waiting()));
    waiter.given(402, 0, FIRST);
    waiter.given(402, 1, FIRST);
    waiter.given(402, 2, 99);
    assert!(waiter.machine.is_in_line(), "{:?}", waiter.machine);
}

#[test]
fn whoever_has_some_and_others_the_rest_gives_back_what_it_has() {
    let mut waiter = Waiter::start(set([0, 1, 2]));
    waiter.answer(1, 0, granted(5));
    waiter.answer(1, 1, waiting());
    waiter.answer(1, 2, waiting());
    assert_eq!(waiter.failure(), AttemptFailure::Held { left_ms: 3_000 });
    assert_eq!(waiter.undone(), set([0, 1, 2]), "from its places as well");

    let mut waiter = Waiter::in_line();
    waiter.given(500, 0, FIRST);
    assert!(waiter.machine.is_in_line(), "word from others may follow");
    waiter.refresh(560, 156);
    waiter.answer(561, 1, waiting());
    waiter.answer(561, 2, waiting());
    waiter.answer(561, 0, Reply::Granted { fence: TOKEN });
    assert_eq!(waiter.failure(), AttemptFailure::Held { left_ms: 3_000 });
    assert_eq!(waiter.undone(), set([0, 1, 2]));
}

#[test]
fn tokens_that_disagree_are_raised() {
    let mut waiter = Waiter::in_line();
    waiter.given(1_000, 0, FIRST);
    waiter.machine.handle_hand_over(at(1_001), id(1), FIRST, Fence::new(901));
    waiter.listen();
    let raise = waiter.newest(0).clone();
    assert_eq!(raise.action, Action::Raise { fence: Fence::new(901) });
    assert_eq!(waiter.machine.poll_timeout(), Some(at(2_001)), "patience begins with the raise");
    waiter.answer_to(1_002, 0, raise.round, granted(901));
    assert_eq!((waiter.won().fence, waiter.won().deadline), (Fence::new(901), deadline(T0, GIVEN_MS)));
}

#[test]
fn what_comes_so_late_that_hardly_any_of_it_is_left_is_given_back() {
    let mut waiter = Waiter::in_line();
    waiter.given(2_000, 0, FIRST);
    waiter.given(2_000, 1, FIRST);
    assert_eq!(waiter.failure(), AttemptFailure::ValidityExhausted);
    assert_eq!(waiter.undone(), set([0, 1, 2]));
}

#[test]
fn an_endpoint_that_is_silent_keeps_nobody_out_of_line_and_two_that_cannot_be_heard_do() {
    let mut waiter = Waiter::start(set([0, 1]));
    waiter.answer(1, 0, waiting());
    waiter.answer(1, 1, waiting());
    assert!(waiter.machine.is_in_line());
    waiter.answer(900, 2, unknown());
    assert!(waiter.machine.is_in_line());
    waiter.machine.handle_heard(at(901), set([1]));
    waiter.listen();
    assert_eq!(waiter.failure(), AttemptFailure::Held { left_ms: 3_000 });
    assert_eq!(waiter.undone(), set([0, 1, 2]));

    let mut waiter = Waiter::start(set([0]));
    (0..3).for_each(|index| waiter.answer(1, index, waiting()));
    assert_eq!(waiter.failure(), AttemptFailure::Held { left_ms: 3_000 });
}

#[test]
fn requests_of_an_older_round_are_not_wanted_and_patience_begins_anew() {
    let mut waiter = Waiter::in_line();
    let old = waiter.newest(2).clone();
    assert!(waiter.machine.wants(&old));
    waiter.refresh(400, 140);
    assert!(!waiter.machine.wants(&old) && waiter.machine.wants(waiter.newest(2)));
    waiter.answer_to(401, 2, old.round, Reply::NotSent("nobody waits for it any more".into()));
    assert_eq!(waiter.machine.poll_timeout(), Some(at(1_400)));
    waiter.answer(402, 0, waiting());
    waiter.machine.handle_timeout(at(1_400));
    waiter.listen();
    assert!(matches!(waiter.failure(), AttemptFailure::Held { .. }));
    assert_eq!(waiter.undone(), set([0, 1, 2]), "the one that was not asked the first time, too");
}

#[test]
fn the_end_of_the_wait_and_a_dropped_future_leave_every_line() {
    let mut waiter = Waiter::in_line();
    waiter.machine.handle_end_of_wait();
    waiter.listen();
    assert_eq!(
        (waiter.failure(), waiter.undone()),
        (AttemptFailure::Held { left_ms: 3_000 }, set([0, 1, 2]))
    );
    waiter.given(500, 0, FIRST);
    waiter.given(500, 1, FIRST);
    assert!(matches!(waiter.failure(), AttemptFailure::Held { .. }), "too late");

    let mut waiter = Waiter::in_line();
    waiter.machine.handle_cancel();
    waiter.listen();
    assert_eq!((waiter.failure(), waiter.undone()), (AttemptFailure::Cancelled, set([0, 1, 2])));
}

#[test]
fn who_may_not_wait_is_never_in_line() {
    let mut machine = Attempt::new(params());
    machine.handle_refresh(at(1), 101);
    (0..2).for_each(|index| machine.handle_reply(at(1), id(index), Round(0), held(9)));
    assert_eq!(machine.outcome(), Some(Err(AttemptFailure::Held { left_ms: 9 })));
}
