//! Shadows: when renewals get no answers, a lease may live on degraded, on the same majority.

use leasehold::protocol::attempt::Grant;
use leasehold::protocol::hold::HoldParams;
use leasehold::protocol::operation::{Action, Reply, Request};
use leasehold::protocol::validity::deadline;
use leasehold::protocol::{EndpointId, Fence, Hold, HoldEvent, LossReason, Moment, Quorum, Renewal, Round};

const TTL_MS: u32 = 1_000;
const FENCE: Fence = Fence::new(7);

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn hold() -> Hold {
    let quorum = Quorum::new(3).unwrap();
    let grant = Grant { fence: FENCE, deadline: deadline(at(0), TTL_MS), voters: quorum.all() };
    Hold::new(HoldParams {
        quorum,
        grant,
        ttl_ms: TTL_MS,
        ttl_ms_max: 30_000,
        t0: at(0),
        patience_ms: 400,
        round_ns: 0,
        renewal: Renewal::Auto,
        renew_until: None,
        jitter_seed: 1,
    })
}

fn endpoint(index: usize) -> EndpointId {
    EndpointId::from_index(index).unwrap()
}

fn requests(hold: &mut Hold) -> Vec<Request> {
    std::iter::from_fn(|| hold.poll_request()).collect()
}

fn events(hold: &mut Hold) -> Vec<HoldEvent> {
    std::iter::from_fn(|| hold.poll_event()).collect()
}

/// Lets time pass as the shell would, admitting every renewal at once, until the machine asks for a shadow.
fn until_shadow(hold: &mut Hold) -> (Moment, Round) {
    loop {
        let now = hold.poll_timeout().unwrap();
        hold.handle_timeout(now);
        if events(hold).iter().any(|event| matches!(event, HoldEvent::RenewalDue { .. })) {
            hold.handle_admission(now, TTL_MS, 0);
        }
        let shadow =
            requests(hold).into_iter().find(|request| matches!(request.action, Action::Shadow { .. }));
        if let Some(shadow) = shadow {
            assert_eq!(shadow.action, Action::Shadow { ttl_ms: 10 * TTL_MS });
            return (now, shadow.round);
        }
        assert_eq!(hold.loss(), None, "lost before a shadow was tried");
    }
}

const YES: Reply = Reply::Granted { fence: FENCE };

#[test]
fn unanswered_renewals_lead_to_a_shadow_and_a_later_deadline() {
    let mut hold = hold();
    let (now, round) = until_shadow(&mut hold);
    hold.handle_reply(now, endpoint(0), round, &YES);
    assert!(!hold.is_degraded());
    hold.handle_reply(now, endpoint(1), round, &YES);
    assert!(hold.is_degraded());
    assert_eq!(hold.deadline(), deadline(now, 10 * TTL_MS));
}

#[test]
fn a_normal_renewal_ends_the_degradation_and_never_shortens() {
    let mut hold = hold();
    let (now, round) = until_shadow(&mut hold);
    hold.handle_reply(now, endpoint(0), round, &YES);
    hold.handle_reply(now, endpoint(1), round, &YES);
    let shadowed_until = hold.deadline();

    let later = now.plus_ms(500);
    hold.handle_timeout(later);
    hold.handle_admission(later, TTL_MS, 0);
    let extend = requests(&mut hold).pop().unwrap();
    assert!(matches!(extend.action, Action::Extend { .. }));
    hold.handle_reply(later, endpoint(0), extend.round, &YES);
    hold.handle_reply(later, endpoint(2), extend.round, &YES);
    assert!(!hold.is_degraded());
    assert_eq!(hold.deadline(), shadowed_until);
}

#[test]
fn a_minority_of_shadows_is_no_lease() {
    let mut hold = hold();
    let (now, round) = until_shadow(&mut hold);
    hold.handle_reply(now, endpoint(0), round, &YES);
    hold.handle_reply(now, endpoint(1), round, &Reply::Quarantined { left_ms: 1 });
    assert!(!hold.is_degraded(), "an endpoint in quarantine does not count");
    hold.handle_timeout(deadline(at(0), TTL_MS));
    assert_eq!(hold.loss(), Some(LossReason::Expired));
    let released = requests(&mut hold);
    assert_eq!(released.len(), 3);
    assert!(released.iter().all(|request| request.action == Action::Release), "above all the shadows");
}

#[test]
fn shadows_that_are_confirmed_after_the_old_deadline_come_too_late() {
    let mut hold = hold();
    let (_, round) = until_shadow(&mut hold);
    let late = deadline(at(0), TTL_MS);
    hold.handle_reply(late, endpoint(0), round, &YES);
    hold.handle_reply(late, endpoint(1), round, &YES);
    assert_eq!(hold.loss(), Some(LossReason::Expired));
}

#[test]
fn no_shadow_is_cast_where_somebody_else_holds_the_lock() {
    let mut hold = hold();
    let now = hold.poll_timeout().unwrap();
    hold.handle_timeout(now);
    hold.handle_admission(now, TTL_MS, 0);
    let extend = requests(&mut hold).pop().unwrap();
    hold.handle_reply(now, endpoint(0), extend.round, &Reply::Held { left_ms: 500 });
    while let Some(now) = hold.poll_timeout() {
        hold.handle_timeout(now);
        assert!(requests(&mut hold).iter().all(|request| !matches!(request.action, Action::Shadow { .. })));
    }
    assert_eq!(hold.loss(), Some(LossReason::Expired));
}

#[test]
fn a_late_answer_to_the_extend_itself_is_better_than_a_shadow() {
    let mut hold = hold();
    let due = hold.poll_timeout().unwrap();
    hold.handle_timeout(due);
    hold.handle_admission(due, TTL_MS, 0);
    let extend = requests(&mut hold).pop().unwrap();
    let (now, _) = until_shadow(&mut hold);
    hold.handle_reply(now, endpoint(0), extend.round, &YES);
    hold.handle_reply(now, endpoint(1), extend.round, &YES);
    assert!(!hold.is_degraded());
    assert_eq!(hold.deadline(), deadline(due, TTL_MS), "the round counts from its own beginning");
}
