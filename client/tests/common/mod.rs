//! What the tests on real servers share.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test file uses its own part")]

use std::time::Duration;

use leasehold::{Client, ClientBuilder, admin};
use leasehold_trio::{Server, ServerOptions, Trio};

/// Three new servers, declared fresh.
pub async fn trio() -> Trio {
    let trio = Trio::start().unwrap();
    admin::fresh(builder(&trio)).await.unwrap();
    trio
}

/// Settings for a client of these servers.
pub fn builder(trio: &Trio) -> ClientBuilder {
    Client::builder().endpoints(trio.urls())
}

/// A client of these servers.
pub async fn client(trio: &Trio) -> Client {
    builder(trio).connect().await.unwrap()
}

/// What the lock's key holds on one server.
pub fn lock_value(server: &Server, name: &str) -> Option<String> {
    server.command(&["GET", &format!("lh:lock:{name}")]).unwrap().text().map(str::to_owned)
}

/// Waits until something comes true; fails after ten seconds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// A server without persistence, on any free port.
pub fn lone_server() -> Server {
    Server::start(ServerOptions::default()).unwrap()
}
