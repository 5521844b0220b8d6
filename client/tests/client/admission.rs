//! How an endpoint earns its vote.

use std::time::Duration;

use leasehold::{AcquireError, Client, ConnectError, EndpointState, admin};
use leasehold_trio::Trio;

use crate::common;

fn quarantined(client: &Client, index: usize) -> bool {
    matches!(client.endpoints()[index].state, EndpointState::Quarantined { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_declared_fresh_votes_at_once() {
    let trio = Trio::start().unwrap();
    let set = admin::fresh(common::builder(&trio)).await.unwrap();
    let client = common::client(&trio).await;
    let _lease = client.lease("job").try_acquire().await.unwrap();
    for server in trio.servers() {
        let member = server.command(&["GET", "lh:member"]).unwrap().to_string();
        assert!(member.contains(&format!("set={set} ")), "{member}");
        assert!(member.starts_with("protocol=3 max_ttl=30000 endpoints=3 database=0 "), "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_nobody_declared_waits_out_a_quarantine_and_says_so() {
    let trio = Trio::start().unwrap();
    let client = common::builder(&trio).connect().await.unwrap();
    common::eventually("all are admitted", || (0..3).all(|index| quarantined(&client, index))).await;
    let EndpointState::Quarantined { left } = client.endpoints()[0].state else { panic!("{client:?}") };
    assert!(left > Duration::from_secs(20) && left < Duration::from_secs(31), "{left:?}");
    assert!(client.endpoints()[0].state.to_string().contains("in quarantine for"), "{client:?}");

    let error = client.lease("job").try_acquire().await.unwrap_err();
    let AcquireError::NoQuorum { endpoints, .. } = &error else { panic!("{error}") };
    let told = endpoints.0.iter().filter(|endpoint| endpoint.reason.contains("in quarantine for"));
    assert!(told.count() >= 2, "{error}");

    // An operator who knows that the servers are new can delete the mark.
    for server in &trio.servers()[..2] {
        assert_eq!(server.command(&["DEL", "lh:quarantine"]).unwrap().integer(), Some(1));
    }
    let _lease = client.lease("job").try_acquire().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_quarantine_needs_no_help() {
    let trio = Trio::start().unwrap();
    let client = common::builder(&trio).connect().await.unwrap();
    common::eventually("all are admitted", || (0..3).all(|index| quarantined(&client, index))).await;
    // The same end, sooner.
    for server in trio.servers() {
        assert_eq!(server.command(&["PEXPIRE", "lh:quarantine", "500"]).unwrap().integer(), Some(1));
    }
    let _lease = common::soon("a lease", client.lease("job").acquire()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_script_costs_nothing() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").acquire().await.unwrap();
    for server in trio.servers() {
        server.command(&["SCRIPT", "FLUSH"]).unwrap();
    }
    lease.validate().await.unwrap();
    let _lease = client.lease("other").try_acquire().await.unwrap();
    for server in trio.servers() {
        assert_eq!(server.command(&["EXISTS", "lh:quarantine"]).unwrap().integer(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_endpoint_is_quarantined_at_the_next_contact() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    trio.servers()[1].command(&["FLUSHALL"]).unwrap();
    let lease = client.lease("job").acquire().await.unwrap();
    common::eventually("it is quarantined", || quarantined(&client, 1)).await;
    assert!(common::lock_value(&trio.servers()[1], "job").is_none() || lease.votes() == 2);
    for server in trio.servers() {
        server.command(&["FLUSHALL"]).unwrap();
    }
    let error = client.lease("next").try_acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "{error}");
    assert!(error.to_string().contains("in quarantine"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_refused() {
    let trio = common::trio().await;
    let [master, _, replica] = trio.servers();
    let client = common::client(&trio).await;
    master.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).unwrap();
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]).unwrap();
    let refused = || {
        let states = client.endpoints().into_iter().map(|status| status.state);
        states.filter(|state| matches!(state, EndpointState::Refused { .. })).count()
    };
    // The replica votes no more, and nor does its master: a promoted replica would vote a second time for it.
    let mut turn = 0;
    while refused() < 1 {
        turn += 1;
        assert!(turn < 1_000, "nobody was refused: {client:?}");
        drop(client.lease(format!("job:{turn}")).try_acquire().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let EndpointState::Refused { reason } = client.endpoints()[2].state.clone() else { panic!("{client:?}") };
    assert!(reason.contains("is a replica"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_other_settings_are_refused_and_both_settings_are_named() {
    let trio = common::trio().await;
    let strict = common::builder(&trio).max_ttl(Duration::from_secs(7));
    let error = strict.connect_timeout(Duration::from_secs(10)).connect().await.unwrap_err();
    let ConnectError::NoQuorum { endpoints, .. } = &error else { panic!("{error}") };
    let told = endpoints.0.iter().filter(|endpoint| {
        endpoint.reason.contains("max_ttl=7000") && endpoint.reason.contains("max_ttl=30000")
    });
    assert!(told.count() >= 2, "{error}");

    let single = Client::builder().endpoints([trio.servers()[0].url()]).connect().await.unwrap_err();
    assert!(
        single.to_string().contains("endpoints=1") && single.to_string().contains("endpoints=3"),
        "{single}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_two_sets_do_not_mix() {
    let (one, other) = (common::trio().await, common::trio().await);
    let urls = [one.servers()[0].url(), one.servers()[1].url(), other.servers()[0].url()];
    let client = Client::builder().endpoints(urls).connect().await;
    // Whichever set is met first, its majority or its minority: nobody votes in two.
    match client {
        Ok(client) => {
            let refused = |state: &EndpointState| match state {
                EndpointState::Refused { reason } => reason.contains("another set"),
                _ => false,
            };
            let states = || client.endpoints().into_iter().map(|status| status.state);
            common::eventually("the stranger is refused", || states().any(|state| refused(&state))).await;
        }
        Err(error) => assert!(error.to_string().contains("another set"), "{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_under_two_names_is_one_vote() {
    let trio = common::trio().await;
    let [one, two, _] = trio.servers();
    let port = one.port();
    let urls = [format!("redis://127.0.0.1:{port}"), format!("redis://localhost:{port}"), two.url()];
    let client = Client::builder().endpoints(urls).connect().await.unwrap();
    let twins = || {
        let states = client.endpoints().into_iter().map(|status| status.state);
        states
            .filter(
                |state| matches!(state, EndpointState::Refused { reason } if reason.contains("same server")),
            )
            .count()
    };
    common::eventually("one of the two is refused", || twins() == 1).await;
    let lease = client.lease("job").acquire().await.unwrap();
    assert_eq!(lease.votes(), 2);
    two.pause().unwrap();
    let error = client.lease("other").try_acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "one server outvoted two: {error}");
    two.resume().unwrap();
}
