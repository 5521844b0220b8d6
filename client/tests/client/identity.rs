//! Addresses that come to lead to another server while a client runs: no server votes twice.

use std::time::Duration;

use leasehold::{AcquireError, Client, EndpointState};
use leasehold_trio::Forwarder;

use crate::common;

fn refused(client: &Client, index: usize) -> bool {
    matches!(&client.endpoints()[index].state, EndpointState::Refused { reason } if reason.contains("endpoint 1"))
}

/// The first two endpoints' ways are led about; the third server stands still. A lease would need both of them.
async fn led_about(lead: impl FnOnce(&[Forwarder; 2], [u16; 2])) -> (Client, Result<(), AcquireError>) {
    let trio = common::trio().await;
    let ports = [trio.servers()[0].port(), trio.servers()[1].port()];
    let ways = ports.map(|port| Forwarder::start(port).unwrap());
    let urls = [ways[0].url(), ways[1].url(), trio.servers()[2].url()];
    let builder = Client::builder().endpoints(urls).connect_timeout(Duration::from_secs(10));
    let client = common::connect(builder.request_timeout(common::REQUEST_TIMEOUT)).await;
    client.lease("before").acquire().await.unwrap().release().await.unwrap();
    trio.servers()[2].pause().unwrap();

    lead(&ways, ports);
    common::eventually("the second endpoint is refused", || refused(&client, 1)).await;
    let outcome = client.lease("job").try_acquire().await.map(drop);
    trio.servers()[2].resume().unwrap();
    (client, outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_addresses_that_come_to_lead_to_one_server_are_one_vote() {
    let (_client, outcome) = led_about(|ways, ports| {
        ways[1].set_target(ports[0]);
        ways[1].close_connections();
    })
    .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "one server outvoted two: {error}");
    assert!(error.to_string().contains("the same server as endpoint 1"), "{error}");
}

/// The server's vote as the first endpoint may still count in a round that the second endpoint has not answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_one_endpoint_is_not_at_once_another() {
    let (client, outcome) = led_about(|ways, ports| {
        // Nobody listens there: the first endpoint is gone before the second comes to its server.
        ways[0].set_target(0);
        ways[0].close_connections();
        ways[1].set_target(ports[0]);
        ways[1].close_connections();
    })
    .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, AcquireError::NoQuorum { .. }), "{error}");
    let EndpointState::Refused { reason } = &client.endpoints()[1].state else { panic!("{client:?}") };
    assert!(reason.contains("was endpoint 1 until now") || reason.contains("same server"), "{reason}");
}
