//! How a lease ends: at its deadline whatever anybody says, or by its release, and only once.

use leasehold::protocol::validity::{deadline, notice_at};
use leasehold::protocol::{Action, HoldEvent, LossReason, Reply};

use super::{PATIENCE_MS, Played, TOKEN, TTL_MS};
use crate::support::{T0, granted, held, not_sent, unknown};

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
