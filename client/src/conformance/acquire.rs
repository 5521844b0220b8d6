//! Acquire: takes a free lock and draws a token, and never anything else.

use std::time::Duration;

use super::{ME, OTHER, above, acquire, acquire_proposing, is_held, on_every_endpoint, release};
use crate::protocol::operation::Reply;
use crate::protocol::{Fence, LeaseName};

const SLACK_US: u64 = 4_000_000;

on_every_endpoint! {
    async fn a_free_lock_is_granted_and_holds_owner_and_token(subject) {
        let fence = subject.take("job", ME, 5_000).await;
        assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")));
        let left_ms = subject.left_ms("job").await;
        assert!((1_000..=5_000).contains(&left_ms), "{left_ms}");
    }

    async fn the_same_owner_gets_the_same_answer_again_and_no_new_expiry(subject) {
        let fence = subject.take("job", ME, 5_000).await;
        let again = subject.ask(acquire("job", ME, 30_000)).await;
        assert_eq!(again, Reply::Granted { fence });
        assert!(subject.left_ms("job").await <= 5_000);
        assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")));
    }

    async fn a_lock_of_another_is_held_and_stays(subject) {
        let fence = subject.take("job", OTHER, 5_000).await;
        let refused = subject.ask(acquire("job", ME, 30_000)).await;
        assert!(matches!(refused, Reply::Held { left_ms: 1..=5_000 }), "{refused:?}");
        assert_eq!(subject.value("job"), Some(format!("{OTHER}:{fence}")));
        assert!(subject.left_ms("job").await <= 5_000);
    }

    async fn a_plain_string_that_will_expire_is_held_and_stays(subject) {
        subject.set_nx_px("job", "a worker without leases", Duration::from_secs(20));
        let refused = subject.ask(acquire("job", ME, 5_000)).await;
        assert!(matches!(refused, Reply::Held { left_ms: 10_000..=20_000 }), "{refused:?}");
        assert_eq!(subject.value("job"), Some("a worker without leases".to_owned()));
    }

    async fn a_string_that_only_begins_like_the_owner_is_anothers(subject) {
        subject.set_nx_px("job", &format!("{ME}0:7"), Duration::from_secs(20));
        assert!(is_held(&subject.ask(acquire("job", ME, 5_000)).await));
        assert!(is_held(&subject.ask(release("job", ME)).await));
    }

    async fn a_lock_that_has_expired_is_free(subject) {
        subject.take("job", OTHER, 50).await;
        let fence = loop {
            match subject.ask(acquire("job", ME, 5_000)).await {
                Reply::Granted { fence } => break fence,
                Reply::Held { left_ms } => tokio::time::sleep(Duration::from_millis(left_ms + 1)).await,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")));
    }

    async fn a_proposal_near_the_endpoints_clock_is_taken_to_the_last_digit(subject) {
        // Sixteen digits and odd: what a conversion that prints fourteen, or counts in floats of the wrong size, would lose.
        let proposal = crate::clock::wall_us() | 1;
        assert_eq!(proposal.to_string().len(), 16);
        let reply = subject.ask(acquire_proposing("job", ME, 5_000, proposal)).await;
        assert_eq!(reply, Reply::Granted { fence: Fence::new(proposal) });
        assert_eq!(subject.value("job"), Some(format!("{ME}:{proposal}")));
    }

    async fn a_proposal_of_a_clock_that_runs_days_behind_is_clamped(subject) {
        let (server_time_us, replies) = subject.run(&[acquire_proposing("job", ME, 5_000, 0)]).await;
        assert_eq!(replies, [Reply::Granted { fence: Fence::new(server_time_us - SLACK_US) }]);
    }

    async fn a_proposal_of_a_clock_that_runs_days_ahead_is_clamped(subject) {
        for (name, proposal) in [("day", crate::clock::wall_us() + 86_400_000_000), ("end", u64::MAX)] {
            let (server_time_us, replies) = subject.run(&[acquire_proposing(name, ME, 5_000, proposal)]).await;
            assert_eq!(replies, [Reply::Granted { fence: Fence::new(server_time_us + SLACK_US) }], "{name}");
        }
    }

    async fn tokens_of_a_stripe_grow_by_one_where_the_clock_does_not_carry_them(subject) {
        let neighbour = neighbour_of("job");
        let Reply::Granted { fence } = subject.ask(acquire_proposing("job", ME, 5_000, u64::MAX)).await else {
            panic!("not granted");
        };
        subject.ask(release("job", ME)).await;
        let second = subject.ask(acquire_proposing("job", OTHER, 5_000, 0)).await;
        assert_eq!(second, Reply::Granted { fence: above(fence, 1) });
        let third = subject.ask(acquire_proposing(&neighbour, OTHER, 5_000, 0)).await;
        assert_eq!(third, Reply::Granted { fence: above(fence, 2) }, "{neighbour} draws from the same stripe");
    }

    async fn a_refused_acquire_draws_no_token(subject) {
        let fence = subject.take("job", OTHER, 5_000).await;
        for _ in 0..5 {
            assert!(is_held(&subject.ask(acquire_proposing("job", ME, 5_000, u64::MAX)).await));
        }
        subject.ask(release("job", OTHER)).await;
        let next = subject.ask(acquire_proposing("job", ME, 5_000, 0)).await;
        assert_eq!(next, Reply::Granted { fence: above(fence, 1) });
    }

    async fn a_ttl_over_what_the_set_allows_takes_nothing(subject) {
        let refused = subject.ask(acquire("job", ME, 30_001)).await;
        assert_eq!(refused, Reply::TtlTooLong { max_ms: 30_000 });
        assert_eq!(subject.value("job"), None);
    }

    async fn operations_run_in_their_order(subject) {
        let (_, replies) = subject.run(&[
            acquire("job", ME, 5_000),
            acquire("job", OTHER, 5_000),
            release("job", ME),
            acquire("job", OTHER, 5_000),
            acquire("other", ME, 5_000),
        ]).await;
        let [Reply::Granted { fence: first }, held, Reply::Released, Reply::Granted { fence: second }, other] =
            &replies[..] else { panic!("{replies:?}") };
        assert!(is_held(held), "{held:?}");
        assert!(second > first);
        assert!(matches!(other, Reply::Granted { .. }), "{other:?}");
    }

    async fn sixty_four_operations_travel_in_one_batch(subject) {
        let batch: Vec<_> = (0..64).map(|number| acquire(&format!("job:{number}"), ME, 5_000)).collect();
        let (_, replies) = subject.run(&batch).await;
        assert_eq!(replies.len(), 64);
        assert!(replies.iter().all(|reply| matches!(reply, Reply::Granted { .. })), "{replies:?}");
        assert_eq!((0..64).filter(|number| subject.value(&format!("job:{number}")).is_some()).count(), 64);
    }
}

/// Another name that draws its tokens from the same stripe.
fn neighbour_of(name: &str) -> String {
    let stripe = LeaseName::new(name).unwrap().stripe();
    let candidates = (0..1_000_000).map(|number| format!("n{number}"));
    candidates.into_iter().find(|other| LeaseName::new(other).unwrap().stripe() == stripe).unwrap()
}
