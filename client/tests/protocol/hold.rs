//! A held lease, told case by case: renewal, loss and release; random histories are in `hold_histories`.

use leasehold::protocol::validity::{deadline, notice_at};
use leasehold::protocol::{
    Action, Fence, Grant, Hold, HoldEvent, HoldParams, LossReason, Moment, Quorum, Renewal, Reply, Request,
    Round,
};

use crate::support::{T0, granted, held, id, not_sent, quarantined, set, three, unknown};

const TTL_MS: u32 = 10_000;
const PATIENCE_MS: u32 = 500;
const TOKEN: u64 = 77;
const EXTEND: Action = Action::Extend { ttl_ms: TTL_MS, fence: Fence::new(TOKEN) };
const HEAL: Action = Action::Heal { ttl_ms: TTL_MS, fence: Fence::new(TOKEN) };

/// A hold of endpoints 0 and 1 with everything it said.
struct Played {
    machine: Hold,
    asked: Vec<Request>,
    events: Vec<HoldEvent>,
    warnings: u32,
    now: Moment,
}

fn terms(quorum: Quorum, grant: Grant, jitter_seed: u64) -> HoldParams {
    HoldParams {
        quorum,
        grant,
        ttl_ms: TTL_MS,
        ttl_ms_max: 30_000,
        t0: T0,
        patience_ms: PATIENCE_MS,
        round_ns: 0,
        renewal: Renewal::Auto,
        renew_until: None,
        jitter_seed,
    }
}

impl Played {
    fn start() -> Self {
        Self::start_of(three())
    }

    fn start_of(quorum: Quorum) -> Self {
        let grant = Grant {
            fence: Fence::new(TOKEN),
            deadline: deadline(T0, TTL_MS),
            voters: quorum.ids().take(quorum.majority() as usize).collect(),
        };
        Self::of(terms(quorum, grant, 4))
    }

    fn of(params: HoldParams) -> Self {
        let mut played = Self {
            machine: Hold::new(params),
            asked: Vec::new(),
            events: Vec::new(),
            warnings: 0,
            now: T0.plus_ms(1),
        };
        played.listen();
        played
    }

    /// Takes down what the machine says; a renewal that is due is admitted at once.
    fn listen(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                HoldEvent::RenewalDue { .. } => self.machine.handle_admission(self.now, TTL_MS, 0),
                HoldEvent::ExpiringSoon => self.warnings += 1,
                event => self.events.push(event),
            }
        }
        self.asked.extend(std::iter::from_fn(|| self.machine.poll_request()));
    }

    /// Lets time pass until the machine wants to be called, and calls it.
    fn wake(&mut self) -> Moment {
        self.now = self.now.max(self.machine.poll_timeout().unwrap());
        self.machine.handle_timeout(self.now);
        self.listen();
        self.now
    }

    /// Goes on to the next renewal round, and says when it began.
    fn renewal(&mut self) -> Moment {
        let asked = self.count(EXTEND);
        while self.count(EXTEND) == asked {
            self.wake();
        }
        let round = self.round();
        assert!(
            self.asked
                .iter()
                .filter(|request| request.round == round)
                .all(|request| request.action == EXTEND)
        );
        self.now
    }

    fn round(&self) -> Round {
        self.asked.last().unwrap().round
    }

    fn answer(&mut self, index: usize, reply: &Reply) {
        self.answer_to(self.round(), index, reply);
    }

    fn answer_to(&mut self, round: Round, index: usize, reply: &Reply) {
        self.machine.handle_reply(self.now, id(index), round, reply);
        self.listen();
    }

    fn release(&mut self) {
        self.machine.handle_release(self.now);
        self.listen();
    }

    fn count(&self, action: Action) -> usize {
        self.asked.iter().filter(|request| request.action == action).count()
    }

    fn notice(&self) -> Moment {
        notice_at(self.machine.deadline(), TTL_MS)
    }
}

