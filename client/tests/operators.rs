//! What operators say of a set: brand-new, under new settings, durable.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use leasehold::admin::{self, AdminError};
use leasehold::{Client, ClientBuilder, EndpointState};
use leasehold_trio::{Data, Fsync, Persistence, ServerOptions, Trio};

fn quarantined(client: &Client, index: usize) -> bool {
    matches!(client.endpoints()[index].state, EndpointState::Quarantined { .. })
}

fn with_max_ttl(trio: &Trio, seconds: u64) -> ClientBuilder {
    common::builder(trio).max_ttl(Duration::from_secs(seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_has_voted_cannot_be_declared_fresh() {
    let trio = common::trio().await;
    let again = admin::fresh(common::builder(&trio)).await.unwrap_err();
    assert!(matches!(again, AdminError::NotFresh { .. }), "{again}");

    let trio = Trio::start().unwrap();
    trio.servers()[2].command(&["SET", "lh:lock:old", "somebody", "PX", "60000"]).unwrap();
    let with_a_lock = admin::fresh(common::builder(&trio)).await.unwrap_err();
    assert!(with_a_lock.to_string().contains("lh:lock:old"), "{with_a_lock}");
    assert!(
        trio.servers()[0].command(&["GET", "lh:member"]).unwrap().is_nil(),
        "nothing was written anywhere"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_with_an_endpoint_down_cannot_be_declared_fresh() {
    let mut trio = Trio::start().unwrap();
    trio.server(1).kill().unwrap();
    let timeout = Duration::from_millis(300);
    let error = admin::fresh(common::builder(&trio).connect_timeout(timeout)).await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&trio.servers()[1].port().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_settings_are_taken_on_one_endpoint_at_a_time() {
    let trio = common::trio().await;
    let old = common::client(&trio).await;
    let refused =
        with_max_ttl(&trio, 20).connect_timeout(Duration::from_millis(500)).connect().await.unwrap_err();
    assert!(
        refused.to_string().contains("max_ttl=30000") && refused.to_string().contains("max_ttl=20000"),
        "{refused}"
    );

    let left = admin::reconfigure(with_max_ttl(&trio, 20), 1).await.unwrap();
    assert!(left > Duration::from_secs(29), "in quarantine for {left:?}");
    let lease = old.lease("job").acquire().await.unwrap();
    assert_eq!(lease.votes(), 2, "two endpoints go on under the old settings");

    let too_soon = admin::reconfigure(with_max_ttl(&trio, 20), 2).await.unwrap_err();
    assert!(matches!(too_soon, AdminError::Quarantined { .. }), "{too_soon}");
    let no_such = admin::reconfigure(with_max_ttl(&trio, 20), 4).await.unwrap_err();
    assert!(matches!(no_such, AdminError::NoSuchEndpoint { place: 4, endpoints: 3 }), "{no_such}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_endpoint_votes_again_at_once_after_a_restart() {
    let persistence = Persistence::AppendOnly(Fsync::Always);
    let mut trio = Trio::start_with(ServerOptions { persistence, ..ServerOptions::default() }).unwrap();
    admin::fresh(common::builder(&trio)).await.unwrap();
    let client = common::client(&trio).await;
    admin::durable(common::builder(&trio)).await.unwrap();

    trio.server(0).restart(Data::Keep).unwrap();
    trio.server(1).kill().unwrap();
    let lease = client.lease("job").wait(Duration::from_secs(5)).acquire().await.unwrap();
    assert_eq!(lease.votes(), 2, "the restarted one is among them");

    trio.server(0).restart(Data::Discard).unwrap();
    common::eventually("without its data it is quarantined all the same", || quarantined(&client, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_may_lose_a_second_is_not_durable() {
    let persistence = Persistence::AppendOnly(Fsync::EverySecond);
    let mut trio = Trio::start_with(ServerOptions { persistence, ..ServerOptions::default() }).unwrap();
    admin::fresh(common::builder(&trio)).await.unwrap();
    let client = common::client(&trio).await;
    let error = admin::durable(common::builder(&trio)).await.unwrap_err();
    assert!(error.to_string().contains("appendfsync"), "{error}");

    trio.server(0).restart(Data::Keep).unwrap();
    common::eventually("it is quarantined after a restart", || quarantined(&client, 0)).await;
}
