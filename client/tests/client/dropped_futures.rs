//! Acquisitions that nobody waits for any more leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use leasehold::{AttemptOutcome, Client};
use leasehold_trio::Trio;

use crate::common::{self, Recorder};

const LONG: Duration = Duration::from_secs(30);

/// Everything that was taken has been given back, long before any TTL is over.
async fn nothing_is_left(trio: &Trio) {
    common::eventually("no lock is left on any server", || common::no_locks(trio.servers())).await;
    // Nor does anything come later: what was under way has been answered, so one more round trip meets the end of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(common::no_locks(trio.servers()));
}

/// Polls an acquisition until a number of turns of the scheduler have passed, then drops it.
async fn acquire_for(client: &Client, name: &str, turns: u32) -> bool {
    let turns = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        lease = client.lease(name).ttl(LONG).acquire() => lease.is_ok(),
        () = turns => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_acquisitions_dropped_anywhere_leave_no_lock() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let (mut won, mut dropped) = (0, 0);
    for turn in 0..600u32 {
        match acquire_for(&client, &format!("job:{turn}"), turn / 2).await {
            true => won += 1,
            false => dropped += 1,
        }
    }
    assert!(dropped > 20, "{won} won, only {dropped} were dropped");
    nothing_is_left(&trio).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acquisitions_dropped_after_a_random_time_leave_no_lock() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..400u64 {
        let request = client.lease(format!("job:{number}")).ttl(LONG);
        // Spread over the first three milliseconds, where an attempt spends its life.
        let patience = Duration::from_micros(number * 7_919 % 3_000);
        tasks.spawn(async move { tokio::time::timeout(patience, request.acquire()).await.is_ok() });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    nothing_is_left(&trio).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_that_are_dropped_take_nothing_afterwards() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(LONG).acquire().await.unwrap();
    let waiters: Vec<_> = (0..50).map(|_| tokio::spawn(client.lease("job").ttl(LONG).acquire())).collect();
    tokio::task::yield_now().await;
    for waiter in &waiters {
        waiter.abort();
    }
    lease.release().await.unwrap();
    for waiter in waiters {
        // One may have been quicker than its end: its lease is dropped with the task.
        drop(waiter.await);
    }
    nothing_is_left(&trio).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acquisition_dropped_while_endpoints_stand_still_is_undone_when_they_go_on() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    for server in &trio.servers()[1..] {
        server.pause().unwrap();
    }
    let acquiring = tokio::spawn(client.lease("job").ttl(LONG).acquire());
    let first = &trio.servers()[0];
    common::eventually("the first has voted", || common::lock_value(first, "job").is_some()).await;
    acquiring.abort();
    assert!(acquiring.await.unwrap_err().is_cancelled());
    assert_eq!(recorder.attempts.lock().unwrap()[0].outcome, AttemptOutcome::Cancelled);
    common::eventually("the first has released it", || common::lock_value(first, "job").is_none()).await;
    for server in &trio.servers()[1..] {
        server.resume().unwrap();
    }
    nothing_is_left(&trio).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_dropped_with_everything_under_way_leaves_no_lock() {
    let trio = common::trio().await;
    for turns in (0..30).step_by(3) {
        let client = common::client(&trio).await;
        for number in 0..20 {
            acquire_for(&client, &format!("job:{number}"), turns).await;
        }
    }
    nothing_is_left(&trio).await;
}
