//! Waiting: who finds a lock held stands in line by its ticket, and is woken when it is its turn. Votes are never at stake.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Subject, acquire, is_held, on_every_endpoint, operation, release, shadow};
use crate::endpoint::Wake;
use crate::protocol::operation::{Action, Operation, Reply};
use crate::protocol::waiting::{LINE_LEN_MAX, TURN_MS};
use crate::protocol::{ClientId, LeaseName, OwnerId};

const HOLDER: OwnerId = OwnerId::of(ClientId::new(1), 7);
const FIRST: OwnerId = OwnerId::of(ClientId::new(2), 7);
const SECOND: OwnerId = OwnerId::of(ClientId::new(3), 7);
const THIRD: OwnerId = OwnerId::of(ClientId::new(4), 7);

const SECOND_US: u64 = 1_000_000;

/// An acquire of somebody who has waited so long, by its own clock.
fn wait(name: &str, owner: OwnerId, waited_us: u64) -> Operation {
    wait_by(crate::clock::wall_us(), name, owner, waited_us)
}

fn wait_by(clock_us: u64, name: &str, owner: OwnerId, waited_us: u64) -> Operation {
    let ticket = clock_us - waited_us;
    operation(name, owner, Action::AcquireOrWait { ttl_ms: 5_000, proposal: clock_us, ticket })
}

fn leave(name: &str, owner: OwnerId) -> Operation {
    operation(name, owner, Action::Leave)
}

fn ahead(reply: &Reply) -> u32 {
    match reply {
        Reply::Waiting { ahead, .. } => *ahead,
        other => panic!("not in line: {other:?}"),
    }
}

fn is_granted(reply: &Reply) -> bool {
    matches!(reply, Reply::Granted { .. })
}

/// What is said to one client.
struct Ear(mpsc::Receiver<Wake>);

impl Ear {
    async fn next(&mut self) -> Wake {
        let next = tokio::time::timeout(Duration::from_secs(10), self.0.recv()).await;
        next.expect("nothing was said for ten seconds").unwrap()
    }

    async fn expect_turn(&mut self, name: &str) {
        assert_eq!(self.next().await, Wake::Turn(LeaseName::new(name).unwrap()));
    }
}

impl Subject {
    async fn ear(&self, owner: OwnerId) -> Ear {
        let mut ear = Ear(self.endpoint.listen(owner.client()));
        assert_eq!(ear.next().await, Wake::Heard);
        ear
    }

    /// A lock that is held, and two clients that wait for it and listen, in this order.
    async fn with_two_waiters(&self) -> (Ear, Ear) {
        let ears = (self.ear(FIRST).await, self.ear(SECOND).await);
        self.take("job", HOLDER, 30_000).await;
        assert_eq!(ahead(&self.ask(wait("job", FIRST, 2 * SECOND_US)).await), 0);
        assert_eq!(ahead(&self.ask(wait("job", SECOND, SECOND_US)).await), 1);
        ears
    }

    /// Waits until the turn that was given is over.
    async fn turn_is_over(&self, name: &str) {
        tokio::time::sleep(Duration::from_millis(u64::from(TURN_MS) + 1)).await;
        assert_eq!(self.ask(leave(name, HOLDER)).await, Reply::Missing);
    }
}

