//! The naive way, as tutorials teach it: `SET key owner NX PX ttl` on one server, a plain delete, no renewal.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{Expiration, SetOptions};
use futures::FutureExt;
use futures::future::BoxFuture;
use leasehold::memory::{MemoryEndpoints, MemoryServer};

use super::{Acquisition, ConnectError, Failure, Held, Lock, next_poll, server};
use crate::clock::{duration_ns, now_ns};
use crate::measure::Phase;
use crate::referee::ReleaseOutcome;
use crate::run::plan::Plan;
use crate::run::probe::Probe;

/// One node's client of the one server.
pub(crate) struct Setnx {
    server: Server,
    node: u32,
    ttl: Duration,
    grants: AtomicU64,
    probe: Probe,
}

/// The one server, or what stands for it in memory.
#[derive(Clone)]
enum Server {
    Redis(Client),
    Memory(MemoryServer),
}

impl Setnx {
    pub(crate) async fn connect(
        plan: &Plan,
        node: u32,
        memory: Option<&MemoryEndpoints>,
        probe: Probe,
    ) -> Result<Self, ConnectError> {
        let no_endpoint = || ConnectError("no endpoint".to_owned());
        let server = match memory {
            Some(memory) => Server::Memory(memory.server(0).ok_or_else(no_endpoint)?.clone()),
            None => Server::Redis(
                server::connect(plan.endpoints_of(node).first().ok_or_else(no_endpoint)?).await?,
            ),
        };
        Ok(Self { server, node, ttl: plan.load.ttl, grants: AtomicU64::new(0), probe })
    }

    async fn poll(&self, name: &str, wait: Duration) -> Acquisition {
        let key = format!("setnx:{name}");
        // A value that nobody else writes shows later whose key it was that the plain delete removed.
        let owner = format!("{}-{}", self.node, self.grants.fetch_add(1, Ordering::Relaxed));
        let wait_end_ns = now_ns().saturating_add(duration_ns(wait));
        loop {
            let sent_ns = now_ns();
            let granted = self.server.set_nx_px(&key, &owner, self.ttl).await;
            let replied_ns = now_ns();
            self.probe.record(Phase::Attempt, replied_ns.saturating_sub(sent_ns));
            if granted? {
                // The tutorial's arithmetic: it counts from the answer, although the server counted from the request.
                let valid_until_ns = replied_ns.saturating_add(duration_ns(self.ttl));
                return Ok(Box::new(Grant { server: self.server.clone(), key, owner, valid_until_ns }));
            }
            let delay = next_poll(wait_end_ns).ok_or(Failure::Held)?;
            tokio::time::sleep(delay).await;
        }
    }
}

impl Server {
    /// `SET key value NX PX ttl`: whether the key was free.
    async fn set_nx_px(&self, key: &str, value: &str, ttl: Duration) -> Result<bool, Failure> {
        match self {
            Self::Memory(server) => Ok(server.set_nx_px(key, value, ttl)),
            Self::Redis(client) => {
                let ttl_ms = i64::try_from(ttl.as_millis()).map_err(|_| Failure::Refused)?;
                let (expiry, options) = (Some(Expiration::PX(ttl_ms)), Some(SetOptions::NX));
                let reply = client.set::<Option<String>, _, _>(key, value, expiry, options, false).await;
                reply.map(|stored| stored.is_some()).map_err(|_| Failure::Unknown)
            }
        }
    }

    /// Deletes whatever is there, as DEL does, and shows what it was.
    async fn del(&self, key: &str) -> Result<Option<String>, Failure> {
        match self {
            Self::Memory(server) => Ok(server.del(key)),
            Self::Redis(client) => client.getdel(key).await.map_err(|_| Failure::Unknown),
        }
    }
}

impl Lock for Setnx {
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition> {
        self.poll(name, wait).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            if let Server::Redis(client) = &self.server {
                // The connection ends with the process in any case.
                client.quit().await.unwrap_or_default();
            }
        }
        .boxed()
    }
}

struct Grant {
    server: Server,
    key: String,
    owner: String,
    valid_until_ns: u64,
}

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        None
    }

    fn valid_until_ns(&self) -> Option<u64> {
        Some(self.valid_until_ns)
    }

    /// Nothing in this lock knows how to say no.
    fn is_valid(&self) -> bool {
        true
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        pending().boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        async move {
            match self.server.del(&self.key).await {
                Ok(Some(owner)) if owner != self.owner => ReleaseOutcome::Foreign,
                Ok(_) => ReleaseOutcome::Clean,
                Err(_) => ReleaseOutcome::Unknown,
            }
        }
        .boxed()
    }
}
