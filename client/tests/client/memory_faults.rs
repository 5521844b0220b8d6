//! Endpoints in memory fail in every way they are told to, in virtual time, and the same way for the same seed.

use std::sync::Arc;
use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{AcquireError, Client, EndpointState, LeaseState, LossReason};
use tokio::time::Instant;

use crate::common::{self, Recorder};

const TTL: Duration = Duration::from_secs(10);

fn endpoints(seed: u64) -> MemoryEndpoints {
    MemoryEndpoints::with_seed(3, seed).unwrap()
}

async fn client(endpoints: &MemoryEndpoints) -> Client {
    let client = Client::builder().memory(endpoints).ttl(TTL).connect().await.unwrap();
    common::ready(&client, endpoints.len()).await;
    client
}

#[tokio::test(start_paused = true)]
async fn an_acquire_takes_as_long_as_the_slowest_of_the_fastest_majority() {
    let endpoints = endpoints(1);
    let client = client(&endpoints).await;
    for (server, ms) in endpoints.servers().iter().zip([10, 40, 200]) {
        server.set_latency(Duration::from_millis(ms)..=Duration::from_millis(ms));
    }
    let begun = Instant::now();
    let lease = client.lease("job").acquire().await.unwrap();
    let took = begun.elapsed();
    assert!((40..200).contains(&took.as_millis()), "{took:?}");
    lease.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_holding_passes_in_virtual_time() {
    let endpoints = endpoints(2);
    let client = client(&endpoints).await;
    let lease = client.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(lease.is_valid());
    assert!(lease.valid_until() > Instant::now().into_std());
    assert!(lease.remaining() <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_to_a_server_that_hangs_is_carried_out_in_order_when_it_goes_on() {
    let endpoints = endpoints(3);
    let client = client(&endpoints).await;
    for server in endpoints.servers() {
        server.set_latency(Duration::from_millis(5)..=Duration::from_millis(5));
    }
    let server = &endpoints.servers()[2];
    server.hang();
    let lease = client.lease("job").acquire().await.unwrap();
    lease.release().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(server.get("lh:lock:job"), None);
    server.resume();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.get("lh:lock:job"), None, "the acquire was carried out, and the release after it");
    assert!(server.keys().iter().any(|key| key.starts_with("lh:fence:")), "the acquire was carried out");
}

#[tokio::test(start_paused = true)]
async fn two_that_hang_are_no_quorum_and_a_held_lease_is_lost_in_time() {
    let endpoints = endpoints(4);
    let client = client(&endpoints).await;
    let lease = client.lease("job").acquire().await.unwrap();
    endpoints.servers()[..2].iter().for_each(leasehold::memory::MemoryServer::hang);
    let error = client.lease("other").try_acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "{error}");
    assert!(error.to_string().contains("no answer in time"), "{error}");
    let until = lease.valid_until();
    assert_eq!(lease.lost().await, LossReason::Expired);
    assert!(Instant::now().into_std() <= until);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_in_its_words_and_does_nothing() {
    let endpoints = endpoints(5);
    let client = client(&endpoints).await;
    endpoints.servers()[..2].iter().for_each(|server| server.refuse("OOM command not allowed"));
    let error = client.lease("job").try_acquire().await.unwrap_err();
    assert!(error.to_string().contains("OOM command not allowed"), "{error}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(endpoints.servers().iter().all(|server| server.get("lh:lock:job").is_none()));
    endpoints.servers()[..2].iter().for_each(leasehold::memory::MemoryServer::accept);
    client.lease("job").acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_answers_leave_a_vote_that_is_undone() {
    let endpoints = endpoints(6);
    let client = client(&endpoints).await;
    endpoints.servers()[..2].iter().for_each(|server| server.lose_answers(100));
    let error = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "{error}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    for server in endpoints.servers() {
        assert!(server.keys().iter().any(|key| key.starts_with("lh:fence:")), "it was carried out");
        assert_eq!(server.get("lh:lock:job"), None, "and undone, though no answer came");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_requests_do_nothing() {
    let endpoints = endpoints(7);
    let client = client(&endpoints).await;
    endpoints.servers().iter().for_each(|server| server.lose_requests(100));
    client.lease("job").try_acquire().await.unwrap_err();
    for server in endpoints.servers() {
        assert_eq!(server.keys(), ["lh:member"]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_restart_and_a_flush_cost_a_quarantine_and_no_lease() {
    let endpoints = endpoints(8);
    let client = client(&endpoints).await;
    let lease = client.lease("job").acquire().await.unwrap();
    tokio::time::sleep(TTL).await;
    let server = &endpoints.servers()[1];
    let before = server.snapshot();
    let quarantined = || matches!(client.endpoints()[1].state, EndpointState::Quarantined { .. });
    let forget: [&dyn Fn(); 4] =
        [&|| server.restart(), &|| server.restart_empty(), &|| server.restart_from(&before), &|| {
            server.flush();
        }];
    for forget in forget {
        forget();
        common::eventually("it is quarantined", quarantined).await;
        assert_eq!(lease.state(), LeaseState::Held);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert!(!quarantined());
        assert_eq!(lease.votes(), 3, "it has grown back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_runs_a_tenth_too_fast_is_not_counted() {
    let endpoints = endpoints(9);
    let client = client(&endpoints).await;
    let lease = client.lease("job").acquire().await.unwrap();
    endpoints.servers()[0].run_clock(100_000);
    let quarantined = || matches!(client.endpoints()[0].state, EndpointState::Quarantined { .. });
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if quarantined() {
            break;
        }
    }
    assert!(quarantined());
    assert!(lease.is_valid());
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_does_not_come_back_when_a_clock_is_set_back() {
    let endpoints = endpoints(10);
    let server = &endpoints.servers()[0];
    server.set("gone", "a", Some(Duration::from_secs(1)));
    server.set("stands", "b", Some(Duration::from_secs(10)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.step_clock(-3_600_000);
    assert_eq!(server.keys(), ["stands"]);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(server.keys(), ["stands"], "it stands an hour longer");
}

/// What a client of endpoints with this seed sees in an hour of faults: reports, tokens and keys.
async fn history(seed: u64) -> String {
    let endpoints = endpoints(seed);
    for server in endpoints.servers() {
        server.set_latency(Duration::from_millis(1)..=Duration::from_millis(30));
        server.lose_requests(5);
        server.lose_answers(5);
    }
    let recorder = Recorder::new();
    let observer = Arc::clone(&recorder) as _;
    let client = Client::builder().memory(&endpoints).observer(observer).connect().await.unwrap();
    let mut tokens = Vec::new();
    for turn in 0..300 {
        let name = format!("job:{}", turn % 7);
        if let Ok(lease) = client.lease(name).acquire().await {
            tokens.push(lease.fence());
            tokio::time::sleep(Duration::from_secs(turn % 20)).await;
            drop(lease.release().await);
        }
    }
    let keys: Vec<_> = endpoints.servers().iter().map(leasehold::memory::MemoryServer::keys).collect();
    let (attempts, renewals) = (recorder.attempts.lock().unwrap(), recorder.renewals.lock().unwrap());
    format!("{tokens:?}\n{attempts:#?}\n{renewals:#?}\n{keys:?}")
}

fn in_virtual_time<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run)
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_seed_another() {
    let first = in_virtual_time(history(11));
    assert!(first == in_virtual_time(history(11)));
    assert!(first != in_virtual_time(history(12)));
}
