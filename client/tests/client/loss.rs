//! Losing a lease: told in time, and never taken back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold::{LossReason, ReleaseError, RenewError, ValidateError};

use crate::common::{self, Recorder, Stalls};

const SHORT: Duration = Duration::from_millis(600);

/// What a timer may be late on a machine that runs, less than the notice is early.
const PUNCTUAL: Duration = Duration::from_millis(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_cut_off_from_the_majority_is_told_before_its_deadline() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    for attempt in 0.. {
        let lease = client.lease(format!("job:{attempt}")).ttl(SHORT).acquire().await.unwrap();
        let stalls = Stalls::watch();
        for server in &trio.servers()[1..] {
            server.pause().unwrap();
        }
        let reason = common::soon("the loss", lease.lost()).await;
        let told = Instant::now();
        for server in &trio.servers()[1..] {
            server.resume().unwrap();
        }
        assert_eq!(reason, LossReason::Expired);
        assert!(!lease.is_valid());
        let reported = || recorder.losses.lock().unwrap().len() > attempt;
        common::eventually("the loss is reported", reported).await;
        let report = recorder.losses.lock().unwrap()[attempt].clone();
        assert_eq!((report.name.as_str(), report.reason), (lease.name(), LossReason::Expired));
        if told < lease.valid_until() {
            assert_eq!(report.after_deadline, Duration::ZERO);
            return;
        }
        // A machine on which no timer is punctual proves nothing: once more.
        let longest = stalls.longest();
        assert!(longest > PUNCTUAL, "told too late, though no timer was late by more than {longest:?}");
        assert!(attempt < 20, "no timer of this machine is punctual");
        common::ready(&client, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_not_taken_back_when_the_endpoints_return() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(SHORT).acquire().await.unwrap();
    let fence = lease.fence();
    for server in &trio.servers()[1..] {
        server.pause().unwrap();
    }
    common::soon("the loss", lease.lost()).await;
    for server in &trio.servers()[1..] {
        server.resume().unwrap();
    }
    common::ready(&client, 3).await;
    common::eventually("what was left has been removed", || common::no_locks(trio.servers())).await;

    assert!(!lease.is_valid());
    assert_eq!(lease.remaining(), Duration::ZERO);
    assert_eq!(common::soon("the reason", lease.lost()).await, LossReason::Expired);
    assert_eq!(lease.fence(), fence, "to tell what was written under it");
    let expired = LossReason::Expired;
    let error = lease.validate().await.unwrap_err();
    assert!(matches!(&error, ValidateError::Lost { reason, .. } if *reason == expired), "{error}");
    let error = lease.renew().await.unwrap_err();
    assert!(matches!(&error, RenewError::Lost { reason, .. } if *reason == expired), "{error}");
    let error = lease.release().await.unwrap_err();
    assert!(matches!(&error, ReleaseError::Lost { reason, .. } if *reason == expired), "{error}");
    assert!(common::no_locks(trio.servers()), "nothing brought the lock back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_locks_were_taken_is_lost_at_the_next_look() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(Duration::from_secs(4)).acquire().await.unwrap();
    for server in &trio.servers()[..2] {
        server.command(&["DEL", "lh:lock:job"]).unwrap();
        common::set_nx_px(server, "job", Duration::from_secs(30));
    }
    assert_eq!(common::soon("the loss", lease.lost()).await, LossReason::Taken);
    assert!(lease.valid_until() > Instant::now(), "long before the deadline");
    assert!(!lease.is_valid());
    let third = &trio.servers()[2];
    common::eventually("the third is released", || common::lock_value(third, "job").is_none()).await;
    for server in &trio.servers()[..2] {
        assert_eq!(common::lock_value(server, "job").as_deref(), Some("somebody"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_taken_elsewhere_is_lost_even_with_an_endpoint_down() {
    let mut trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(Duration::from_secs(4)).acquire().await.unwrap();
    trio.server(0).kill().unwrap();
    for server in &trio.servers()[1..] {
        server.command(&["DEL", "lh:lock:job"]).unwrap();
        common::set_nx_px(server, "job", Duration::from_secs(30));
    }
    assert_eq!(common::soon("the loss", lease.lost()).await, LossReason::Taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_waits_for_the_end_is_told() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").ttl(SHORT).acquire().await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        waiting.spawn(lease.lost());
    }
    let token = lease.cancellation_token();
    for server in &trio.servers()[..2] {
        server.pause().unwrap();
    }
    let told = common::soon("the loss", waiting.join_all()).await;
    assert_eq!(told, [LossReason::Expired; 20]);
    common::soon("the cancellation", token.cancelled()).await;
}
