//! Release deletes the own lock; validate only looks.

use super::{ME, OTHER, acquire, is_held, on_every_endpoint, release, validate};
use crate::protocol::operation::Reply;

on_every_endpoint! {
    async fn the_own_lock_is_deleted_and_free_at_once(subject) {
        subject.take("job", ME, 5_000).await;
        assert_eq!(subject.ask(release("job", ME)).await, Reply::Released);
        assert_eq!(subject.value("job"), None);
        assert!(matches!(subject.ask(acquire("job", OTHER, 5_000)).await, Reply::Granted { .. }));
    }

    async fn a_late_undo_leaves_the_next_holders_lock_alone(subject) {
        let fence = subject.take("job", OTHER, 5_000).await;
        assert!(is_held(&subject.ask(release("job", ME)).await));
        assert_eq!(subject.value("job"), Some(format!("{OTHER}:{fence}")));
    }

    async fn a_lock_that_is_gone_is_missing(subject) {
        assert_eq!(subject.ask(release("job", ME)).await, Reply::Missing);
        assert_eq!(subject.ask(validate("job", ME)).await, Reply::Missing);
    }

    async fn a_second_look_tells_own_from_anothers_and_changes_nothing(subject) {
        let fence = subject.take("job", ME, 5_000).await;
        let value = subject.value("job");
        assert_eq!(subject.ask(validate("job", ME)).await, Reply::Granted { fence });
        assert!(is_held(&subject.ask(validate("job", OTHER)).await));
        assert_eq!(subject.value("job"), value);
        assert!(subject.left_ms("job").await <= 5_000);
    }
}
