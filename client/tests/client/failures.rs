//! Endpoints that are gone, or stand still, or come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold::{AcquireError, Client, EndpointState};
use leasehold_trio::{Data, Trio};

use crate::common::{self, Recorder};

/// Acquires and releases a few times, and gives the longest that an attempt took.
async fn cycles(client: &Client, recorder: &Recorder, count: usize) -> Duration {
    let before = recorder.attempts();
    for _ in 0..count {
        let lease = client.lease("job").acquire().await.unwrap();
        lease.release().await.unwrap();
    }
    recorder.attempts.lock().unwrap()[before..].iter().map(|attempt| attempt.latency).max().unwrap()
}

fn reason_of(error: &AcquireError, trio: &Trio, index: usize) -> String {
    let AcquireError::NoQuorum { endpoints, .. } = error else { panic!("{error}") };
    let label = format!("127.0.0.1:{}", trio.servers()[index].port());
    assert_eq!(endpoints.0[index].endpoint, label, "{error}");
    assert!(error.to_string().contains(&label), "{error}");
    endpoints.0[index].reason.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_killed_changes_neither_outcome_nor_latency() {
    let mut trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    trio.server(1).kill().unwrap();
    let longest = cycles(&client, &recorder, 20).await;
    assert!(longest < common::REQUEST_TIMEOUT, "an attempt waited for the dead: {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_that_stands_still_changes_neither_outcome_nor_latency() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    trio.servers()[1].pause().unwrap();
    let longest = cycles(&client, &recorder, 20).await;
    assert!(longest < common::REQUEST_TIMEOUT, "an attempt waited for the hung: {longest:?}");
    trio.servers()[1].resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_killed_are_no_quorum_and_each_is_named_with_its_reason() {
    let mut trio = common::trio().await;
    let client = common::client(&trio).await;
    trio.server(0).kill().unwrap();
    trio.server(2).kill().unwrap();
    let down = |index: usize| matches!(client.endpoints()[index].state, EndpointState::Unreachable { .. });
    common::eventually("an idle client knows that they are gone", || down(0) && down(2)).await;

    let begun = Instant::now();
    let error = client.lease("job").try_acquire().await.unwrap_err();
    assert!(
        begun.elapsed() < common::REQUEST_TIMEOUT,
        "known to be down, and waited for: {:?}",
        begun.elapsed()
    );
    for index in [0, 2] {
        let reason = reason_of(&error, &trio, index);
        assert!(reason.contains("not asked") || reason.contains("unknown"), "{error}");
        assert!(
            ["refused", "closed", "reset", "Broken pipe"].iter().any(|word| reason.contains(word)),
            "{error}"
        );
    }
    common::eventually("the third has nothing left", || common::no_locks(&trio.servers()[1..2])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_stand_still_are_no_quorum_within_the_timeouts() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    for server in &trio.servers()[1..] {
        server.pause().unwrap();
    }
    let error = common::soon("an answer", client.lease("job").try_acquire()).await.unwrap_err();
    for index in [1, 2] {
        let reason = reason_of(&error, &trio, index);
        assert!(reason.contains("no answer"), "{error}");
    }
    assert_eq!(reason_of(&error, &trio, 0), "granted");
    for server in &trio.servers()[1..] {
        server.resume().unwrap();
    }
    // No restart and no help: the next acquisition simply works.
    let lease = common::soon("a lease", client.lease("job").acquire()).await.unwrap();
    lease.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_acquisition_succeeds_once_the_majority_is_back() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    for server in &trio.servers()[1..] {
        server.pause().unwrap();
    }
    let waiting = tokio::spawn(client.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("an attempt has failed", || recorder.attempts() >= 1).await;
    for server in &trio.servers()[1..] {
        server.resume().unwrap();
    }
    let _lease = common::soon("the lease", waiting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_restart_with_their_data_are_admitted_again_without_help() {
    let mut trio = common::lasting_trio().await;
    let client = common::client(&trio).await;
    trio.server(0).restart(Data::Keep).unwrap();
    let quarantined = || matches!(client.endpoints()[0].state, EndpointState::Quarantined { .. });
    common::eventually("the client has noticed by itself", quarantined).await;
    // The others go on.
    client.lease("job").acquire().await.unwrap().release().await.unwrap();

    // An operator who knows that nothing was forgotten can end a quarantine early.
    assert_eq!(trio.servers()[0].command(&["DEL", "lh:quarantine"]).unwrap().integer(), Some(1));
    trio.server(1).kill().unwrap();
    let lease = common::soon("a lease", client.lease("job").acquire()).await.unwrap();
    assert_eq!(lease.votes(), 2);
    assert!(common::lock_value(&trio.servers()[0], "job").is_some(), "the restarted one voted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_without_its_data_gives_no_vote_until_its_quarantine_is_over() {
    let mut trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    common::eventually("all three hold it", || {
        trio.servers().iter().all(|server| common::lock_value(server, "job").is_some())
    })
    .await;
    trio.server(0).restart(Data::Discard).unwrap();
    // Another client would get the name with this vote and one more that was lost the same way.
    let other = common::client_of(&trio, 2).await;
    let admitted = || matches!(other.endpoints()[0].state, EndpointState::Quarantined { .. });
    common::eventually("the one that forgot is admitted, into quarantine", admitted).await;
    let refused = other.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    let free = other.lease("free").acquire().await.unwrap();
    assert_eq!(free.votes(), 2);
    assert!(common::lock_value(&trio.servers()[0], "job").is_none());
    assert!(lease.is_valid());
    trio.server(1).pause().unwrap();
    let error = other.lease("third").try_acquire().await.unwrap_err();
    let reason = reason_of(&error, &trio, 0);
    assert!(reason.contains("in quarantine for") && reason.contains("forgotten"), "{error}");
}