#[test]
fn a_new_lease_is_valid_until_its_notice_and_asks_for_nothing() {
    let played = Played::start();
    assert!(played.asked.is_empty());
    assert_eq!(played.machine.loss(), None);
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS));
    assert_eq!(played.machine.voters(), set([0, 1]));
    assert!(played.machine.is_valid(played.notice().minus_ns(1)));
    assert!(!played.machine.is_valid(played.notice()));
}

#[test]
fn renewal_begins_at_half_of_the_ttl_give_or_take_a_tenth() {
    let mut begun = Vec::new();
    for jitter_seed in 0..500 {
        let grant = Grant { fence: Fence::new(1), deadline: deadline(T0, TTL_MS), voters: set([0, 1, 2]) };
        let params = terms(three(), grant, jitter_seed);
        begun.push(Hold::new(params).poll_timeout().unwrap().ns_since(T0) / 1_000_000);
    }
    let (least, most) = (begun.iter().min().unwrap(), begun.iter().max().unwrap());
    assert!(*least >= 4_000 && *most <= 6_000, "{least} to {most}");
    assert!(*least < 4_100 && *most > 5_900, "without jitter, leases taken together renew together");
}

#[test]
fn what_was_given_in_line_is_made_a_whole_ttl_when_a_third_is_left_however_it_is_renewed_then() {
    let given = deadline(T0, TTL_MS / 2);
    for renewal in [Renewal::Auto, Renewal::Manual, Renewal::OnWork] {
        let grant = Grant { fence: Fence::new(TOKEN), deadline: given, voters: set([0, 1, 2]) };
        let params = HoldParams { renewal, ..terms(three(), grant, 4) };
        let mut played = Played::of(params);
        let due = played.machine.poll_timeout().unwrap();
        assert!((3_000..=4_000).contains(&(given.ns_since(due) / 1_000_000)), "{renewal:?}");
        let t0 = played.renewal();
        assert_eq!(t0, due);
        (0..2).for_each(|index| played.answer(index, &granted(TOKEN)));
        assert_eq!(played.machine.deadline(), deadline(t0, TTL_MS));
        let renews_on =
            played.machine.poll_timeout().unwrap() < played.machine.deadline().minus_ns(3_000_000_000);
        assert_eq!(renews_on, renewal == Renewal::Auto, "{renewal:?}");
    }
}

#[test]
fn a_majority_of_this_round_moves_the_deadline_counted_from_its_beginning() {
    let mut played = Played::start();
    let t0 = played.renewal();
    let old_deadline = played.machine.deadline();
    played.now = played.now.plus_ms(30);
    played.answer(2, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), old_deadline);
    played.answer(0, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(t0, TTL_MS), "from t0, not from the answer");
    assert_eq!(played.events, [HoldEvent::Renewed { t0, old_deadline, shadow: false }]);
    assert_eq!(played.machine.voters(), set([0, 2]));
    played.answer(1, &granted(TOKEN));
    assert_eq!(played.machine.voters(), set([0, 1, 2]), "the third is welcome, too");
    assert_eq!(played.events.len(), 1);
}

#[test]
fn one_endpoint_that_answers_twice_is_one_vote() {
    let mut played = Played::start();
    played.renewal();
    let before = played.machine.deadline();
    played.answer(2, &granted(TOKEN));
    played.answer(2, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), before);
}

#[test]
fn a_holder_that_slept_past_its_deadline_has_lost_even_if_all_agree() {
    let mut played = Played::start();
    played.renewal();
    played.now = played.machine.deadline().plus_ms(1);
    for index in 0..3 {
        played.answer(index, &granted(TOKEN));
    }
    assert_eq!(played.machine.loss(), Some(LossReason::Expired));
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS), "the deadline has not moved");
    assert_eq!(played.count(Action::Release), 3);
    assert_eq!(played.events, [HoldEvent::Lost(LossReason::Expired)]);
}

#[test]
fn a_holder_that_slept_past_its_notice_has_lost_too() {
    let mut played = Played::start();
    played.renewal();
    played.now = played.notice();
    played.answer(0, &granted(TOKEN));
    assert_eq!(played.machine.loss(), Some(LossReason::Expired), "it may have been told so already");
}

