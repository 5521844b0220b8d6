//! Endpoints' clocks that jump, seen by a client.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use leasehold::memory::MemoryEndpoints;
use leasehold::{Client, EndpointState, Lease, LossReason};

/// A client of three endpoints in memory that has seen all their clocks, with a lease.
async fn holder() -> (MemoryEndpoints, Client, Lease) {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client = Client::builder().memory(&endpoints).connect().await.unwrap();
    let lease = client.lease("job").acquire().await.unwrap();
    while lease.votes() < 3 {
        lease.renew().await.unwrap();
    }
    (endpoints, client, lease)
}

#[tokio::test]
async fn an_endpoint_whose_clock_jumped_gives_no_votes_to_anybody() {
    let (endpoints, client, lease) = holder().await;
    endpoints.server(1).unwrap().step_clock(3_600_000);
    while !matches!(client.endpoints()[1].state, EndpointState::Quarantined { .. }) {
        lease.validate().await.unwrap();
    }
    assert!(lease.is_valid(), "two endpoints are enough");

    let other = Client::builder().memory(&endpoints).connect().await.unwrap();
    let _lease = other.lease("other").acquire().await.unwrap();
    while !matches!(other.endpoints()[1].state, EndpointState::Quarantined { .. }) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn when_most_clocks_seem_to_be_off_it_is_the_holders_own() {
    let (endpoints, client, lease) = holder().await;
    for index in 0..3 {
        endpoints.server(index).unwrap().step_clock(500);
    }
    // Whatever the endpoints answer meanwhile: the loss is what counts.
    drop(lease.validate().await);
    assert_eq!(lease.lost().await, LossReason::ClockSuspect);
    assert!(
        client.endpoints().iter().all(|endpoint| endpoint.state == EndpointState::Ready),
        "nothing was written"
    );
}
