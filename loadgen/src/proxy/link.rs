//! A listener in front of one endpoint: takes connections and joins them with the endpoint's.

use std::net::TcpListener;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::conditions::Conditions;
use super::pump::{Direction, End, Pump};
use crate::scenario::generator;

/// Streams of the seed's generator from here on are the proxy's.
const STREAM_FIRST: u64 = 1 << 32;
/// A link's connections, counted on.
const CONNECTIONS_MAX: u64 = 1 << 24;
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Out of file descriptors is no reason to spin.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

pub(super) struct Listener {
    pub(super) listener: TcpListener,
    /// `host:port` of the server behind it.
    pub(super) endpoint: String,
    pub(super) conditions: watch::Receiver<Conditions>,
    pub(super) resp: bool,
    pub(super) seed: u64,
    /// Which link it is.
    pub(super) stream: u64,
}

impl Listener {
    /// Until the runtime ends.
    pub(super) async fn serve(self) {
        let Ok(listener) = tokio::net::TcpListener::from_std(self.listener) else { return };
        let mut connections = 0;
        loop {
            let Ok((node, _)) = listener.accept().await else {
                sleep(ACCEPT_AGAIN).await;
                continue;
            };
            let stream = STREAM_FIRST + self.stream * CONNECTIONS_MAX + connections % CONNECTIONS_MAX;
            connections += 1;
            let connection = Connection {
                resp: self.resp,
                conditions: self.conditions.clone(),
                random: [0, 1].map(|way| generator(self.seed, stream * 2 + way)),
            };
            tokio::spawn(connection.live(node, self.endpoint.clone()));
        }
    }
}

struct Connection {
    resp: bool,
    conditions: watch::Receiver<Conditions>,
    random: [ChaCha8Rng; 2],
}

impl Connection {
    async fn live(self, mut node: TcpStream, endpoint: String) {
        // Behind a partition nobody hears of a new connection; its node believes in it.
        let Self { resp, mut conditions, random } = self;
        let reached = conditions.wait_for(|now| !now.cut || now.reset).await.map(|now| !now.reset);
        let dialled = match reached {
            Ok(true) => timeout(DIAL_TIMEOUT, TcpStream::connect(&endpoint)).await,
            _ => return reset(node),
        };
        let Ok(Ok(mut server)) = dialled else { return reset(node) };
        if node.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
            return reset(node);
        }
        let born_before = conditions.borrow().half_open;
        match join(&mut node, &mut server, &conditions, random, (resp, born_before)).await {
            Fate::Closed => {}
            Fate::Broken => {
                reset(server);
                reset(node);
            }
            Fate::HalfOpen => {
                // The endpoint's side is gone without a word; the node's side stands, and is told nothing.
                reset(server);
                bury(&mut node, &mut conditions).await;
                reset(node);
            }
        }
    }
}

/// Pumps in both directions until one of them breaks or both are done.
async fn join(
    node: &mut TcpStream,
    server: &mut TcpStream,
    conditions: &watch::Receiver<Conditions>,
    [random, other_random]: [ChaCha8Rng; 2],
    (resp, born_before): (bool, Option<u64>),
) -> Fate {
    let (from_node, to_node) = node.split();
    let (from_server, to_server) = server.split();
    let asking = Pump {
        direction: Direction::ToEndpoint,
        from: from_node,
        to: to_server,
        resp,
        conditions: conditions.clone(),
        random,
    };
    let answering = Pump {
        direction: Direction::ToNode,
        from: from_server,
        to: to_node,
        resp,
        conditions: conditions.clone(),
        random: other_random,
    };
    let closed = async |pump: Pump<'_>| if pump.run().await == End::Closed { Ok(()) } else { Err(()) };
    let pumping = async {
        let ends = futures::future::try_join(closed(asking), closed(answering)).await;
        if ends.is_ok() { Fate::Closed } else { Fate::Broken }
    };
    let struck = async {
        let mut conditions = conditions.clone();
        let strikes =
            |now: &Conditions| now.reset || (now.half_open.is_some() && now.half_open > born_before);
        match conditions.wait_for(strikes).await {
            Ok(now) if !now.reset => Fate::HalfOpen,
            _ => Fate::Broken,
        }
    };
    tokio::select! {
        biased;
        fate = struck => fate,
        fate = pumping => fate,
    }
}

/// Swallows what comes until the fault is over or the node gives up.
async fn bury(node: &mut TcpStream, conditions: &mut watch::Receiver<Conditions>) {
    let mut grave = [0; 4_096];
    let over = conditions.wait_for(|now| now.half_open.is_none());
    let swallowing = async { while matches!(node.read(&mut grave).await, Ok(1..)) {} };
    tokio::select! {
        _ = over => {}
        () = swallowing => {}
    }
}

/// What became of a connection.
enum Fate {
    Closed,
    Broken,
    HalfOpen,
}

/// Ends a connection without the courtesies of a close.
fn reset(stream: TcpStream) {
    // One that has broken already needs no breaking.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap_or_default();
    drop(stream);
}
