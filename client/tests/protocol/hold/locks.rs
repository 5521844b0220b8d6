//! The locks under a lease: one that is missing is put back, one that is another's counts against it.

use leasehold::protocol::validity::deadline;
use leasehold::protocol::{Action, HoldEvent, LossReason, Quorum, Reply, Request};

use super::{HEAL, Played, TOKEN, TTL_MS};
use crate::support::{T0, granted, held, id, not_sent, quarantined, set, unknown};

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
