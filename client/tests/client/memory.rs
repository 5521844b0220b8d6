//! Endpoints in memory behave as servers do.

use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{AcquireError, Client, EndpointState, Fence};

use crate::common;

async fn client(endpoints: &MemoryEndpoints) -> Client {
    let client = Client::builder().memory(endpoints).connect().await.unwrap();
    common::ready(&client, endpoints.len()).await;
    client
}

#[tokio::test]
async fn a_held_lease_is_refused_to_others_and_tokens_grow() {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let clients = [client(&endpoints).await, client(&endpoints).await];
    let mut last = Fence::new(0);
    for turn in 0..20 {
        let lease = clients[turn % 2].lease("job").acquire().await.unwrap();
        assert!(lease.fence() > last);
        last = lease.fence();
        let refused = clients[(turn + 1) % 2].lease("job").try_acquire().await.unwrap_err();
        assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
        lease.validate().await.unwrap();
        lease.release().await.unwrap();
    }
}

#[tokio::test]
async fn dropped_acquisitions_and_dropped_leases_leave_nothing() {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client = client(&endpoints).await;
    for turns in 0..200 {
        let request = client.lease("job").ttl(Duration::from_secs(30));
        tokio::select! {
            biased;
            lease = request.acquire() => drop(lease),
            () = async { for _ in 0..turns % 20 { tokio::task::yield_now().await } } => {}
        }
    }
    let free = |index| endpoints.server(index).unwrap().get("lh:lock:job").is_none();
    common::eventually("no lock is left", || (0..3).all(free)).await;
}

#[tokio::test]
async fn a_lock_of_a_program_without_leases_is_respected() {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client = client(&endpoints).await;
    for index in 0..2 {
        let server = endpoints.server(index).unwrap();
        assert!(server.set_nx_px("lh:lock:job", "somebody", Duration::from_secs(20)));
        assert!(!server.set_nx_px("lh:lock:job", "another", Duration::from_secs(20)));
    }
    let refused = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    for index in 0..2 {
        assert_eq!(endpoints.server(index).unwrap().del("lh:lock:job").as_deref(), Some("somebody"));
    }
    let _lease = client.lease("job").acquire().await.unwrap();
    assert!(!endpoints.server(0).unwrap().set_nx_px("lh:lock:job", "somebody", Duration::from_secs(20)));
}

#[tokio::test]
async fn an_endpoint_that_forgot_is_quarantined() {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client = client(&endpoints).await;
    let lease = client.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    for index in 0..2 {
        endpoints.server(index).unwrap().restart_empty();
    }
    let quarantined = || {
        let states = client.endpoints().into_iter().map(|status| status.state);
        states.filter(|state| matches!(state, EndpointState::Quarantined { .. })).count()
    };
    common::eventually("both are quarantined", || quarantined() == 2).await;
    // Two of three have forgotten the lease; nobody gets a second one.
    let error = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "{error}");
    assert!(lease.is_valid());
}

#[tokio::test]
async fn endpoints_that_cannot_be_reached_are_no_quorum_until_they_can() {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client = client(&endpoints).await;
    for index in 0..2 {
        endpoints.server(index).unwrap().disconnect();
    }
    let error = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "{error}");
    assert!(error.to_string().contains("disconnected"), "{error}");
    endpoints.server(1).unwrap().reconnect();
    let _lease = common::soon("a lease", client.lease("job").acquire()).await.unwrap();
}

#[tokio::test]
async fn a_single_endpoint_will_do_for_development_and_an_even_number_never() {
    let single = MemoryEndpoints::new(1).unwrap();
    assert_eq!(client(&single).await.lease("job").acquire().await.unwrap().votes(), 1);
    assert!(MemoryEndpoints::new(2).is_err());
    assert!(MemoryEndpoints::new(0).is_err());
}
