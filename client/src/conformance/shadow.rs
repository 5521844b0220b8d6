//! Shadows: they stand in for a lock, and everybody honours them.

use super::{ME, OTHER, acquire, heal, is_held, on_every_endpoint, release, shadow, validate};
use crate::protocol::Fence;
use crate::protocol::operation::Reply;

on_every_endpoint! {
    async fn a_shadow_outlives_the_lock_and_keeps_everybody_else_out(subject) {
        subject.take("job", ME, 10_000).await;
        assert!(matches!(subject.ask(shadow("job", ME, 20_000)).await, Reply::Granted { .. }));
        subject.ask(release("other", ME)).await;
        subject.delete("job");
        let refused = subject.ask(acquire("job", OTHER, 5_000)).await;
        assert!(matches!(refused, Reply::Held { left_ms: 10_000..=20_000 }), "{refused:?}");
        assert!(is_held(&subject.ask(heal("job", OTHER, 5_000, Fence::new(7))).await));
        assert!(is_held(&subject.ask(shadow("job", OTHER, 5_000)).await));
        assert!(is_held(&subject.ask(validate("job", OTHER)).await));
        subject.take("another", OTHER, 5_000).await;
    }

    async fn a_shadow_vouches_for_its_owner(subject) {
        subject.ask(shadow("job", ME, 20_000)).await;
        assert!(matches!(subject.ask(validate("job", ME)).await, Reply::Granted { .. }));
        assert!(matches!(subject.ask(heal("job", ME, 5_000, Fence::new(7))).await, Reply::Granted { .. }));
        assert!(matches!(subject.ask(acquire("job", ME, 5_000)).await, Reply::Granted { .. }));
    }

    async fn a_release_takes_the_shadow_with_the_lock(subject) {
        subject.take("job", ME, 10_000).await;
        subject.ask(shadow("job", ME, 20_000)).await;
        assert_eq!(subject.ask(release("job", ME)).await, Reply::Released);
        subject.take("job", OTHER, 5_000).await;
    }

    async fn a_release_finds_a_shadow_whose_lock_is_gone(subject) {
        subject.ask(shadow("job", ME, 20_000)).await;
        assert_eq!(subject.ask(release("job", OTHER)).await, Reply::Missing);
        assert_eq!(subject.ask(release("job", ME)).await, Reply::Released);
        subject.take("job", OTHER, 5_000).await;
    }

    async fn no_shadow_is_cast_over_another_lock(subject) {
        subject.take("job", OTHER, 5_000).await;
        assert!(is_held(&subject.ask(shadow("job", ME, 20_000)).await));
        assert_eq!(subject.ask(release("job", OTHER)).await, Reply::Released);
        subject.take("job", OTHER, 5_000).await;
    }

    async fn a_shadow_is_never_shortened_and_never_too_long(subject) {
        subject.ask(shadow("job", ME, 20_000)).await;
        subject.ask(shadow("job", ME, 1_000)).await;
        let refused = subject.ask(acquire("job", OTHER, 5_000)).await;
        assert!(matches!(refused, Reply::Held { left_ms: 10_000..=20_000 }), "{refused:?}");
        assert_eq!(subject.ask(shadow("job", ME, 30_001)).await, Reply::TtlTooLong { max_ms: 30_000 });
    }
}
