//! Connecting: a majority is enough, and whoever is missing is named.

use std::time::{Duration, Instant};

use leasehold::{Client, ConnectError, EndpointState};
use leasehold_trio::Trio;

use crate::common;

fn label(trio: &Trio, index: usize) -> String {
    format!("127.0.0.1:{}", trio.servers()[index].port())
}

/// Fails to connect in time, and gives the reasons of those that are named.
async fn refused(trio: &Trio, timeout: Duration, missing: &[usize]) -> Vec<String> {
    let begun = Instant::now();
    let error = common::builder(trio).connect_timeout(timeout).connect().await.unwrap_err();
    let took = begun.elapsed();
    assert!(took < timeout + Duration::from_secs(1), "{took:?}");
    let ConnectError::NoQuorum { within, endpoints } = &error else { panic!("{error}") };
    assert_eq!(*within, timeout);
    let named: Vec<_> = endpoints.0.iter().map(|endpoint| endpoint.endpoint.clone()).collect();
    assert_eq!(named, missing.iter().map(|&index| label(trio, index)).collect::<Vec<_>>());
    endpoints.0.iter().map(|endpoint| endpoint.reason.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_down_at_the_start_is_no_hindrance_and_is_told_of() {
    let mut trio = common::trio().await;
    trio.server(2).kill().unwrap();
    let client = common::builder(&trio).connect().await.unwrap();
    let lease = client.lease("job").acquire().await.unwrap();
    assert_eq!(lease.votes(), 2);
    let told = || match &client.endpoints()[2].state {
        EndpointState::Unreachable { reason } => reason.contains("refused"),
        _ => false,
    };
    common::eventually("the client says that it is refused", told).await;
    assert!(format!("{client:?}").contains(&label(&trio, 2)), "{client:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_that_hangs_at_the_start_is_no_hindrance() {
    let trio = common::trio().await;
    trio.servers()[0].pause().unwrap();
    let client = common::builder(&trio).connect().await.unwrap();
    assert_eq!(client.lease("job").acquire().await.unwrap().votes(), 2);
    trio.servers()[0].resume().unwrap();
    common::ready(&client, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_endpoints_down_fail_within_the_timeout_and_are_both_named() {
    let mut trio = common::trio().await;
    trio.server(0).kill().unwrap();
    trio.server(2).kill().unwrap();
    for reason in refused(&trio, Duration::from_millis(600), &[0, 2]).await {
        assert!(reason.contains("refused"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_endpoints_that_hang_fail_within_the_timeout_and_are_both_named() {
    let trio = common::trio().await;
    trio.servers()[1].pause().unwrap();
    trio.servers()[2].pause().unwrap();
    refused(&trio, Duration::from_millis(600), &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_starts_later_joins() {
    let mut trio = common::trio().await;
    trio.server(1).kill().unwrap();
    let client = common::builder(&trio).connect().await.unwrap();
    trio.server(1).restart(leasehold_trio::Data::Discard).unwrap();
    let joined = || matches!(client.endpoints()[1].state, EndpointState::Quarantined { .. });
    common::eventually("it is admitted, into quarantine", joined).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_is_no_redis_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.writable().await.unwrap();
            let page = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            assert_eq!(stream.try_write(page).unwrap(), page.len());
        }
    });
    let timeout = Duration::from_millis(600);
    let builder = Client::builder().endpoints([format!("redis://127.0.0.1:{port}")]).connect_timeout(timeout);
    let error = builder.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::NoQuorum { .. }), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(!web.is_finished(), "{:?}", web.await);
    web.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_could_not_connect_leaves_no_connection_behind() {
    let trio = common::trio().await;
    let connections = |index: usize| {
        let list = trio.servers()[index].command(&["CLIENT", "LIST"]).unwrap().to_string();
        list.lines().filter(|line| !line.is_empty()).count()
    };
    // The one that asks is always there.
    common::eventually("nobody is left of the start", || connections(0) == 1).await;
    trio.servers()[1].pause().unwrap();
    trio.servers()[2].pause().unwrap();
    refused(&trio, Duration::from_millis(300), &[1, 2]).await;
    common::eventually("nobody is left", || connections(0) == 1).await;
    trio.servers()[1].resume().unwrap();
    trio.servers()[2].resume().unwrap();
    common::eventually("nobody has come since", || (0..3).all(|index| connections(index) == 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_client_closes_its_connections() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").acquire().await.unwrap();
    drop((client, lease));
    let connections = |server: &leasehold_trio::Server| {
        server
            .command(&["CLIENT", "LIST"])
            .unwrap()
            .to_string()
            .lines()
            .filter(|line| !line.is_empty())
            .count()
    };
    common::eventually("nobody is left", || trio.servers().iter().all(|server| connections(server) == 1))
        .await;
}
