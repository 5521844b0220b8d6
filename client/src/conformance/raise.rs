//! Raise: a larger token into the own lock, and only there.

use super::{ME, OTHER, above, acquire_proposing, is_held, on_every_endpoint, raise, release};
use crate::protocol::Fence;
use crate::protocol::operation::Reply;

on_every_endpoint! {
    async fn the_owners_lock_takes_the_larger_token_and_keeps_its_expiry(subject) {
        let fence = subject.take("job", ME, 5_000).await;
        let raised = above(fence, 12_345_677);
        assert_eq!(subject.ask(raise("job", ME, raised)).await, Reply::Granted { fence: raised });
        assert_eq!(subject.value("job"), Some(format!("{ME}:{raised}")));
        assert!((1_000..=5_000).contains(&subject.left_ms("job").await));
    }

    async fn a_raise_that_comes_again_is_answered_alike(subject) {
        let fence = subject.take("job", ME, 5_000).await;
        let raised = above(fence, 8);
        for _ in 0..3 {
            assert_eq!(subject.ask(raise("job", ME, raised)).await, Reply::Granted { fence: raised });
        }
        assert_eq!(subject.value("job"), Some(format!("{ME}:{raised}")));
    }

    async fn a_lock_with_a_larger_token_was_taken_anew_and_refuses(subject) {
        let fence = subject.take("job", ME, 5_000).await;
        assert_eq!(subject.ask(raise("job", ME, Fence::new(fence.get() - 1))).await, Reply::Superseded);
        assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")));
    }

    async fn nobody_raises_a_lock_that_is_not_his(subject) {
        let fence = subject.take("job", OTHER, 5_000).await;
        assert!(is_held(&subject.ask(raise("job", ME, above(fence, 8))).await));
        assert_eq!(subject.value("job"), Some(format!("{OTHER}:{fence}")));
        assert_eq!(subject.ask(raise("none", ME, above(fence, 8))).await, Reply::Missing);
        assert_eq!(subject.value("none"), None);
    }

    async fn no_token_drawn_later_is_as_small_as_one_that_was_raised(subject) {
        let fence = subject.take("job", ME, 5_000).await;
        let raised = above(fence, 60_000_000);
        subject.ask(raise("job", ME, raised)).await;
        subject.ask(release("job", ME)).await;
        let next = subject.ask(acquire_proposing("job", OTHER, 5_000, 0)).await;
        assert_eq!(next, Reply::Granted { fence: above(raised, 1) });
    }

    async fn a_refused_raise_lifts_no_stripe(subject) {
        let fence = subject.take("job", OTHER, 5_000).await;
        subject.ask(raise("job", ME, above(fence, 60_000_000))).await;
        subject.ask(release("job", OTHER)).await;
        let next = subject.ask(acquire_proposing("job", ME, 5_000, 0)).await;
        assert_eq!(next, Reply::Granted { fence: above(fence, 1) });
    }
}