#[test]
fn a_yes_to_an_older_round_does_not_count_for_a_newer_one() {
    let mut played = Played::start();
    let old_t0 = played.renewal();
    let old_round = played.round();
    let new_t0 = played.renewal();
    assert_ne!(played.round(), old_round);
    played.answer(1, &granted(TOKEN));
    played.answer_to(old_round, 0, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(old_t0, TTL_MS), "one of this round and one of the last");
    played.answer_to(old_round, 2, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(old_t0, TTL_MS));
    played.answer(2, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(new_t0, TTL_MS));
}

#[test]
fn a_yes_to_a_newer_round_counts_for_older_ones() {
    let mut played = Played::start();
    let t0 = played.renewal();
    let round = played.round();
    played.answer(0, &granted(TOKEN));
    played.answer(1, &not_sent());
    played.renewal();
    played.answer_to(round, 2, &Reply::Missing);
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS));
    assert!(matches!(played.events[..], [HoldEvent::RenewalFailed { .. }]), "by its own answers");
    played.answer(1, &granted(TOKEN));
    assert_eq!(
        played.machine.deadline(),
        deadline(t0, TTL_MS),
        "each has extended since the first round began"
    );
    assert_eq!(played.machine.voters(), set([0, 1]));
}

#[test]
fn a_yes_to_a_newer_round_that_asks_for_less_does_not_count_for_older_ones() {
    let mut played = Played::start();
    played.renewal();
    played.answer(0, &granted(TOKEN));
    played.machine.handle_admission(played.now, TTL_MS / 4, 0);
    played.listen();
    played.answer(1, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS), "the lock goes before the older round's end");
}

#[test]
fn a_shadow_does_not_count_for_a_renewal() {
    let mut played = Played::start();
    played.renewal();
    played.answer(0, &granted(TOKEN));
    while played.count(Action::Shadow { ttl_ms: 30_000 }) == 0 {
        played.wake();
    }
    let shadow = played
        .asked
        .iter()
        .find(|request| matches!(request.action, Action::Shadow { .. }))
        .map(|request| request.round);
    played.answer_to(shadow.unwrap(), 1, &granted(0));
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS));
}

#[test]
fn answers_to_a_round_from_before_the_last_success_do_not_count() {
    let mut played = Played::start();
    played.renewal();
    let old_round = played.round();
    let t0 = played.renewal();
    played.answer(0, &granted(TOKEN));
    played.answer(1, &granted(TOKEN));
    for index in 0..3 {
        played.answer_to(old_round, index, &held(9_000));
    }
    assert_eq!(played.machine.deadline(), deadline(t0, TTL_MS));
    assert_eq!(played.machine.loss(), None);
}

#[test]
fn the_notice_comes_before_the_deadline_even_if_nobody_ever_answers() {
    let mut played = Played::start();
    let end = played.machine.deadline();
    let mut last = played.now;
    while played.machine.loss().is_none() {
        last = played.wake();
    }
    assert_eq!(played.machine.loss(), Some(LossReason::Expired));
    assert_eq!(last, notice_at(end, TTL_MS));
    assert!(last < end);
    assert_eq!(played.machine.poll_timeout(), None);
    assert_eq!(played.count(Action::Release), 3, "what may still stand is removed");
}

#[test]
fn a_round_without_answers_is_tried_again_until_the_deadline() {
    let mut played = Played::start();
    while played.machine.loss().is_none() {
        played.wake();
    }
    let tries = played.count(EXTEND) / 3;
    assert!((3..=8).contains(&tries), "{tries} tries");
    assert_eq!(played.warnings, 1, "the holder is warned once before");
}

#[test]
fn slow_rounds_are_begun_so_early_that_three_fit_before_the_deadline() {
    let mut played = Played::start();
    played.renewal();
    let t0 = played.now;
    played.machine.handle_admission(t0, TTL_MS, 2_500_000_000);
    played.listen();
    played.answer(0, &granted(TOKEN));
    played.answer(1, &granted(TOKEN));
    let next = played.renewal();
    assert!(
        next <= played.machine.deadline().minus_ns(3 * 2_500_000_000),
        "{:?} before the deadline",
        played.machine.deadline().ns_since(next)
    );
}

