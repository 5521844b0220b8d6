//! Every kind of address: IPv6, sockets in the file system, other schemes.

use std::net::TcpListener;
use std::time::Duration;

use leasehold::{Client, ClientBuilder, EndpointState, admin};
use leasehold_trio::{Data, Server, ServerOptions, Trio};

use crate::common;

fn builder(urls: impl IntoIterator<Item = String>) -> ClientBuilder {
    Client::builder()
        .endpoints(urls)
        .connect_timeout(Duration::from_secs(10))
        .request_timeout(common::REQUEST_TIMEOUT)
}

/// A lease's whole life, and what the client calls its endpoints.
async fn live(builder: ClientBuilder) -> (Client, Vec<String>) {
    admin::fresh(builder.clone()).await.unwrap();
    let client = common::connect(builder).await;
    let lease = client.lease("job").acquire().await.unwrap();
    lease.renew().await.unwrap();
    lease.validate().await.unwrap();
    lease.release().await.unwrap();
    let labels = client.endpoints().into_iter().map(|status| status.label).collect();
    (client, labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6: nothing was tested");
        return;
    }
    let trio = Trio::start_with(ServerOptions::default().setting("bind", "127.0.0.1 ::1")).unwrap();
    let ports = || trio.servers().iter().map(Server::port);
    let (_client, labels) = live(builder(ports().map(|port| format!("redis://[::1]:{port}")))).await;
    assert_eq!(labels, ports().map(|port| format!("[::1]:{port}")).collect::<Vec<_>>());
}

fn sockets(options: ServerOptions) -> (Trio, Vec<String>) {
    // Below the directory of its data.
    let trio = Trio::start_with(options.setting("unixsocket", "redis.sock")).unwrap();
    let path = |server: &Server| server.dir().join("data/redis.sock").display().to_string();
    let paths = trio.servers().iter().map(path).collect();
    (trio, paths)
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_in_the_file_system() {
    let (mut trio, paths) = sockets(ServerOptions::default());
    let (client, labels) = live(builder(paths.iter().map(|path| format!("unix://{path}")))).await;
    assert_eq!(labels, paths);

    trio.server(0).kill().unwrap();
    let down = || matches!(client.endpoints()[0].state, EndpointState::Unreachable { .. });
    common::eventually("it is down", down).await;
    assert_eq!(client.lease("job").acquire().await.unwrap().votes(), 2);
    trio.server(0).restart(Data::Keep).unwrap();
    let back = || matches!(client.endpoints()[0].state, EndpointState::Quarantined { .. });
    common::eventually("it is back, and has forgotten", back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_with_a_password_and_a_database() {
    let (trio, paths) = sockets(ServerOptions::default().setting("requirepass", "w/rd"));
    let urls = paths.iter().map(|path| format!("redis+unix://:w%2Frd@localhost{path}?db=3"));
    let (client, _) = live(builder(urls)).await;
    let _lease = client.lease("job").acquire().await.unwrap();
    let keyspace = trio.servers()[0].command(&["INFO", "keyspace"]).unwrap().to_string();
    assert!(keyspace.contains("db3:") && !keyspace.contains("db0:"), "{keyspace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemes_of_valkey() {
    let trio = Trio::start().unwrap();
    live(builder(trio.servers().iter().map(|server| format!("valkey://127.0.0.1:{}", server.port())))).await;
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let builder = Client::builder().endpoints(["unix:///nowhere/redis.sock"]);
    let error = builder.connect_timeout(Duration::from_millis(600)).connect().await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/redis.sock: unreachable: No such file"), "{error}");
}
