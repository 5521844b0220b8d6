//! One name, one holder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leasehold::{AcquireError, Lease, ValidateError};

use crate::common;

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lease_is_refused_to_others_and_free_after_release() {
    let trio = common::trio().await;
    let (one, other) = (common::client(&trio).await, common::client(&trio).await);

    let lease = one.lease("job").acquire().await.unwrap();
    assert_eq!(lease.name(), "job");
    assert!(lease.is_valid());
    assert!(lease.votes() >= 2);
    assert!(lease.remaining() > Duration::from_secs(4) && lease.remaining() < Duration::from_secs(5));
    lease.validate().await.unwrap();

    let refused = other.lease("job").try_acquire().await.unwrap_err();
    let AcquireError::Held { name, left, endpoints } = &refused else { panic!("{refused}") };
    assert_eq!(name, "job");
    assert!(*left <= Duration::from_secs(5) && *left > Duration::from_secs(1), "{left:?}");
    assert_eq!(endpoints.0.len(), 3);

    lease.release().await.unwrap();
    let _lease = other.lease("job").try_acquire().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_excludes_itself_too() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let _lease = client.lease("job").acquire().await.unwrap();
    let refused = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_other_namespaces_do_not_interfere() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let _job = client.lease("job").acquire().await.unwrap();
    let _jobs = client.lease("jobs").try_acquire().await.unwrap();
    leasehold::admin::fresh(common::builder(&trio).namespace("team-a")).await.unwrap();
    let neighbour = common::connect(common::builder(&trio).namespace("team-a")).await;
    let _job = neighbour.lease("job").try_acquire().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_want_it_one_at_a_time_is_inside() {
    let trio = common::trio().await;
    let inside = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let client = common::client(&trio).await;
        for _ in 0..4 {
            let (client, inside) = (client.clone(), Arc::clone(&inside));
            tasks.spawn(async move {
                for _ in 0..5 {
                    let lease = client.lease("job").wait(Duration::from_secs(30)).acquire().await.unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "somebody else is inside");
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                    assert!(lease.is_valid());
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    lease.release().await.unwrap();
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_program_took_is_held() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    for server in trio.servers() {
        common::set_nx_px(server, "job", Duration::from_secs(20));
    }
    let refused = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    for server in trio.servers() {
        assert_eq!(common::lock_value(server, "job").as_deref(), Some("somebody"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_lock_is_named_and_left_alone() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    for server in &trio.servers()[..2] {
        server.command(&["RPUSH", "lh:lock:job", "a"]).unwrap();
    }
    // At once, not after the wait: nobody but an operator can change it.
    let request = client.lease("job").wait(Duration::from_secs(60));
    let refused = common::soon("a refusal", request.acquire()).await.unwrap_err();
    let AcquireError::NotALock { key, .. } = &refused else { panic!("{refused}") };
    assert_eq!(key, "lh:lock:job");
    assert!(refused.to_string().contains("\"lh:lock:job\""), "{refused}");
    for server in &trio.servers()[..2] {
        assert_eq!(server.command(&["TYPE", "lh:lock:job"]).unwrap().text(), Some("list"));
    }
    common::eventually("the third has nothing left", || {
        common::lock_value(&trio.servers()[2], "job").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_sees_locks_that_are_gone() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").acquire().await.unwrap();
    lease.validate().await.unwrap();
    for server in &trio.servers()[..2] {
        server.command(&["DEL", "lh:lock:job"]).unwrap();
    }
    let error = lease.validate().await.unwrap_err();
    let ValidateError::NoQuorum { name, endpoints } = &error else { panic!("{error}") };
    assert_eq!(name, "job");
    let gone = endpoints.0.iter().filter(|endpoint| endpoint.reason == "no lock there").count();
    assert_eq!(gone, 2, "{error}");
}

#[test]
fn a_lease_goes_wherever_a_task_goes() {
    fn assert_lasting<T: Send + 'static>() {}
    fn assert_shared<T: Send + Sync + Clone + 'static>() {}
    assert_lasting::<Lease>();
    assert_shared::<leasehold::Client>();
    fn assert_send<T: Send>(_: impl FnOnce(leasehold::Client) -> T) {}
    assert_send(|client| client.lease("job").acquire());
    assert_send(|client| client.lease("job").try_acquire());
    fn assert_release<T: Send + 'static>(_: impl FnOnce(Lease) -> T) {}
    assert_release(|lease| lease.release());
    assert_release(|lease| lease.lost());
}
