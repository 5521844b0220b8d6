//! From acquisition to shutdown: work under a lease, renewal by hand and on work, caps, draining.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{AcquireError, Client, LeaseState, LossReason, Renewal, RunOutcome};

const SHORT: Duration = Duration::from_millis(200);

async fn client() -> (MemoryEndpoints, Client) {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client = Client::builder().memory(&endpoints).connect().await.unwrap();
    (endpoints, client)
}

fn lose_majority(endpoints: &MemoryEndpoints) {
    for index in [0, 1] {
        endpoints.server(index).unwrap().disconnect();
    }
}

#[tokio::test]
async fn work_under_a_lease_gives_its_result_and_the_lease_back() {
    let (_, client) = client().await;
    let outcome = client.lease("job").run(|lease| async move { lease.fence().get() }).await.unwrap();
    let RunOutcome::Done { value, release } = outcome else { panic!("{outcome:?}") };
    assert!(value > 0);
    release.unwrap();
    let _again = client.lease("job").try_acquire().await.unwrap();
}

#[tokio::test]
async fn work_is_dropped_when_its_lease_is_lost() {
    let (endpoints, client) = client().await;
    let work = client.lease("job").ttl(SHORT).run(|lease| async move {
        lose_majority(&endpoints);
        std::future::pending::<()>().await;
        drop(lease);
    });
    assert!(matches!(work.await.unwrap(), RunOutcome::Lost(LossReason::Expired)));
}

#[tokio::test]
async fn a_result_is_not_hidden_by_a_release_that_fails() {
    let (endpoints, client) = client().await;
    let work = client.lease("job").run(|_| async {
        lose_majority(&endpoints);
        42
    });
    let RunOutcome::Done { value: 42, release: Err(_) } = work.await.unwrap() else {
        panic!("the result is lost")
    };
}

#[tokio::test]
async fn a_manual_lease_is_renewed_only_by_hand() {
    let (_, client) = client().await;
    let lease = client.lease("job").ttl(SHORT).renewal(Renewal::Manual).acquire().await.unwrap();
    let before = lease.valid_until();
    lease.renew().await.unwrap();
    assert!(lease.valid_until() > before);
    assert_eq!(lease.lost().await, LossReason::Expired);
    assert_eq!(lease.state(), LeaseState::Over(LossReason::Expired));
    assert!(lease.renew().await.is_err());
}

#[tokio::test]
async fn a_holder_that_reports_no_progress_loses_a_lease_on_work() {
    let (_, client) = client().await;
    let lease = client.lease("job").ttl(SHORT).renewal(Renewal::OnWork).acquire().await.unwrap();
    let first = lease.valid_until();
    lease.worked();
    while lease.valid_until() <= first {
        assert!(lease.is_valid(), "progress was reported, and the lease was not renewed");
        tokio::task::yield_now().await;
    }
    assert_eq!(lease.lost().await, LossReason::Expired);
}

#[tokio::test]
async fn a_lease_is_not_held_for_longer_than_it_may_be() {
    let (_, client) = client().await;
    let lease = client.lease("job").ttl(SHORT).max_hold(SHORT * 3).acquire().await.unwrap();
    assert_eq!(lease.lost().await, LossReason::HeldTooLong);
}

#[tokio::test]
async fn a_warning_comes_before_the_loss_and_the_token_is_cancelled_with_it() {
    let (endpoints, client) = client().await;
    let lease = client.lease("job").ttl(SHORT).acquire().await.unwrap();
    let token = lease.cancellation_token();
    lose_majority(&endpoints);
    lease.expiring_soon().await;
    assert!(lease.is_valid() && !token.is_cancelled());
    token.cancelled().await;
    assert!(!lease.is_valid());
}

#[tokio::test]
async fn a_lease_won_with_two_votes_grows_to_three() {
    let (endpoints, client) = client().await;
    endpoints.server(2).unwrap().disconnect();
    let lease = client.lease("job").ttl(Duration::from_secs(10)).acquire().await.unwrap();
    assert_eq!(lease.votes(), 2);
    endpoints.server(2).unwrap().reconnect();
    while lease.votes() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(endpoints.server(2).unwrap().get("lh:lock:job").is_some());
    assert!(lease.remaining() < Duration::from_secs(9), "it grew before its first renewal");
}

#[tokio::test]
async fn shutdown_lets_holders_finish() {
    let (_, client) = client().await;
    let lease = client.lease("job").acquire().await.unwrap();
    let draining = tokio::spawn({
        let client = client.clone();
        async move { client.shutdown(Duration::from_secs(10)).await }
    });
    while !matches!(client.lease("other").try_acquire().await, Err(AcquireError::Shutdown)) {
        tokio::task::yield_now().await;
    }
    assert!(lease.is_valid(), "what is held stays held");
    lease.release().await.unwrap();
    assert_eq!(draining.await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn shutdown_releases_what_is_held_at_its_deadline_and_names_it() {
    let (endpoints, client) = client().await;
    let lease = client.lease("job").acquire().await.unwrap();
    assert_eq!(client.shutdown(Duration::from_millis(20)).await, ["job"]);
    assert_eq!(lease.lost().await, LossReason::Released);
    while endpoints.server(0).unwrap().get("lh:lock:job").is_some() {
        tokio::task::yield_now().await;
    }
}
