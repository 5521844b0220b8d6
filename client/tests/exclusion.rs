//! One name, one holder; tokens that grow.

mod common;

use std::time::Duration;

use leasehold::AcquireError;

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lease_is_refused_to_others_and_free_after_release() {
    let trio = common::trio().await;
    let (one, other) = (common::client(&trio).await, common::client(&trio).await);

    let lease = one.lease("job").acquire().await.unwrap();
    assert!(lease.is_valid());
    assert!(lease.votes() >= 2);
    assert!(lease.remaining() > Duration::from_secs(4) && lease.remaining() < Duration::from_secs(5));
    lease.validate().await.unwrap();

    let refused = other.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");

    let first = lease.fence();
    lease.release().await.unwrap();
    let lease = other.lease("job").try_acquire().await.unwrap();
    assert!(lease.fence() > first);
}