on_every_endpoint! {
    async fn who_finds_a_lock_held_stands_in_line_by_its_ticket(subject) {
        subject.take("job", HOLDER, 5_000).await;
        for (owner, waited_us, before) in [(SECOND, 1, 0), (FIRST, 2, 0), (THIRD, 0, 2), (SECOND, 3, 0), (FIRST, 2, 1)] {
            let reply = subject.ask(wait("job", owner, waited_us * SECOND_US)).await;
            assert_eq!(ahead(&reply), before, "{owner} {waited_us}");
            assert!(matches!(reply, Reply::Waiting { left_ms: 1..=5_000, .. }), "{reply:?}");
        }
        let fresh = subject.ask(wait("other", FIRST, 0)).await;
        assert!(is_granted(&fresh), "another name has another line: {fresh:?}");
    }

    async fn a_release_wakes_the_first_in_line_and_each_release_the_next(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        first.expect_turn("job").await;
        assert!(is_granted(&subject.ask(wait("job", FIRST, 2 * SECOND_US)).await));
        assert_eq!(subject.ask(release("job", FIRST)).await, Reply::Released);
        second.expect_turn("job").await;
        assert!(is_granted(&subject.ask(wait("job", SECOND, SECOND_US)).await));
        assert_eq!(subject.ask(release("job", SECOND)).await, Reply::Released);
        assert!(is_granted(&subject.ask(acquire("job", HOLDER, 5_000)).await), "the line is empty");
        assert!(first.0.try_recv().is_err() && second.0.try_recv().is_err(), "and each was woken once");
    }

    async fn a_release_of_the_last_shadow_wakes_as_well(subject) {
        let mut first = subject.ear(FIRST).await;
        subject.ask(shadow("job", HOLDER, 20_000)).await;
        assert_eq!(ahead(&subject.ask(wait("job", FIRST, 0)).await), 0);
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        first.expect_turn("job").await;
    }

    async fn an_undo_that_freed_nothing_wakes_nobody(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        assert!(is_held(&subject.ask(release("job", THIRD)).await));
        assert!(is_held(&subject.ask(release("job", SECOND)).await));
        subject.delete("job");
        assert_eq!(subject.ask(release("job", THIRD)).await, Reply::Missing);
        // Had anybody been woken, it would be somebody's turn: so the next who comes wakes the first, not before.
        assert_eq!(ahead(&subject.ask(wait("job", SECOND, SECOND_US)).await), 0);
        first.expect_turn("job").await;
        assert!(first.0.try_recv().is_err() && second.0.try_recv().is_err());
    }

    async fn a_free_lock_is_kept_for_whoever_was_woken(subject) {
        let (mut first, _second) = subject.with_two_waiters().await;
        let (_, replies) = subject.run(&[
            release("job", HOLDER),
            wait("job", SECOND, 9 * SECOND_US),
            acquire("job", THIRD, 5_000),
            wait("job", FIRST, 0),
        ]).await;
        let [Reply::Released, second, third, woken] = &replies[..] else { panic!("{replies:?}") };
        assert!(matches!(second, Reply::Waiting { left_ms: 1..=200, ahead: 0 }), "{second:?}");
        assert!(matches!(third, Reply::Held { left_ms: 1..=200 }), "a try leaves no place: {third:?}");
        assert!(is_granted(woken), "whatever its ticket says now: {woken:?}");
        first.expect_turn("job").await;
    }

    async fn who_does_not_come_in_its_turn_is_passed_over(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        subject.ask(release("job", HOLDER)).await;
        first.expect_turn("job").await;
        subject.turn_is_over("job").await;
        assert_eq!(ahead(&subject.ask(wait("job", THIRD, 0)).await), 0);
        second.expect_turn("job").await;
        assert!(is_granted(&subject.ask(wait("job", SECOND, SECOND_US)).await));
        // It comes late, and is first again.
        assert_eq!(ahead(&subject.ask(wait("job", FIRST, 2 * SECOND_US)).await), 0);
    }

    async fn who_cannot_hear_is_passed_over_at_once(subject) {
        subject.take("job", HOLDER, 30_000).await;
        for (owner, waited_us) in [(FIRST, 3), (SECOND, 2)] {
            subject.ask(wait("job", owner, waited_us * SECOND_US)).await;
        }
        let mut third = subject.ear(THIRD).await;
        assert_eq!(ahead(&subject.ask(wait("job", THIRD, 0)).await), 2);
        subject.ask(release("job", HOLDER)).await;
        third.expect_turn("job").await;
    }

    async fn where_nobody_in_line_hears_the_lock_is_free(subject) {
        subject.take("job", HOLDER, 30_000).await;
        subject.ask(wait("job", FIRST, 0)).await;
        subject.ask(release("job", HOLDER)).await;
        assert!(is_granted(&subject.ask(acquire("job", SECOND, 5_000)).await));
    }

    async fn who_gives_up_leaves_the_line_and_hands_on_its_turn(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        let mut third = subject.ear(THIRD).await;
        assert_eq!(ahead(&subject.ask(wait("job", THIRD, 0)).await), 2);
        assert_eq!(subject.ask(leave("job", FIRST)).await, Reply::Released);
        assert_eq!(subject.ask(leave("job", FIRST)).await, Reply::Missing);
        let (_, replies) = subject.run(&[release("job", HOLDER), leave("job", SECOND)]).await;
        assert_eq!(replies, [Reply::Released, Reply::Released]);
        second.expect_turn("job").await;
        third.expect_turn("job").await;
        assert!(first.0.try_recv().is_err());
        assert!(is_granted(&subject.ask(wait("job", THIRD, 0)).await));
    }

    async fn a_leave_from_behind_a_held_lock_wakes_nobody(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        subject.ask(leave("job", FIRST)).await;
        assert!(is_held(&subject.ask(acquire("job", THIRD, 5_000)).await));
        assert!(first.0.try_recv().is_err() && second.0.try_recv().is_err());
    }

    async fn a_release_hands_on_the_turn_of_its_client(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        // The first won elsewhere, before it came here, and is done already.
        let (_, replies) = subject.run(&[release("job", HOLDER), release("job", FIRST)]).await;
        assert_eq!(replies, [Reply::Released, Reply::Missing]);
        first.expect_turn("job").await;
        second.expect_turn("job").await;
    }

    async fn a_lock_that_ran_out_goes_to_the_first_in_line(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        subject.delete("job");
        let kept = subject.ask(acquire("job", THIRD, 5_000)).await;
        assert!(matches!(kept, Reply::Held { left_ms: 0..=200 }), "{kept:?}");
        first.expect_turn("job").await;
        assert!(is_granted(&subject.ask(wait("job", FIRST, 2 * SECOND_US)).await));
        assert!(second.0.try_recv().is_err());
    }

    async fn the_first_in_line_takes_a_lock_that_ran_out_without_being_woken(subject) {
        let (mut first, _second) = subject.with_two_waiters().await;
        subject.delete("job");
        assert!(is_granted(&subject.ask(wait("job", FIRST, 2 * SECOND_US)).await));
        assert!(first.0.try_recv().is_err());
        assert_eq!(ahead(&subject.ask(wait("job", THIRD, 0)).await), 1, "and is in line no more");
    }

    async fn who_has_waited_longer_than_the_whole_line_takes_a_free_lock(subject) {
        let (mut first, _second) = subject.with_two_waiters().await;
        subject.delete("job");
        assert!(is_granted(&subject.ask(wait("job", THIRD, 9 * SECOND_US)).await));
        assert!(first.0.try_recv().is_err());
        assert_eq!(ahead(&subject.ask(wait("job", FIRST, 2 * SECOND_US)).await), 0, "the line stands");
    }

    async fn a_clock_that_is_off_is_not_first_for_ever(subject) {
        subject.take("job", HOLDER, 30_000).await;
        let day_us = 86_400 * SECOND_US;
        let now_us = crate::clock::wall_us();
        subject.ask(wait("job", FIRST, 5 * SECOND_US)).await;
        assert_eq!(ahead(&subject.ask(wait_by(now_us - day_us, "job", SECOND, 0)).await), 1, "a day behind");
        assert_eq!(ahead(&subject.ask(wait_by(now_us + day_us, "job", THIRD, 9 * SECOND_US)).await), 0, "a day ahead");
        assert_eq!(ahead(&subject.ask(wait_by(u64::MAX, "job", SECOND, 0)).await), 2, "at the end of time");
        assert_eq!(ahead(&subject.ask(wait_by(0, "job", SECOND, 0)).await), 2, "at its beginning");
    }

    async fn a_line_is_bounded(subject) {
        subject.take("job", HOLDER, 30_000).await;
        let now_us = crate::clock::wall_us();
        let waiter = |number: u64| {
            let owner = OwnerId::of(ClientId::new(1_000 + number), 0);
            operation("job", owner, Action::AcquireOrWait { ttl_ms: 5_000, proposal: now_us, ticket: now_us + number })
        };
        let everybody: Vec<Operation> = (0..u64::from(LINE_LEN_MAX)).map(waiter).collect();
        for batch in everybody.chunks(64) {
            let (_, replies) = subject.run(batch).await;
            assert!(replies.iter().all(|reply| matches!(reply, Reply::Waiting { .. })), "{replies:?}");
        }
        assert!(is_held(&subject.ask(waiter(5_000)).await), "no place for the last");
        assert_eq!(ahead(&subject.ask(wait("job", FIRST, 30 * SECOND_US)).await), 0, "but for who has waited longer");
        assert!(is_held(&subject.ask(waiter(u64::from(LINE_LEN_MAX))).await), "and it is still full");
    }

    async fn a_line_that_somebody_else_wrote_hinders_nobody(subject) {
        subject.ask(wait("other", FIRST, 0)).await;
        subject.ask(wait("other", SECOND, 0)).await;
        subject.set("lh:wait:job", "not a line");
        subject.set("lh:turn:job", "nobody's");
        subject.take("job", HOLDER, 5_000).await;
        assert!(is_held(&subject.ask(wait("job", FIRST, 0)).await));
        assert_eq!(subject.ask(leave("job", FIRST)).await, Reply::Missing);
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        assert!(is_granted(&subject.ask(wait("job", FIRST, 0)).await));
    }
}

#[tokio::test]
async fn what_waiting_leaves_behind_expires() {
    let subject = Subject::redis().await;
    let (mut first, _second) = subject.with_two_waiters().await;
    subject.delete("job");
    assert!(is_granted(&subject.ask(wait("job", THIRD, 9 * SECOND_US)).await), "the first was put back");
    let expires = |key: &str| subject.redis_server().command(&["PTTL", key]).unwrap().integer().unwrap();
    assert!((1..=15_000).contains(&expires("lh:wait:job")), "{}", expires("lh:wait:job"));
    assert!(expires("lh:waiters") >= expires("lh:wait:job"), "the mark stands as long as any line");
    subject.ask(release("job", THIRD)).await;
    first.expect_turn("job").await;
    assert!(expires("lh:turn:job") <= i64::from(TURN_MS));
    assert_eq!(subject.command(&["ZCARD", "lh:wait:job"]), "1");
}
