//! Runtimes that end before what they carried.

use std::sync::mpsc;
use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{Client, Lease, LossReason};
use tokio::runtime::{Builder, Runtime};

use crate::common;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs something on a thread of its own that must end, and neither panic nor hang.
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = mpsc::channel();
    let thread = std::thread::spawn(move || done.send(work()));
    match outcome.recv_timeout(Duration::from_secs(20)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs: {what}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("it panicked: {what}: {:?}", thread.join()),
    }
}

/// A lease on real servers whose runtime is gone.
fn orphan(name: &'static str) -> (leasehold_trio::Trio, Lease) {
    ends("the runtime", move || {
        let runtime = runtime();
        let (trio, lease) = runtime.block_on(async {
            let trio = common::trio().await;
            let client = common::client(&trio).await;
            let lease = client.lease(name).ttl(Duration::from_secs(1)).acquire().await.unwrap();
            (trio, lease)
        });
        drop(runtime);
        (trio, lease)
    })
}

#[test]
fn a_runtime_that_ends_with_leases_held_neither_panics_nor_hangs() {
    let (_trio, lease) = orphan("job");
    ends("the drop of a lease", move || drop(lease));
}

#[test]
fn a_lease_whose_runtime_is_gone_still_ends_at_its_deadline() {
    let (_trio, lease) = orphan("job");
    let until = lease.valid_until();
    while std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!lease.is_valid());
}

#[test]
fn a_release_on_another_runtime_comes_to_an_end() {
    let (_trio, lease) = orphan("job");
    let released = ends("the release", move || runtime().block_on(lease.release()));
    assert!(released.is_err(), "nobody is there to carry it out");
}

#[test]
fn the_loss_of_an_orphan_is_told_on_another_runtime() {
    let (_trio, lease) = orphan("job");
    let reason = ends("the loss", move || runtime().block_on(lease.lost()));
    assert_eq!(reason, LossReason::Expired);
}

#[test]
fn an_acquisition_on_another_runtime_comes_to_an_end() {
    let client = ends("the first runtime", || {
        let runtime = runtime();
        runtime.block_on(async {
            let endpoints = MemoryEndpoints::new(3).unwrap();
            Client::builder().memory(&endpoints).connect().await.unwrap()
        })
    });
    let refused = ends("the acquisition", move || {
        let client = client;
        runtime().block_on(client.lease("job").wait(Duration::ZERO).acquire())
    });
    assert!(refused.is_err(), "nobody is there to carry it out");
}

#[test]
fn a_runtime_that_ends_in_the_middle_of_everything_neither_panics_nor_hangs() {
    for millis in [0, 1, 3, 10] {
        ends("the runtime", move || {
            let runtime = runtime();
            runtime.block_on(async {
                let endpoints = MemoryEndpoints::new(3).unwrap();
                let client = Client::builder().memory(&endpoints).connect().await.unwrap();
                for number in 0..50 {
                    let request = client.lease(format!("job:{}", number % 5));
                    tokio::spawn(async move { request.acquire().await.unwrap().lost().await });
                }
                tokio::time::sleep(Duration::from_millis(millis)).await;
            });
        });
    }
}

#[test]
fn a_lease_can_be_used_from_another_runtime_while_its_own_lives() {
    let home = runtime();
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client = home.block_on(Client::builder().memory(&endpoints).connect()).unwrap();
    let reason = ends("work elsewhere", move || {
        runtime().block_on(async move {
            let lease = client.lease("job").acquire().await.unwrap();
            lease.validate().await.unwrap();
            let over = lease.lost();
            lease.release().await.unwrap();
            over.await
        })
    });
    assert_eq!(reason, LossReason::Released);
    drop(home);
}
