//! Leases that are kept.

use std::sync::Arc;
use std::time::Duration;

use leasehold::AcquireError;

use crate::common::{self, Recorder, Stalls};

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_three_hundred_milliseconds_is_kept_for_as_long_as_it_is_wanted() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let other = common::client(&trio).await;
    for attempt in 0.. {
        let name = format!("job:{attempt}");
        let lease = client.lease(&name).ttl(Duration::from_millis(300)).acquire().await.unwrap();
        let (fence, stalls) = (lease.fence(), Stalls::watch());
        let wanted = recorder.renewed() + 12;
        common::eventually("a dozen renewals", || recorder.renewed() >= wanted || !lease.is_valid()).await;
        if lease.is_valid() {
            assert_eq!(lease.fence(), fence);
            let refused = other.lease(&name).try_acquire().await.unwrap_err();
            assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
            assert!(recorder.losses.lock().unwrap().is_empty() || attempt > 0);
            return;
        }
        // A machine that stands still for longer than a renewal may take loses such a lease, as it must.
        let longest = stalls.longest();
        assert!(
            longest > Duration::from_millis(30),
            "lost, though no timer was late by more than {longest:?}"
        );
        assert!(attempt < 20, "this machine stands still all the time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_moves_the_deadline_on_and_never_back() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let lease = client.lease("job").ttl(Duration::from_secs(2)).acquire().await.unwrap();
    let (first, mut last) = (lease.valid_until(), lease.valid_until());
    common::eventually("two renewals", || {
        let until = lease.valid_until();
        // Two readings of two clocks are some microseconds apart.
        assert!(until + Duration::from_millis(1) >= last, "moved back by {:?}", last - until);
        last = last.max(until);
        recorder.renewed() >= 2
    })
    .await;
    assert!(last > first + Duration::from_secs(1));
    let renewals = recorder.renewals.lock().unwrap();
    for report in renewals.iter().filter(|report| report.succeeded) {
        assert_eq!(report.name, "job");
        assert!(report.slack > Duration::ZERO && report.slack < Duration::from_secs(2), "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_deleted_by_hand_is_set_again() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(Duration::from_secs(2)).acquire().await.unwrap();
    for server in trio.servers() {
        server.command(&["DEL", "lh:lock:job"]).unwrap();
    }
    let healed = |server| {
        common::lock_value(server, "job").is_some_and(|value| value.ends_with(&format!(":{}", lease.fence())))
    };
    common::eventually("every server has its lock again", || trio.servers().iter().all(healed)).await;
    assert!(lease.is_valid());
    lease.validate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_won_without_one_endpoint_grows_to_it_when_it_returns() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let third = &trio.servers()[2];
    third.pause().unwrap();
    let lease = client.lease("job").ttl(Duration::from_secs(3)).acquire().await.unwrap();
    assert_eq!(lease.votes(), 2);
    third.resume().unwrap();
    common::eventually("all three vote", || lease.votes() == 3).await;
    assert!(common::lock_value(third, "job").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_outlives_the_loss_of_any_one_endpoint() {
    let mut trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let lease = client.lease("job").ttl(Duration::from_secs(2)).acquire().await.unwrap();
    trio.server(0).kill().unwrap();
    let wanted = recorder.renewed() + 3;
    common::eventually("three renewals with an endpoint gone", || recorder.renewed() >= wanted).await;
    assert!(lease.is_valid());
    lease.validate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_leases_are_kept_side_by_side() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let request = |number: usize| client.lease(format!("job:{number}")).ttl(Duration::from_secs(3));
    let leases =
        futures::future::try_join_all((0..200).map(|number| request(number).acquire())).await.unwrap();
    common::eventually("each has been renewed twice", || recorder.renewed() >= 400).await;
    assert!(leases.iter().all(|lease| lease.is_valid()));
    drop(leases);
    common::eventually("every lock has been released", || common::no_locks(trio.servers())).await;
}
