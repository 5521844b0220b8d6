//! What an endpoint must do, tried on a real server and on one in memory alike. What only a real server can be brought to
//! do is in `script`.

mod acquire;
mod by_hand;
mod quarantine;
mod raise;
mod release;
mod renewal;
mod script;
mod shadow;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use leasehold_trio::{Server, ServerOptions};

use crate::client::endpoints;
use crate::endpoint::{Admission, CallError, Connection, Endpoint};
use crate::memory::{MemoryEndpoints, MemoryServer};
use crate::protocol::operation::{Action, Operation, Reply};
use crate::protocol::wire::{AdmitReply, BatchReply};
use crate::protocol::{Fence, LeaseName, OwnerId};
use crate::{Client, ClientBuilder};

/// Runs each test twice: on a real server, and in memory.
macro_rules! on_every_endpoint {
    ($($(#[$attribute:meta])* async fn $name:ident($subject:ident) $body:block)+) => {
        $($(#[$attribute])* async fn $name($subject: crate::conformance::Subject) $body)+

        mod redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::conformance::Subject::redis().await).await;
            })+
        }

        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::conformance::Subject::memory().await).await;
            })+
        }
    };
}
use on_every_endpoint;

const TIMEOUT_MS: u32 = 5_000;

/// Two holders.
const ME: OwnerId = OwnerId::new(0xa11ce);
const OTHER: OwnerId = OwnerId::new(0xb0b);

/// An endpoint that has been admitted and votes.
struct Subject {
    endpoint: Arc<dyn Endpoint>,
    member: Arc<str>,
    server: Behind,
}

/// The same endpoint, as somebody else reaches it.
enum Behind {
    Redis(Box<Server>),
    Memory(MemoryServer),
}

impl Subject {
    async fn redis() -> Self {
        Self::redis_with(ServerOptions::default()).await
    }

    async fn redis_with(options: ServerOptions) -> Self {
        let server = Server::start(options).unwrap();
        let endpoint = endpoint(&Client::builder().endpoints([server.url()]));
        Self::admitted(endpoint, Behind::Redis(Box::new(server))).await
    }

    async fn memory() -> Self {
        let endpoints = MemoryEndpoints::new(1).unwrap();
        let server = endpoints.server(0).unwrap().clone();
        Self::admitted(endpoint(&Client::builder().memory(&endpoints)), Behind::Memory(server)).await
    }

    async fn admitted(endpoint: Arc<dyn Endpoint>, server: Behind) -> Self {
        let up = |connection: &Connection| matches!(connection, Connection::Up { .. });
        endpoint.connection().wait_for(up).await.unwrap();
        let fresh = endpoint.admit(Admission::Fresh, "set", TIMEOUT_MS).await.unwrap();
        let AdmitReply::Admitted { member, quarantined_ms: 0, .. } = fresh else {
            panic!("not admitted: {fresh:?}");
        };
        Self { endpoint, member, server }
    }

    /// Runs a batch: the server's clock in microseconds, and a reply for each operation.
    async fn run(&self, operations: &[Operation]) -> (u64, Vec<Reply>) {
        match self.try_run(operations).await.unwrap() {
            BatchReply::Done { server_time_us, replies } => (server_time_us, replies),
            other => panic!("{other:?}"),
        }
    }

    async fn try_run(&self, operations: &[Operation]) -> Result<BatchReply, CallError> {
        self.endpoint.run(&self.member, operations, TIMEOUT_MS).await
    }

