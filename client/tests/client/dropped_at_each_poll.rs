//! Futures that are dropped at each of their awaits, poll by poll, leave nothing behind.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use leasehold::{Client, Lease};
use leasehold_trio::Trio;
use rand::RngExt as _;

use crate::common;

const LONG: Duration = Duration::from_secs(30);
/// Each poll number is tried so often: what the client's other tasks do meanwhile differs.
const TURNS: u32 = 15;
/// No future of ours is polled more often before it is done.
const POLLS_MAX: u32 = 200;

/// When a future is dropped: after so many polls, at once or only when it could be polled again.
#[derive(Clone, Copy, Debug)]
enum Drop {
    AtOnce { polls: u32 },
    WhenWoken { polls: u32 },
}

/// Polls a future as often as it may be, and drops it. Gives what it came to, if it did.
async fn until<F: Future>(drop: Drop, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        let polls = match drop {
            Drop::AtOnce { polls } | Drop::WhenWoken { polls } => polls,
        };
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match (future.as_mut().poll(context), drop) {
            (Poll::Ready(value), _) => Poll::Ready(Some(value)),
            (Poll::Pending, Drop::AtOnce { .. }) if polled == polls => Poll::Ready(None),
            (Poll::Pending, _) => Poll::Pending,
        }
    })
    .await
}

/// Drops futures after each number of polls, from none to as many as it takes one of them to come to its end.
async fn at_each_poll<T>(make: impl AsyncFn(Drop) -> Option<T>) {
    for polls in 0..POLLS_MAX {
        let mut ended = 0;
        for _ in 0..TURNS {
            for drop in [Drop::AtOnce { polls }, Drop::WhenWoken { polls }] {
                ended += u32::from(make(drop).await.is_some());
            }
        }
        if ended == TURNS * 2 {
            return;
        }
    }
    panic!("not done after {POLLS_MAX} polls");
}

/// Of all that the client wrote only what belongs to the endpoint is left, long before any TTL is over: of waiting, the mark
/// that makes others look for lines.
async fn nothing_is_left(trio: &Trio) {
    let left = || -> Vec<String> {
        let keys = |server: &leasehold_trio::Server| server.command(&["KEYS", "lh:*"]).unwrap().to_string();
        let text: String = trio.servers().iter().map(keys).collect::<Vec<_>>().join(", ");
        let words = text.split(['[', ']', ',', ' ']).filter(|word| !word.is_empty());
        let own = |key: &&str| !key.starts_with("lh:fence:") && !["lh:member", "lh:waiters"].contains(key);
        words.filter(own).map(str::to_owned).collect()
    };
    common::eventually(&format!("nothing is left: {:?}", left()), || left().is_empty()).await;
    // Nor does anything come later: what was under way has been answered, so one more round trip meets the end of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(left(), Vec::<String>::new());
}

async fn acquired(client: &Client, name: &str) -> Lease {
    client.lease(name).ttl(LONG).acquire().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acquisition_of_a_free_lease() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let names = AtomicUsize::new(0);
    at_each_poll(async |drop| {
        let name = format!("job:{}", names.fetch_add(1, Ordering::Relaxed));
        until(drop, client.lease(name).ttl(LONG).acquire()).await
    })
    .await;
    nothing_is_left(&trio).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acquisition_that_waits_for_another_holder() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let names = AtomicUsize::new(0);
    at_each_poll(async |drop| {
        let name = format!("job:{}", names.fetch_add(1, Ordering::Relaxed));
        let held = acquired(&client, &name).await;
        let ends = async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            held.release().await.unwrap();
        };
        tokio::join!(until(drop, client.lease(&name).ttl(LONG).acquire()), ends).0
    })
    .await;
    nothing_is_left(&trio).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    at_each_poll(async |drop| until(drop, acquired(&client, "job").await.release()).await).await;
    nothing_is_left(&trio).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_work_that_waits() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let working = Arc::new(AtomicUsize::new(0));
    let names = AtomicUsize::new(0);
    at_each_poll(async |drop| {
        let name = format!("job:{}", names.fetch_add(1, Ordering::Relaxed));
        let at_work = AtWork::begin(&working);
        let run = client.lease(name).ttl(LONG).run(async |lease| {
            for _ in 0..3 {
                tokio::task::yield_now().await;
                lease.validate().await.unwrap();
            }
            std::mem::drop(at_work);
        });
        until(drop, run).await
    })
    .await;
    assert_eq!(working.load(Ordering::Relaxed), 0, "work went on without its future");
    nothing_is_left(&trio).await;
}

/// Counts work that has not been dropped.
struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl std::ops::Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_acquisitions_and_releases_after_a_random_time() {
    const TASKS: u32 = 50;
    const EACH: u32 = 200;
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let client = client.clone();
        tasks.spawn(async move {
            let mut dropped = 0;
            for turn in 0..EACH {
                // Names are shared, so that some wait for others.
                let name = format!("job:{}", (task * EACH + turn) % 97);
                let patience_us = rand::rng().random_range(0..6_000);
                let cycle = async {
                    if let Ok(lease) = client.lease(name).ttl(LONG).acquire().await {
                        drop(lease.release().await);
                    }
                };
                let patience = Duration::from_micros(patience_us);
                dropped += u32::from(tokio::time::timeout(patience, cycle).await.is_err());
            }
            dropped
        });
    }
    let dropped: u32 = tasks.join_all().await.iter().sum();
    assert!(dropped > TASKS * EACH / 20, "only {dropped} were dropped");
    nothing_is_left(&trio).await;
}
