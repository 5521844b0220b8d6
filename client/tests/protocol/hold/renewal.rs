//! A lease is renewed in rounds: when they begin, and what counts for which.

use leasehold::protocol::validity::deadline;
use leasehold::protocol::{Action, Grant, Hold, HoldEvent, HoldParams, Renewal, Reply, Request};

use super::{EXTEND, Played, TOKEN, TTL_MS};
use crate::support::{T0, granted, held, not_sent, set, terms, three, unknown};

/// Nothing to grow, so that the first thing to be due is a renewal.
fn all_voted() -> HoldParams {
    let terms = terms(three(), TOKEN, TTL_MS);
    HoldParams { grant: Grant { voters: three().all(), ..terms.grant }, ..terms }
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
        let params = HoldParams { jitter_seed, ..all_voted() };
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
        let all = all_voted();
        let grant = Grant { deadline: given, ..all.grant };
        let mut played = Played::of(HoldParams { renewal, grant, ..all });
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