#[test]
fn a_renewal_waits_until_it_is_admitted_and_is_asked_for_once() {
    let mut played = Played::start();
    let machine = &mut played.machine;
    let mut due = 0;
    for _ in 0..5 {
        let Some(now) = machine.poll_timeout() else { break };
        machine.handle_timeout(now);
        while let Some(event) = machine.poll_event() {
            due += u32::from(matches!(event, HoldEvent::RenewalDue { .. }));
        }
    }
    assert_eq!(due, 1);
    let asked: Vec<Request> = std::iter::from_fn(|| machine.poll_request()).collect();
    assert!(asked.iter().all(|request| request.action != EXTEND), "{asked:?}");
}

#[test]
fn a_timer_that_rings_for_nothing_disturbs_no_round_under_way() {
    let mut played = Played::start();
    let t0 = played.renewal();
    let asked = played.asked.len();
    played.answer(0, &granted(TOKEN));
    played.now = played.now.plus_ms(1);
    played.machine.handle_timeout(played.now);
    played.listen();
    assert_eq!(played.asked.len(), asked, "the round under way is not begun anew");
    played.answer(1, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(t0, TTL_MS));
}

#[test]
fn a_late_retry_still_saves_the_lease() {
    let mut played = Played::start();
    played.renewal();
    let t0 = played.renewal();
    played.answer(0, &granted(TOKEN));
    played.answer(1, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(t0, TTL_MS));
    assert_eq!(played.machine.loss(), None);
}

#[test]
fn a_lock_that_is_missing_is_healed_and_its_heal_counts() {
    let mut played = Played::start();
    let t0 = played.renewal();
    played.answer(0, &granted(TOKEN));
    played.answer(2, &Reply::Missing);
    assert_eq!(played.asked.last(), Some(&Request { endpoint: id(2), round: played.round(), action: HEAL }));
    assert!(played.machine.wants(&played.asked.last().unwrap().clone()));
    assert_eq!(played.machine.loss(), None);
    played.answer(2, &granted(TOKEN));
    assert_eq!(played.machine.deadline(), deadline(t0, TTL_MS));
    assert_eq!(played.machine.voters(), set([0, 2]));
}

#[test]
fn a_lease_held_by_two_grows_to_three_after_the_majority_has_renewed() {
    let mut played = Played::start();
    played.renewal();
    let heals = played.count(HEAL);
    played.answer(0, &granted(TOKEN));
    played.answer(1, &granted(TOKEN));
    played.answer(2, &Reply::Missing);
    assert_eq!(played.count(HEAL), heals + 1);
    assert!(played.machine.wants(&played.asked.last().unwrap().clone()));
    played.answer(2, &granted(TOKEN));
    assert_eq!(played.machine.voters(), set([0, 1, 2]));
}

#[test]
fn a_lease_that_is_not_given_back_at_once_grows_before_its_first_renewal() {
    let mut played = Played::start();
    let before = played.machine.deadline();
    played.wake();
    assert_eq!(played.asked, [Request { endpoint: id(2), round: played.round(), action: HEAL }]);
    assert!(played.now <= T0.plus_ms(u64::from(TTL_MS) / 10));
    played.answer(2, &granted(TOKEN));
    assert_eq!(played.machine.voters(), set([0, 1, 2]));
    assert_eq!(played.machine.deadline(), before, "growing moves no deadline");
}

#[test]
fn a_lock_that_is_missing_everywhere_is_no_loss() {
    let mut played = Played::start();
    let t0 = played.renewal();
    for index in 0..3 {
        played.answer(index, &Reply::Missing);
    }
    assert_eq!(played.machine.loss(), None);
    let round = played.round();
    assert_eq!(
        played.asked.iter().filter(|request| request.round == round && request.action == HEAL).count(),
        3
    );
    for index in 0..3 {
        played.answer(index, &granted(TOKEN));
    }
    assert_eq!(played.machine.deadline(), deadline(t0, TTL_MS));
}

