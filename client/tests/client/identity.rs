//! Addresses that come to lead to another server while a client runs: no server votes twice.

use std::time::Duration;

use leasehold::{AcquireError, Client, EndpointState};
use leasehold_trio::Forwarder;

use crate::common;

/// Why the second endpoint is refused because of the first.
fn refusal(client: &Client) -> Option<String> {
    match &client.endpoints()[1].state {
        EndpointState::Refused { reason } => {
            Some(reason.clone()).filter(|reason| reason.contains("endpoint 1"))
        }
        _ => None,
    }
}

/// The first two endpoints' ways are led about; the third server stands still. A lease would need both of them: it is not
/// to be had, and the second says why.
async fn led_about(why: &str, lead: impl FnOnce(&[Forwarder; 2], [u16; 2])) {
    let trio = common::trio().await;
    let ports = [trio.servers()[0].port(), trio.servers()[1].port()];
    let ways = ports.map(|port| Forwarder::start(port).unwrap());
    let urls = [ways[0].url(), ways[1].url(), trio.servers()[2].url()];
    let builder = Client::builder().endpoints(urls).connect_timeout(Duration::from_secs(10));
    let client = common::connect(builder.request_timeout(common::REQUEST_TIMEOUT)).await;
    client.lease("before").acquire().await.unwrap().release().await.unwrap();
    trio.servers()[2].pause().unwrap();

    lead(&ways, ports);
    common::eventually(why, || refusal(&client).is_some_and(|reason| reason.contains(why))).await;
    let error = client.lease("job").try_acquire().await.map(drop).unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "one server outvoted two: {error}");
    trio.servers()[2].resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_addresses_that_come_to_lead_to_one_server_are_one_vote() {
    led_about("the same server as endpoint 1", |ways, ports| {
        ways[1].set_target(ports[0]);
        ways[1].close_connections();
    })
    .await;
}

/// The server's vote as the first endpoint may still count in a round that the second endpoint has not answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_one_endpoint_is_not_at_once_another() {
    led_about("was endpoint 1 until now", |ways, ports| {
        for (way, port) in ways.iter().zip([ports[1], ports[0]]) {
            way.set_target(port);
            way.close_connections();
        }
    })
    .await;
}
