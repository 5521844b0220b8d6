//! Locks that are wrong on purpose, each in one way: what the referee is held against. One that it does not catch makes
//! its zeros worthless.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::{Acquisition, ConnectError, Held, Lock, quorum, server};
use crate::clock::duration_ns;
use crate::referee::ReleaseOutcome;
use crate::run::plan::Plan;
use crate::run::probe::Probe;

/// The delay of a delete that asks nobody: the next holder has the lock by then.
const BELATED: Duration = Duration::from_millis(20);
/// Between two deletions of a quarantine.
const AMNESTY_EVERY: Duration = Duration::from_millis(5);

/// In which way a lock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Control {
    /// One vote of three is enough.
    MajorityOfOne,
    /// A holder believes in its lease whatever the time.
    ValidityOff,
    /// Endpoints that forgot their votes vote again at once.
    QuarantineOff,
    /// A release deletes the lock whoever holds it.
    ReleaseWithoutOwnership,
    /// Tokens are handed out more than once.
    TokensReused,
    /// Tokens go backwards now and then.
    TokensBackwards,
}

impl Control {
    pub(crate) const ALL: [Self; 6] = [
        Self::MajorityOfOne,
        Self::ValidityOff,
        Self::QuarantineOff,
        Self::ReleaseWithoutOwnership,
        Self::TokensReused,
        Self::TokensBackwards,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MajorityOfOne => "majority-of-one",
            Self::ValidityOff => "validity-off",
            Self::QuarantineOff => "quarantine-off",
            Self::ReleaseWithoutOwnership => "release-without-ownership",
            Self::TokensReused => "tokens-reused",
            Self::TokensBackwards => "tokens-backwards",
        }
    }
}

/// The library's lock, and what is done to make it wrong.
pub(crate) struct Wrong {
    control: Control,
    right: quorum::Quorum,
    /// Plain ways to every endpoint, where the wrong needs them.
    servers: Vec<Client>,
    amnesty: Option<AbortHandle>,
    grants: AtomicU64,
    last_token: Arc<AtomicU64>,
}

impl Wrong {
    pub(crate) async fn connect(
        control: Control,
        plan: &Plan,
        node: u32,
        probe: Probe,
    ) -> Result<Self, ConnectError> {
        let urls = plan.endpoints_of(node);
        let one =
            |node: u32| urls.get(node as usize % urls.len().max(1)..).unwrap_or(urls).iter().take(1).cloned();
        let own: Vec<String> =
            if control == Control::MajorityOfOne { one(node).collect() } else { urls.to_vec() };
        let right = quorum::Quorum::connect_to(&own, plan, probe).await?;
        let mut servers = Vec::new();
        if matches!(control, Control::QuarantineOff | Control::ReleaseWithoutOwnership) {
            for url in urls {
                servers.push(server::connect(url).await?);
            }
        }
        let amnesty = (control == Control::QuarantineOff).then(|| {
            let servers = servers.clone();
            tokio::spawn(async move {
                loop {
                    delete_everywhere(&servers, "lh:quarantine").await;
                    sleep(AMNESTY_EVERY).await;
                }
            })
            .abort_handle()
        });
        let last_token = Arc::default();
        Ok(Self { control, right, servers, amnesty, grants: AtomicU64::new(0), last_token })
    }

    async fn acquire(&self, name: &str, wait: Duration) -> Acquisition {
        let right = self.right.acquire(name, wait).await?;
        let token = right.token().map(|token| self.token(token));
        let key = format!("lh:lock:{name}");
        Ok(Box::new(Grant { control: self.control, right, token, key, servers: self.servers.clone() }))
    }

    fn token(&self, right: u64) -> u64 {
        let nth = self.grants.fetch_add(1, Ordering::Relaxed);
        let before = self.last_token.swap(right, Ordering::Relaxed);
        match self.control {
            // Another name's token may be twice here; the same name's is found.
            Control::TokensReused => right / 1_000_000,
            Control::TokensBackwards if nth % 4 == 3 && before > 0 => right / 2,
            _ => right,
        }
    }
}

/// Whatever it was and whoever had it.
async fn delete_everywhere(servers: &[Client], key: &str) {
    for server in servers {
        // A server that is down has nothing to delete.
        server.del::<i64, _>(key).await.unwrap_or_default();
    }
}

impl Lock for Wrong {
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition> {
        self.acquire(name, wait).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            if let Some(amnesty) = &self.amnesty {
                amnesty.abort();
            }
            for server in &self.servers {
                // The connection ends with the process in any case.
                server.quit().await.unwrap_or_default();
            }
            self.right.close().await;
        }
        .boxed()
    }
}

struct Grant {
    control: Control,
    right: Box<dyn Held>,
    token: Option<u64>,
    key: String,
    servers: Vec<Client>,
}

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        self.token
    }

    fn valid_until_ns(&self) -> Option<u64> {
        let deadline_ns = self.right.valid_until_ns()?;
        let forever_ns = duration_ns(Duration::from_secs(3_600));
        Some(if self.control == Control::ValidityOff { deadline_ns + forever_ns } else { deadline_ns })
    }

    fn is_valid(&self) -> bool {
        self.control == Control::ValidityOff || self.right.is_valid()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        if self.control == Control::ValidityOff { pending().boxed() } else { self.right.lost() }
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        let Self { control, right, key, servers, .. } = *self;
        async move {
            let outcome = right.release().await;
            if control == Control::ReleaseWithoutOwnership {
                sleep(BELATED).await;
                delete_everywhere(&servers, &key).await;
            }
            outcome
        }
        .boxed()
    }
}