    async fn ask(&self, operation: Operation) -> Reply {
        let (_, mut replies) = self.run(&[operation]).await;
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    /// Takes a lock that must be free, and gives its token.
    async fn take(&self, name: &str, owner: OwnerId, ttl_ms: u32) -> Fence {
        match self.ask(acquire(name, owner, ttl_ms)).await {
            Reply::Granted { fence } => fence,
            other => panic!("{name} was not free: {other:?}"),
        }
    }

    /// How long the lock of a name stands, asked as a stranger.
    async fn left_ms(&self, name: &str) -> u64 {
        match self.ask(operation(name, OwnerId::new(0x5713), Action::Validate)).await {
            Reply::Held { left_ms } => left_ms,
            other => panic!("nothing that expires stands there: {other:?}"),
        }
    }

    /// What stands under the key of a name.
    fn value(&self, name: &str) -> Option<String> {
        let key = format!("lh:lock:{name}");
        match &self.server {
            Behind::Redis(server) => server.command(&["GET", &key]).unwrap().text().map(str::to_owned),
            Behind::Memory(server) => server.get(&key),
        }
    }

    /// Deletes a lock by hand.
    fn delete(&self, name: &str) {
        let key = format!("lh:lock:{name}");
        match &self.server {
            Behind::Redis(server) => assert_eq!(server.command(&["DEL", &key]).unwrap().integer(), Some(1)),
            Behind::Memory(server) => assert!(server.del(&key).is_some()),
        }
    }

    /// Writes a key by hand.
    fn set(&self, key: &str, value: &str) {
        match &self.server {
            Behind::Redis(server) => {
                assert_eq!(server.command(&["SET", key, value]).unwrap().text(), Some("OK"));
            }
            Behind::Memory(server) => server.set(key, value, None),
        }
    }

    /// Takes a lock as a program does that knows nothing of leases.
    fn set_nx_px(&self, name: &str, value: &str, ttl: Duration) {
        let key = format!("lh:lock:{name}");
        match &self.server {
            Behind::Redis(server) => {
                let ttl_ms = ttl.as_millis().to_string();
                let reply = server.command(&["SET", &key, value, "NX", "PX", &ttl_ms]).unwrap();
                assert_eq!(reply.text(), Some("OK"));
            }
            Behind::Memory(server) => assert!(server.set_nx_px(&key, value, ttl)),
        }
    }

    /// The server itself. Only in tests of a real one.
    fn redis_server(&self) -> &Server {
        match &self.server {
            Behind::Redis(server) => server,
            Behind::Memory(_) => panic!("this one is in memory"),
        }
    }

    /// Runs a command on the server itself, and gives the reply in words.
    fn command(&self, args: &[&str]) -> String {
        self.redis_server().command(args).unwrap().to_string()
    }
}

fn endpoint(builder: &ClientBuilder) -> Arc<dyn Endpoint> {
    let config = builder.check().unwrap();
    endpoints(builder, &config).unwrap().remove(0)
}

fn operation(name: &str, owner: OwnerId, action: Action) -> Operation {
    Operation { name: LeaseName::new(name).unwrap(), owner, action }
}

/// An acquire with the proposal that a client makes.
fn acquire(name: &str, owner: OwnerId, ttl_ms: u32) -> Operation {
    acquire_proposing(name, owner, ttl_ms, crate::clock::wall_us())
}

fn acquire_proposing(name: &str, owner: OwnerId, ttl_ms: u32, proposal: u64) -> Operation {
    operation(name, owner, Action::Acquire { ttl_ms, proposal })
}

fn extend(name: &str, owner: OwnerId, ttl_ms: u32, fence: Fence) -> Operation {
    operation(name, owner, Action::Extend { ttl_ms, fence })
}

fn heal(name: &str, owner: OwnerId, ttl_ms: u32, fence: Fence) -> Operation {
    operation(name, owner, Action::Heal { ttl_ms, fence })
}

fn raise(name: &str, owner: OwnerId, fence: Fence) -> Operation {
    operation(name, owner, Action::Raise { fence })
}

fn shadow(name: &str, owner: OwnerId, ttl_ms: u32) -> Operation {
    operation(name, owner, Action::Shadow { ttl_ms })
}

fn validate(name: &str, owner: OwnerId) -> Operation {
    operation(name, owner, Action::Validate)
}

fn release(name: &str, owner: OwnerId) -> Operation {
    operation(name, owner, Action::Release)
}

/// Everything that can be asked about a name, but a shadow.
fn every_operation(name: &str) -> [Operation; 6] {
    let fence = Fence::new(9);
    [
        acquire(name, ME, 5_000),
        extend(name, ME, 5_000, fence),
        heal(name, ME, 5_000, fence),
        raise(name, ME, fence),
        validate(name, ME),
        release(name, ME),
    ]
}

fn refusal(reply: &Reply) -> &str {
    match reply {
        Reply::Refused(reason) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn is_held(reply: &Reply) -> bool {
    matches!(reply, Reply::Held { .. })
}

/// A token that no clock proposes: `more` above the given one.
fn above(fence: Fence, more: u64) -> Fence {
    Fence::new(fence.get() + more)
}