#[test]
fn a_heal_in_quarantine_is_no_vote() {
    let mut played = Played::start();
    played.renewal();
    played.answer(0, &granted(TOKEN));
    played.answer(2, &Reply::Missing);
    played.answer(2, &quarantined());
    played.answer(1, &quarantined());
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS));
    assert_eq!(played.machine.loss(), None, "nor is it a loss");
    assert!(matches!(played.events[..], [HoldEvent::RenewalFailed { .. }]), "{:?}", played.events);
}

#[test]
fn a_majority_that_holds_another_lock_is_a_loss_at_once() {
    for (first, second) in
        [(held(90), held(80)), (held(90), Reply::NotALock), (Reply::NotALock, Reply::NotALock)]
    {
        let mut played = Played::start();
        played.renewal();
        played.answer(1, &first);
        assert_eq!(played.machine.loss(), None);
        played.answer(2, &second);
        assert_eq!(played.machine.loss(), Some(LossReason::Taken), "{first:?} {second:?}");
        assert_eq!(played.count(Action::Release), 3, "above all the one that may still be ours");
    }
}

#[test]
fn another_lock_met_while_healing_counts_against_the_lease() {
    let mut played = Played::start();
    played.renewal();
    for index in [0, 1] {
        played.answer(index, &Reply::Missing);
        played.answer(index, &held(500));
    }
    assert_eq!(played.machine.loss(), Some(LossReason::Taken));
}

/// An endpoint that is known to be down answers "not sent" at once, so it is always the first.
#[test]
fn a_majority_that_holds_another_lock_is_a_loss_whatever_the_others_said_before() {
    for silent in [not_sent(), unknown(), quarantined(), Reply::Refused("OOM".into())] {
        let mut played = Played::start();
        played.renewal();
        played.answer(0, &silent);
        played.answer(1, &held(900));
        assert_eq!(played.machine.loss(), None, "one lock elsewhere is no majority");
        played.answer(2, &held(900));
        assert_eq!(played.machine.loss(), Some(LossReason::Taken), "{silent:?}");
    }
}

#[test]
fn no_answers_whatever_are_a_loss_before_the_deadline() {
    let mut played = Played::start();
    played.renewal();
    for (index, reply) in [not_sent(), unknown(), held(900)].iter().enumerate() {
        played.answer(index, reply);
    }
    assert_eq!(played.machine.loss(), None);
    assert!(played.machine.is_valid(played.now));
}

#[test]
fn a_failed_round_changes_nothing_and_is_told_once() {
    let mut played = Played::start();
    let t0 = played.renewal();
    played.answer(0, &unknown());
    played.answer(1, &unknown());
    played.answer(2, &unknown());
    assert_eq!(played.events, [HoldEvent::RenewalFailed { t0 }]);
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS));
    assert_eq!(played.machine.voters(), set([0, 1]));
    let next = played.machine.poll_timeout().unwrap();
    assert!(next > played.now && next <= played.now.plus_ms(2_000), "soon, but not at once");
}

#[test]
fn after_release_has_begun_no_renewal_is_asked_for_or_wanted() {
    let mut played = Played::start();
    played.renewal();
    played.answer(0, &Reply::Missing);
    let renewals = played.asked.clone();
    let round = played.round();
    played.release();
    assert!(renewals.iter().all(|request| !played.machine.wants(request)), "what waits is not sent");
    for index in 0..3 {
        played.answer_to(round, index, &Reply::Missing);
        played.answer_to(round, index, &granted(TOKEN));
    }
    while played.machine.poll_timeout().is_some() {
        played.wake();
    }
    let later = &played.asked[renewals.len()..];
    assert_eq!(later.iter().map(|request| request.action).collect::<Vec<_>>(), [Action::Release; 3]);
    assert!(later.iter().all(|request| played.machine.wants(request)));
    assert_eq!(played.machine.deadline(), deadline(T0, TTL_MS));
}

