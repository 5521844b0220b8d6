//! What somebody wrote by hand is never taken for a vote, and never hides from its answer what is wrong.

use super::{
    ME, OTHER, acquire, every_operation, heal, on_every_endpoint, raise, refusal, release, shadow, validate,
};
use crate::protocol::operation::Reply;
use crate::protocol::{Fence, LeaseName};

on_every_endpoint! {
    async fn a_string_that_stays_is_not_a_lock_and_is_never_overwritten(subject) {
        subject.set("lh:lock:job", "a setting");
        for operation in every_operation("job") {
            assert_eq!(subject.ask(operation.clone()).await, Reply::NotALock, "{operation:?}");
        }
        assert_eq!(subject.ask(shadow("job", ME, 5_000)).await, Reply::NotALock);
        assert_eq!(subject.value("job").as_deref(), Some("a setting"));
    }

    async fn an_own_lock_without_a_token_is_refused_and_can_be_released(subject) {
        subject.set("lh:lock:job", &format!("{ME}:seven"));
        for operation in [acquire("job", ME, 5_000), raise("job", ME, Fence::new(9)), validate("job", ME)] {
            let reply = subject.ask(operation.clone()).await;
            assert!(refusal(&reply).contains("lh:lock:job"), "{operation:?} names the key: {reply:?}");
        }
        assert_eq!(subject.ask(release("job", ME)).await, Reply::Released);
    }

    async fn a_shadow_that_stays_is_anothers_as_long_as_any_shadow_may_be(subject) {
        subject.ask(shadow("other", OTHER, 20_000)).await;
        subject.set("lh:shadow:job", "somebody");
        for operation in [acquire("job", ME, 5_000), heal("job", ME, 5_000, Fence::new(9)), validate("job", ME)] {
            let reply = subject.ask(operation.clone()).await;
            assert_eq!(reply, Reply::Held { left_ms: 30_000 }, "{operation:?}");
        }
    }

    async fn a_quarantine_without_end_lasts(subject) {
        subject.set("lh:quarantine", "an operator's word");
        let refused = subject.ask(acquire("job", ME, 5_000)).await;
        assert!(matches!(refused, Reply::Quarantined { left_ms: 1.. }), "{refused:?}");
    }

    async fn a_stripe_that_holds_garbage_refuses_its_names_and_leaves_the_others_standing(subject) {
        let key = format!("lh:fence:{}", LeaseName::new("job").unwrap().stripe());
        subject.set(&key, "seven");
        let batch = [acquire("first", ME, 5_000), acquire("job", ME, 5_000), acquire("last", ME, 5_000)];
        let (_, replies) = subject.run(&batch).await;
        assert!(matches!(replies[0], Reply::Granted { .. }), "{replies:?}");
        assert!(refusal(&replies[1]).contains(&key), "it names the key: {replies:?}");
        assert!(matches!(replies[2], Reply::Granted { .. }), "{replies:?}");
        assert_eq!(subject.value("job"), None);
    }
}
