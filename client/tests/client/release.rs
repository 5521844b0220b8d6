//! Giving a lease back.

use std::time::Duration;

use futures::FutureExt as _;
use leasehold::{LossReason, ReleaseError};

use crate::common;

/// Longer than any of these tests: whatever is gone was released, not expired.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_release_removes_the_lock_everywhere() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
    assert!(!common::no_locks(trio.servers()));
    lease.release().await.unwrap();
    common::eventually("every server has released it", || common::no_locks(trio.servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_lease_is_released() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    drop(client.lease("job").ttl(LONG).acquire().await.unwrap());
    common::eventually("every server has released it", || common::no_locks(trio.servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_dropped_after_its_client_is_released() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
    drop(client);
    lease.validate().await.unwrap();
    drop(lease);
    common::eventually("every server has released it", || common::no_locks(trio.servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_dropped_outside_of_the_runtime_is_released() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
    std::thread::spawn(move || drop(lease)).join().unwrap();
    common::eventually("every server has released it", || common::no_locks(trio.servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_release_goes_on() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    for polls in 0..3 {
        let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
        let mut release = Box::pin(lease.release());
        for _ in 0..polls {
            if release.as_mut().now_or_never().is_some() {
                break;
            }
        }
        drop(release);
        common::eventually("every server has released it", || common::no_locks(trio.servers())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_ends_the_lease_at_once_and_tells_those_who_wait_for_its_end() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").acquire().await.unwrap();
    let over = tokio::spawn(lease.lost());
    lease.release().await.unwrap();
    assert_eq!(common::soon("the end", over).await.unwrap(), LossReason::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_server_gone_a_release_is_still_confirmed() {
    let mut trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
    trio.server(0).kill().unwrap();
    lease.release().await.unwrap();
    common::eventually("the others have released it", || common::no_locks(&trio.servers()[1..])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_no_majority_confirms_says_so_and_is_made_up_for() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
    for server in &trio.servers()[1..] {
        server.pause().unwrap();
    }
    let error = common::soon("an answer", lease.release()).await.unwrap_err();
    assert!(matches!(&error, ReleaseError::Unconfirmed { name, .. } if name == "job"), "{error}");
    for server in &trio.servers()[1..] {
        server.resume().unwrap();
    }
    // What was sent to a server that stood still is carried out when it goes on.
    common::eventually("every server has released it", || common::no_locks(trio.servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_another_is_not_released() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
    for server in trio.servers() {
        server.command(&["DEL", "lh:lock:job"]).unwrap();
        common::set_nx_px(server, "job", LONG);
    }
    lease.release().await.unwrap();
    for server in trio.servers() {
        assert_eq!(common::lock_value(server, "job").as_deref(), Some("somebody"));
    }
}