#[test]
fn a_renewal_that_was_asked_for_but_not_taken_is_forgotten_at_release() {
    let mut played = Played::start();
    played.now = played.machine.poll_timeout().unwrap();
    played.machine.handle_timeout(played.now);
    played.machine.handle_release(played.now);
    played.listen();
    assert!(played.asked.iter().all(|request| request.action == Action::Release), "{:?}", played.asked);
    assert_eq!(played.asked.len(), 3);
}

#[test]
fn a_release_is_over_when_a_majority_holds_the_lock_no_more() {
    for gone in [Reply::Released, Reply::Missing, held(30), Reply::NotALock] {
        let mut played = Played::start();
        played.release();
        assert_eq!(played.machine.loss(), Some(LossReason::Released));
        assert!(!played.machine.is_valid(played.now));
        played.answer(2, &gone);
        assert_eq!(played.events, []);
        played.answer(1, &gone);
        assert_eq!(played.events, [HoldEvent::Released { confirmed: true }], "{gone:?}");
        played.answer(0, &unknown());
        assert_eq!(played.events.len(), 1);
    }
}

#[test]
fn a_release_that_no_majority_confirms_says_so() {
    let mut played = Played::start();
    played.release();
    played.answer(0, &unknown());
    played.answer(1, &Reply::Released);
    played.answer(2, &not_sent());
    assert_eq!(played.events, [HoldEvent::Released { confirmed: false }]);

    let mut played = Played::start();
    played.release();
    let until = played.machine.poll_timeout().unwrap();
    assert_eq!(until, played.now.plus_ms(PATIENCE_MS.into()));
    played.wake();
    assert_eq!(played.events, [HoldEvent::Released { confirmed: false }]);
    assert_eq!(played.machine.poll_timeout(), None);
    played.answer(0, &Reply::Released);
    assert_eq!(played.events.len(), 1);
}

#[test]
fn a_lease_is_released_once() {
    let mut played = Played::start();
    played.release();
    played.release();
    assert_eq!(played.count(Action::Release), 3);
    played.answer(0, &Reply::Released);
    played.answer(1, &Reply::Released);
    played.release();
    assert_eq!(played.count(Action::Release), 3);
}

#[test]
fn a_release_after_the_deadline_tells_of_the_loss() {
    let mut played = Played::start();
    played.now = played.machine.deadline().plus_ms(5);
    played.release();
    assert_eq!(played.machine.loss(), Some(LossReason::Expired));
    assert_eq!(played.events, [HoldEvent::Lost(LossReason::Expired)]);
    assert_eq!(played.count(Action::Release), 3);
}

#[test]
fn loss_is_never_taken_back() {
    let mut played = Played::start();
    played.renewal();
    played.answer(1, &held(90));
    played.answer(2, &held(80));
    let (asked, events) = (played.asked.len(), played.events.len());
    for index in 0..3 {
        played.answer(index, &granted(TOKEN));
        played.machine.handle_timeout(played.now.plus_ms(1));
    }
    played.release();
    assert_eq!(played.machine.loss(), Some(LossReason::Taken));
    assert!(!played.machine.is_valid(played.now));
    assert_eq!((played.asked.len(), played.events.len()), (asked, events));
}

#[test]
fn one_of_five_with_another_lock_is_no_loss_and_three_are() {
    let mut played = Played::start_of(Quorum::new(5).unwrap());
    played.renewal();
    played.answer(0, &held(5));
    played.answer(1, &held(5));
    assert_eq!(played.machine.loss(), None);
    played.answer(2, &granted(TOKEN));
    played.answer(3, &granted(TOKEN));
    played.answer(4, &granted(TOKEN));
    assert_eq!(played.machine.loss(), None);
    assert_eq!(played.machine.voters(), set([2, 3, 4]));
    played.renewal();
    for index in 0..3 {
        played.answer(index, &held(5));
    }
    assert_eq!(played.machine.loss(), Some(LossReason::Taken));
}
