//! Waiting for a lease that is held.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold::{AcquireError, AttemptOutcome};

use crate::common::{self, Recorder};

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_gets_the_lease_when_it_is_released() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let recorder = Recorder::new();
    let waiter = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;

    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let fence = lease.fence();
    let waiting = tokio::spawn(waiter.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("the waiter has been refused a few times", || recorder.attempts() >= 3).await;
    assert!(!waiting.is_finished());
    lease.release().await.unwrap();

    let lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
    assert!(lease.fence() > fence);
    let attempts = recorder.attempts.lock().unwrap();
    let (last, earlier) = attempts.split_last().unwrap();
    assert_eq!(last.outcome, AttemptOutcome::Won);
    assert!(earlier.iter().all(|attempt| attempt.outcome == AttemptOutcome::Held), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_gets_the_lease_of_a_crashed_holder_when_its_ttl_is_over_and_not_before() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let begun = Instant::now();
    for server in trio.servers() {
        common::set_nx_px(server, "job", Duration::from_millis(500));
    }
    let lease = client.lease("job").acquire().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(499), "{:?}", begun.elapsed());
    assert!(lease.is_valid());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_asks_once() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let _lease = client.lease("job").acquire().await.unwrap();
    let refused = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    let refused = client.lease("job").wait(Duration::ZERO).acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    assert_eq!(recorder.attempts(), 3, "the one that won, and one each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_ends_with_the_last_refusal() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let _lease = client.lease("job").acquire().await.unwrap();
    let begun = Instant::now();
    let request = client.lease("job").wait(Duration::from_millis(300));
    let refused = common::soon("the end of the wait", request.acquire()).await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    assert!(begun.elapsed() >= Duration::from_millis(200), "given up after {:?}", begun.elapsed());
    assert!(recorder.attempts() > 3, "{} attempts", recorder.attempts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_ever_is_a_wait() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").wait(Duration::MAX).acquire().await.unwrap();
    let waiting = tokio::spawn(client.lease("job").wait(Duration::MAX).acquire());
    lease.release().await.unwrap();
    let _lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_the_client_is_shut_down() {
    let trio = common::trio().await;
    let (client, other) = (common::client(&trio).await, common::client(&trio).await);
    let _lease = other.lease("job").acquire().await.unwrap();
    let waiting = tokio::spawn(client.lease("job").wait(Duration::MAX).acquire());
    assert_eq!(client.shutdown(Duration::ZERO).await, Vec::<String>::new());
    let refused = common::soon("the end of the wait", waiting).await.unwrap().unwrap_err();
    assert!(matches!(refused, AcquireError::Shutdown), "{refused}");
}
