//! Waiting: who finds a lock held is parked in line by its ticket, and is given the lock when it is freed. What is given is a vote.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Subject, acquire, heal, is_held, on_every_endpoint, operation, release, shadow, validate};
use crate::endpoint::{Admission, Wake};
use crate::protocol::operation::{Action, HandOver, Operation, Reply};
use crate::protocol::waiting::LINE_LEN_MAX;
use crate::protocol::{ClientId, Fence, LeaseName, OwnerId};

const HOLDER: OwnerId = OwnerId::of(ClientId::new(1), 7);
const FIRST: OwnerId = OwnerId::of(ClientId::new(2), 7);
const SECOND: OwnerId = OwnerId::of(ClientId::new(3), 7);
const THIRD: OwnerId = OwnerId::of(ClientId::new(4), 7);

const SECOND_US: u64 = 1_000_000;
/// What waits asks for this, and is given half of it.
const TTL_MS: u32 = 5_000;
const GIVEN_MS: u64 = 2_500;

/// An acquire of somebody who has waited so long, by its own clock.
fn wait(name: &str, owner: OwnerId, waited_us: u64) -> Operation {
    wait_by(crate::clock::wall_us(), name, owner, waited_us)
}

fn wait_by(clock_us: u64, name: &str, owner: OwnerId, waited_us: u64) -> Operation {
    let ticket = clock_us - waited_us;
    operation(name, owner, Action::AcquireOrWait { ttl_ms: TTL_MS, proposal: clock_us, ticket })
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

    async fn hand_over(&mut self) -> HandOver {
        match self.next().await {
            Wake::HandedOver(word) => word,
            other => panic!("no hand-over: {other:?}"),
        }
    }

    fn hears_nothing(&mut self) -> bool {
        self.0.try_recv().is_err()
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

    /// Whose the lock is, and its token.
    fn holder(&self, name: &str) -> Option<(OwnerId, Fence)> {
        let value = self.value(name)?;
        let (owner, token) = value.split_once(':').unwrap();
        Some((OwnerId::from_hex(owner).unwrap(), Fence::new(token.parse().unwrap())))
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

    async fn a_release_gives_the_lock_to_the_first_in_line_and_says_which_request_that_answers(subject) {
        let mut first = subject.ear(FIRST).await;
        let token = subject.take("job", HOLDER, 30_000).await;
        let clock_us = crate::clock::wall_us();
        subject.ask(wait_by(clock_us - 9, "job", FIRST, 0)).await;
        let again = operation("job", FIRST, Action::AcquireOrWait { ttl_ms: TTL_MS, proposal: clock_us, ticket: clock_us - 9 });
        assert_eq!(ahead(&subject.ask(again).await), 0);
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        let word = first.hand_over().await;
        let (owner, fence) = subject.holder("job").unwrap();
        assert_eq!(owner, FIRST);
        assert!(fence > token);
        let (name, member) = (LeaseName::new("job").unwrap(), subject.member.clone());
        assert_eq!(word, HandOver { name, owner: FIRST, proposal: clock_us, fence, member });
        assert!((GIVEN_MS - 1_000..=GIVEN_MS).contains(&subject.left_ms("job").await));
        assert!(is_held(&subject.ask(acquire("job", SECOND, 5_000)).await));
        assert!(first.hears_nothing());
    }

    async fn each_release_gives_it_to_the_next(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        assert_eq!(first.hand_over().await.owner, FIRST);
        assert!(second.hears_nothing());
        assert_eq!(subject.ask(release("job", FIRST)).await, Reply::Released);
        assert_eq!(second.hand_over().await.owner, SECOND);
        assert_eq!(subject.ask(release("job", SECOND)).await, Reply::Released);
        assert!(is_granted(&subject.ask(acquire("job", HOLDER, 5_000)).await), "the line is empty");
        assert!(first.hears_nothing() && second.hears_nothing());
    }

    async fn a_release_of_the_last_shadow_hands_over_as_well(subject) {
        let mut first = subject.ear(FIRST).await;
        subject.ask(shadow("job", HOLDER, 20_000)).await;
        assert_eq!(ahead(&subject.ask(wait("job", FIRST, 0)).await), 0);
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        assert_eq!(first.hand_over().await.owner, FIRST);
    }

    async fn who_asks_again_and_has_the_lock_has_it_for_a_whole_ttl_from_then_on(subject) {
        let mut first = subject.ear(FIRST).await;
        subject.take("job", HOLDER, 30_000).await;
        let clock_us = crate::clock::wall_us();
        let wait_for = |ttl_ms| {
            operation("job", FIRST, Action::AcquireOrWait { ttl_ms, proposal: clock_us + u64::from(ttl_ms), ticket: clock_us })
        };
        subject.ask(wait_for(2_000)).await;
        subject.ask(release("job", HOLDER)).await;
        let given = first.hand_over().await.fence;
        assert!(subject.left_ms("job").await <= 2_000);
        assert_eq!(subject.ask(wait_for(20_000)).await, Reply::Granted { fence: given });
        assert!(subject.left_ms("job").await > 10_000);
        assert_eq!(subject.ask(wait_for(2_000)).await, Reply::Granted { fence: given });
        assert!(subject.left_ms("job").await > 10_000, "never shortened");
    }

    async fn an_undo_that_freed_nothing_hands_nothing_over(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        assert!(is_held(&subject.ask(release("job", THIRD)).await));
        subject.delete("job");
        assert_eq!(subject.ask(release("job", THIRD)).await, Reply::Missing);
        assert_eq!(subject.holder("job"), None);
        assert!(first.hears_nothing() && second.hears_nothing());
    }

    async fn in_quarantine_nothing_is_handed_over(subject) {
        let (mut first, _second) = subject.with_two_waiters().await;
        let distrusted = subject.endpoint.admit(Admission::Distrust, "set", 5_000).await.unwrap();
        assert!(format!("{distrusted:?}").contains("quarantined_ms: 3"), "{distrusted:?}");
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        assert_eq!(subject.holder("job"), None);
        assert!(matches!(subject.ask(wait("job", FIRST, 0)).await, Reply::Quarantined { .. }));
        assert!(first.hears_nothing());
    }

    async fn who_cannot_hear_is_passed_over_at_once(subject) {
        subject.take("job", HOLDER, 30_000).await;
        for (owner, waited_us) in [(FIRST, 3), (SECOND, 2)] {
            subject.ask(wait("job", owner, waited_us * SECOND_US)).await;
        }
        let mut third = subject.ear(THIRD).await;
        assert_eq!(ahead(&subject.ask(wait("job", THIRD, 0)).await), 2);
        subject.ask(release("job", HOLDER)).await;
        assert_eq!(third.hand_over().await.owner, THIRD);
    }

    async fn where_nobody_in_line_hears_the_lock_is_free(subject) {
        subject.take("job", HOLDER, 30_000).await;
        subject.ask(wait("job", FIRST, 0)).await;
        subject.ask(release("job", HOLDER)).await;
        assert_eq!(subject.holder("job"), None);
        assert!(is_granted(&subject.ask(acquire("job", SECOND, 5_000)).await));
    }

    async fn who_has_not_asked_again_for_a_quarter_of_its_ttl_is_passed_over(subject) {
        let (mut first, mut second) = (subject.ear(FIRST).await, subject.ear(SECOND).await);
        subject.take("job", HOLDER, 30_000).await;
        let clock_us = crate::clock::wall_us();
        let short = Action::AcquireOrWait { ttl_ms: 200, proposal: clock_us, ticket: clock_us - SECOND_US };
        assert_eq!(ahead(&subject.ask(operation("job", FIRST, short)).await), 0);
        assert_eq!(ahead(&subject.ask(wait("job", SECOND, 0)).await), 1);
        tokio::time::sleep(Duration::from_millis(52)).await;
        subject.ask(release("job", HOLDER)).await;
        assert_eq!(second.hand_over().await.owner, SECOND);
        assert!(first.hears_nothing());
    }

    async fn who_gives_up_leaves_the_line(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        assert!(is_held(&subject.ask(release("job", FIRST)).await));
        assert_eq!(ahead(&subject.ask(wait("job", SECOND, SECOND_US)).await), 0);
        subject.ask(release("job", HOLDER)).await;
        assert_eq!(second.hand_over().await.owner, SECOND);
        assert!(first.hears_nothing());
    }

    async fn an_older_attempt_that_gives_up_leaves_the_place_of_its_clients_newer_one(subject) {
        let (mut first, _second) = subject.with_two_waiters().await;
        let newer = OwnerId::of(FIRST.client(), 8);
        assert_eq!(ahead(&subject.ask(wait("job", newer, 2 * SECOND_US)).await), 0);
        subject.ask(release("job", FIRST)).await;
        subject.ask(release("job", HOLDER)).await;
        assert_eq!(first.hand_over().await.owner, newer);
    }

    async fn who_won_elsewhere_and_is_done_is_given_nothing(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        // It won without this endpoint, healed its lock there when that was free, and is still in line.
        subject.delete("job");
        assert!(is_granted(&subject.ask(heal("job", FIRST, 5_000, Fence::new(9))).await));
        assert_eq!(subject.ask(release("job", FIRST)).await, Reply::Released);
        assert_eq!(second.hand_over().await.owner, SECOND);
        assert!(first.hears_nothing());
    }

    async fn a_lock_that_ran_out_goes_to_the_first_in_line_when_anybody_asks(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        subject.delete("job");
        let given = subject.ask(acquire("job", THIRD, 5_000)).await;
        assert!(matches!(given, Reply::Held { left_ms: 1_500..=GIVEN_MS }), "{given:?}");
        let word = first.hand_over().await;
        assert_eq!(subject.holder("job"), Some((FIRST, word.fence)));
        assert_eq!(subject.ask(validate("job", FIRST)).await, Reply::Granted { fence: word.fence });
        assert!(second.hears_nothing());
    }

    async fn the_first_in_line_takes_a_lock_that_ran_out_by_asking(subject) {
        let (mut first, _second) = subject.with_two_waiters().await;
        subject.delete("job");
        assert!(is_granted(&subject.ask(wait("job", FIRST, 2 * SECOND_US)).await));
        assert!(first.hears_nothing());
        assert_eq!(ahead(&subject.ask(wait("job", THIRD, 0)).await), 1, "and is in line no more");
    }

    async fn who_has_waited_longer_than_the_whole_line_takes_a_free_lock(subject) {
        let (mut first, _second) = subject.with_two_waiters().await;
        subject.delete("job");
        assert!(is_granted(&subject.ask(wait("job", THIRD, 9 * SECOND_US)).await));
        assert!(first.hears_nothing());
        assert_eq!(ahead(&subject.ask(wait("job", FIRST, 2 * SECOND_US)).await), 0, "the line stands");
    }

    async fn tokens_of_a_stripe_that_holds_none_are_not_given(subject) {
        let (mut first, mut second) = subject.with_two_waiters().await;
        let stripe = format!("lh:fence:{}", LeaseName::new("job").unwrap().stripe());
        subject.set(&stripe, "no token");
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        assert_eq!(subject.holder("job"), None);
        assert!(first.hears_nothing() && second.hears_nothing());
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
        subject.set(&format!("lh:park:{}:job", FIRST.client()), "not an acquire");
        subject.take("job", HOLDER, 5_000).await;
        assert!(is_held(&subject.ask(wait("job", FIRST, 0)).await));
        assert!(is_held(&subject.ask(release("job", FIRST)).await));
        assert_eq!(subject.ask(release("job", HOLDER)).await, Reply::Released);
        assert!(is_granted(&subject.ask(wait("job", FIRST, 0)).await));
    }
}

#[tokio::test]
async fn what_waiting_leaves_behind_expires() {
    let subject = Subject::redis().await;
    let (_first, _second) = subject.with_two_waiters().await;
    let expires = |key: &str| subject.redis_server().command(&["PTTL", key]).unwrap().integer().unwrap();
    let left = expires("lh:wait:job");
    assert!((1..=15_000).contains(&left), "{left}");
    assert!(expires("lh:waiters") >= left - 100, "the mark stands as long as any line");
    let parked = expires(&format!("lh:park:{}:job", FIRST.client()));
    assert!((1..=1_250).contains(&parked), "{parked}");
    subject.ask(release("job", HOLDER)).await;
    assert_eq!(
        subject.command(&["KEYS", "lh:park:*"]).matches("lh:park").count(),
        1,
        "what was given is gone"
    );
    assert_eq!(subject.command(&["ZCARD", "lh:wait:job"]), "1");
}
