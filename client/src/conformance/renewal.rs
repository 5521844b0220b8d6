//! Extend and heal: an own lock lives longer, never shorter; a lock that is gone is set again, never over another's.

use std::time::Duration;

use super::{
    ME, OTHER, above, acquire, acquire_proposing, extend, heal, is_held, on_every_endpoint, release,
};
use crate::protocol::Fence;
use crate::protocol::operation::Reply;

on_every_endpoint! {
    async fn an_extension_makes_the_lock_last_longer(subject) {
        let fence = subject.take("job", ME, 1_000).await;
        assert_eq!(subject.ask(extend("job", ME, 20_000, fence)).await, Reply::Granted { fence });
        assert!((10_000..=20_000).contains(&subject.left_ms("job").await));
        assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")));
    }

    async fn an_extension_never_shortens(subject) {
        let fence = subject.take("job", ME, 20_000).await;
        assert_eq!(subject.ask(extend("job", ME, 100, fence)).await, Reply::Granted { fence });
        assert_eq!(subject.ask(heal("job", ME, 100, fence)).await, Reply::Granted { fence });
        assert!(subject.left_ms("job").await > 10_000);
    }

    async fn a_lock_that_is_gone_is_missing_and_not_made_by_an_extension(subject) {
        assert_eq!(subject.ask(extend("job", ME, 5_000, Fence::new(5))).await, Reply::Missing);
        assert_eq!(subject.value("job"), None);
    }

    async fn a_lock_of_another_is_held_to_an_extension_and_to_a_heal(subject) {
        let fence = subject.take("job", OTHER, 5_000).await;
        assert!(is_held(&subject.ask(extend("job", ME, 20_000, above(fence, 5))).await));
        assert!(is_held(&subject.ask(heal("job", ME, 20_000, above(fence, 5))).await));
        assert_eq!(subject.value("job"), Some(format!("{OTHER}:{fence}")));
        assert!(subject.left_ms("job").await <= 5_000);
    }

    async fn a_plain_string_that_will_expire_is_held_to_a_heal(subject) {
        subject.set_nx_px("job", "somebody", Duration::from_secs(20));
        assert!(is_held(&subject.ask(heal("job", ME, 5_000, Fence::new(5))).await));
        assert_eq!(subject.value("job"), Some("somebody".to_owned()));
    }

    async fn a_heal_sets_a_lock_that_is_gone_with_its_token(subject) {
        let fence = Fence::new(crate::clock::wall_us() | 1);
        assert_eq!(subject.ask(heal("job", ME, 5_000, fence)).await, Reply::Granted { fence });
        assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")));
        assert!((1_000..=5_000).contains(&subject.left_ms("job").await));
        assert!(is_held(&subject.ask(acquire("job", OTHER, 5_000)).await));
    }

    async fn a_heal_of_a_lock_that_stands_is_an_extension(subject) {
        let fence = subject.take("job", ME, 1_000).await;
        assert_eq!(subject.ask(heal("job", ME, 20_000, fence)).await, Reply::Granted { fence });
        assert!(subject.left_ms("job").await > 10_000);
    }

    async fn no_token_drawn_later_is_as_small_as_one_that_was_extended_or_healed(subject) {
        let drawn = subject.take("job", ME, 5_000).await;
        // Far above any clock, so that only the stripe can carry it.
        let extended = above(drawn, 60_000_000);
        subject.ask(extend("job", ME, 5_000, extended)).await;
        subject.ask(release("job", ME)).await;
        let next = subject.ask(acquire_proposing("job", OTHER, 5_000, 0)).await;
        assert_eq!(next, Reply::Granted { fence: above(extended, 1) });

        let healed = above(extended, 60_000_000);
        subject.ask(release("job", OTHER)).await;
        subject.ask(heal("job", ME, 5_000, healed)).await;
        subject.ask(release("job", ME)).await;
        let next = subject.ask(acquire_proposing("job", OTHER, 5_000, 0)).await;
        assert_eq!(next, Reply::Granted { fence: above(healed, 1) });
    }

    async fn a_smaller_token_does_not_set_the_stripe_back(subject) {
        let Reply::Granted { fence } = subject.ask(acquire_proposing("job", ME, 5_000, u64::MAX)).await else {
            panic!("not granted");
        };
        subject.ask(extend("job", ME, 5_000, Fence::new(3))).await;
        subject.ask(release("job", ME)).await;
        subject.ask(heal("job", ME, 5_000, Fence::new(3))).await;
        subject.ask(release("job", ME)).await;
        let next = subject.ask(acquire_proposing("job", OTHER, 5_000, 0)).await;
        assert_eq!(next, Reply::Granted { fence: above(fence, 1) });
    }

    async fn a_ttl_over_what_the_set_allows_renews_nothing(subject) {
        let fence = subject.take("job", ME, 1_000).await;
        let refused = Reply::TtlTooLong { max_ms: 30_000 };
        assert_eq!(subject.ask(extend("job", ME, 30_001, fence)).await, refused);
        assert_eq!(subject.ask(heal("job", ME, 30_001, fence)).await, refused);
        assert_eq!(subject.ask(heal("none", ME, 30_001, fence)).await, refused);
        assert!(subject.left_ms("job").await <= 1_000);
        assert_eq!(subject.value("none"), None);
    }
}
