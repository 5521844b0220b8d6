//! An endpoint that may have forgotten gives no votes; what it is told it keeps all the same.

use std::sync::Arc;

use super::{
    Behind, ME, OTHER, Subject, TIMEOUT_MS, acquire, extend, heal, is_held, on_every_endpoint, raise,
    release, validate,
};
use crate::endpoint::Admission;
use crate::protocol::Fence;
use crate::protocol::operation::Reply;
use crate::protocol::validity::QUARANTINE_MS;
use crate::protocol::wire::{AdmitReply, BatchReply};

/// Makes the endpoint forget everything, and admits it again.
async fn forget(subject: &mut Subject) -> u64 {
    match &subject.server {
        Behind::Redis(server) => assert_eq!(server.command(&["FLUSHALL"]).unwrap().text(), Some("OK")),
        Behind::Memory(server) => server.restart_empty(),
    }
    let nothing_ran = subject.try_run(&[acquire("job", ME, 5_000)]).await.unwrap();
    assert!(matches!(nothing_ran, BatchReply::NotAdmitted(_)), "{nothing_ran:?}");
    assert_eq!(subject.value("job"), None);
    let (member, quarantined_ms) = readmit(subject).await;
    subject.member = member;
    quarantined_ms
}

async fn readmit(subject: &Subject) -> (Arc<str>, u64) {
    match subject.endpoint.admit(Admission::Member, "set", TIMEOUT_MS).await.unwrap() {
        AdmitReply::Admitted { member, quarantined_ms, .. } => (member, quarantined_ms),
        other => panic!("{other:?}"),
    }
}

fn in_quarantine(reply: &Reply) -> bool {
    matches!(reply, Reply::Quarantined { left_ms } if (1..=u64::from(QUARANTINE_MS)).contains(left_ms))
}

on_every_endpoint! {
    async fn an_endpoint_that_forgot_is_quarantined_for_longer_than_any_lease(subject) {
        let mut subject = subject;
        let left_ms = forget(&mut subject).await;
        assert!((25_000..=u64::from(QUARANTINE_MS)).contains(&left_ms), "{left_ms}");
    }

    async fn it_refuses_to_give_a_vote(subject) {
        let mut subject = subject;
        forget(&mut subject).await;
        let refused = subject.ask(acquire("job", ME, 5_000)).await;
        assert!(in_quarantine(&refused), "{refused:?}");
        assert_eq!(subject.value("job"), None);
    }

    async fn it_keeps_what_it_is_told_and_none_of_it_is_a_vote(subject) {
        let mut subject = subject;
        forget(&mut subject).await;
        let fence = Fence::new(1_000);
        let raised = Fence::new(2_000);
        let steps = [
            (heal("job", ME, 5_000, fence), "heal"),
            (extend("job", ME, 20_000, fence), "extend"),
            (raise("job", ME, raised), "raise"),
            (validate("job", ME), "validate"),
        ];
        for (operation, what) in steps {
            let reply = subject.ask(operation).await;
            assert!(in_quarantine(&reply), "{what}: {reply:?}");
        }
        assert_eq!(subject.value("job"), Some(format!("{ME}:{raised}")));
        assert!(subject.left_ms("job").await > 10_000);
    }

    async fn it_still_tells_whose_lock_stands_there(subject) {
        let mut subject = subject;
        forget(&mut subject).await;
        subject.ask(heal("job", OTHER, 5_000, Fence::new(7))).await;
        for operation in [
            heal("job", ME, 5_000, Fence::new(9)),
            extend("job", ME, 5_000, Fence::new(9)),
            raise("job", ME, Fence::new(9)),
            validate("job", ME),
            release("job", ME),
        ] {
            let reply = subject.ask(operation.clone()).await;
            assert!(is_held(&reply), "{operation:?}: {reply:?}");
        }
    }

    async fn a_release_works_in_quarantine(subject) {
        let mut subject = subject;
        forget(&mut subject).await;
        subject.ask(heal("job", ME, 5_000, Fence::new(7))).await;
        assert_eq!(subject.ask(release("job", ME)).await, Reply::Released);
        assert_eq!(subject.value("job"), None);
    }

    async fn being_admitted_again_neither_ends_a_quarantine_nor_begins_one(subject) {
        let mut subject = subject;
        let (member, none) = readmit(&subject).await;
        assert_eq!((member, none), (Arc::clone(&subject.member), 0), "nothing was forgotten");
        let left_ms = forget(&mut subject).await;
        let (member, left_again_ms) = readmit(&subject).await;
        assert_eq!(member, subject.member);
        assert!((1..=left_ms).contains(&left_again_ms), "{left_again_ms} after {left_ms}");
    }

    async fn nobody_declares_it_fresh_again(subject) {
        let mut subject = subject;
        forget(&mut subject).await;
        let refused = subject.endpoint.admit(Admission::Fresh, "new", TIMEOUT_MS).await.unwrap();
        let AdmitReply::Refused(reason) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("admitted before"), "{reason}");
    }
}
