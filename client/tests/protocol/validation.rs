//! The second look: a majority confirms now, or it does not.

use leasehold::protocol::{Action, Reply, Validation};

use crate::support::{T0, assignments, granted, held, id, not_sent, orders, quarantined, three, unknown};

fn asked() -> Validation {
    let mut validation = Validation::new(three(), T0, 400);
    let requests: Vec<_> = std::iter::from_fn(|| validation.poll_request()).collect();
    assert_eq!(requests.iter().map(|request| request.endpoint).collect::<Vec<_>>(), [id(0), id(1), id(2)]);
    assert!(requests.iter().all(|request| request.action == Action::Validate));
    validation
}

#[test]
fn a_majority_that_confirms_is_enough_and_nothing_else_is() {
    let choices = [granted(7), held(100), Reply::Missing, quarantined(), unknown(), not_sent()];
    for replies in assignments(&choices, 3) {
        let confirmed = replies.iter().filter(|reply| **reply == granted(7)).count() >= 2;
        for order in orders(3) {
            let mut validation = asked();
            for &index in &order {
                let before = validation.outcome();
                validation.handle_reply(id(index), replies[index].clone());
                assert!(
                    before.is_none() || validation.outcome() == before,
                    "a late answer changed the outcome"
                );
            }
            assert_eq!(validation.outcome(), Some(confirmed), "{replies:?} in order {order:?}");
            assert_eq!(validation.poll_timeout(), None);
        }
    }
}

#[test]
fn an_endpoint_confirms_once() {
    let mut validation = asked();
    validation.handle_reply(id(1), granted(7));
    validation.handle_reply(id(1), granted(7));
    assert_eq!(validation.outcome(), None);
}

#[test]
fn silence_is_no_confirmation() {
    let mut validation = asked();
    validation.handle_reply(id(0), granted(7));
    let until = validation.poll_timeout().unwrap();
    assert_eq!(until, T0.plus_ms(400));
    validation.handle_timeout(until.minus_ns(1));
    assert_eq!(validation.outcome(), None, "too early");
    validation.handle_timeout(until);
    assert_eq!(validation.outcome(), Some(false));
    validation.handle_reply(id(1), granted(7));
    assert_eq!(validation.outcome(), Some(false));
    assert_eq!(validation.replies(), [Some(granted(7)), None, None]);
}
