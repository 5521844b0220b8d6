//! The single-server lease with adaptive TTL, background renewal and shadow fallback, as it is published and copied,
//! with everything that is wrong with it left in:
//!
//! - its deadline counts from the answer, while the server counts from the request;
//! - a renewal sets the expiry to what is *left*, so it extends nothing, and the holder then believes in a whole TTL;
//! - when the lock is found gone, it takes a key of another name, which no acquirer looks at, and goes on working;
//! - the release deletes whatever is there.
//!
//! Contract: one holder by its own word while the one server neither forgets nor fails over and no holder is paused
//! for longer than its TTL; nobody is told of a loss, and there is no fencing token.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface, LuaInterface};
use fred::types::{Expiration, SetOptions};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval_at, sleep};

use super::{Acquisition, ConnectError, Failure, Held, Lock, server};
use crate::clock::{duration_ns, now_ns, time_until};
use crate::measure::Phase;
use crate::referee::ReleaseOutcome;
use crate::run::plan::Plan;
use crate::run::probe::Probe;

const RETRIES_MAX: u32 = 3;
const RETRY_STEP: Duration = Duration::from_millis(100);
const JITTER_MAX: Duration = Duration::from_millis(200);
const TTL_MAX: Duration = Duration::from_secs(30);
const MARGIN: Duration = Duration::from_millis(200);
/// Below this a measured round trip counts as no measurement.
const RTT_MIN: Duration = Duration::from_millis(1);
/// How long the shadow may take.
const SHADOW_WAIT: Duration = Duration::from_secs(5);
const RENEW: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                     redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1 end return 0";

/// One node's client of the one server.
pub(crate) struct LeaseLock {
    manager: Manager,
    node: u32,
    grants: AtomicU64,
}

#[derive(Clone)]
struct Manager {
    client: Client,
    base_ttl: Duration,
    probe: Probe,
}

impl LeaseLock {
    pub(crate) async fn connect(plan: &Plan, node: u32, probe: Probe) -> Result<Self, ConnectError> {
        let url = plan.endpoints_of(node).first().ok_or_else(|| ConnectError("no endpoint".to_owned()))?;
        let manager = Manager { client: server::connect(url).await?, base_ttl: plan.load.ttl, probe };
        Ok(Self { manager, node, grants: AtomicU64::new(0) })
    }

    async fn acquire(&self, name: &str, wait: Duration) -> Acquisition {
        let owner = format!("{}-{}", self.node, self.grants.fetch_add(1, Ordering::Relaxed));
        let key = format!("lease:{name}");
        let wait_end_ns = now_ns().saturating_add(duration_ns(wait));
        let ttl = self.manager.acquire(&key, &owner, wait_end_ns).await?;
        let lease = Arc::new(Lease {
            manager: self.manager.clone(),
            key,
            owner,
            expires_ns: AtomicU64::new(now_ns().saturating_add(duration_ns(ttl))),
        });
        let renewal = tokio::spawn(Arc::clone(&lease).keep(ttl)).abort_handle();
        Ok(Box::new(Grant { lease, renewal }))
    }
}

impl Manager {
    /// The TTL it was granted for.
    async fn acquire(&self, key: &str, owner: &str, wait_end_ns: u64) -> Result<Duration, Failure> {
        let ttl = self.adaptive_ttl().await;
        for attempt in 0..=RETRIES_MAX {
            let sent_ns = now_ns();
            let (expiry, options) = (Some(Expiration::PX(ms(ttl))), Some(SetOptions::NX));
            let reply = self.client.set::<Option<String>, _, _>(key, owner, expiry, options, false).await;
            self.probe.record(Phase::Attempt, now_ns().saturating_sub(sent_ns));
            if reply.map_err(|_| Failure::Unknown)?.is_some() {
                return Ok(ttl);
            }
            let left = time_until(wait_end_ns);
            if left.is_zero() {
                break;
            }
            let delay = RETRY_STEP * (attempt * attempt) + JITTER_MAX.mul_f64(rand::random::<f64>());
            sleep(delay.min(left)).await;
        }
        Err(Failure::Held)
    }

    async fn adaptive_ttl(&self) -> Duration {
        let sent = Instant::now();
        let pong = self.client.ping::<String>(None).await;
        let rtt = sent.elapsed();
        if pong.is_err() || rtt < RTT_MIN { self.base_ttl } else { (rtt * 3 + MARGIN).min(TTL_MAX) }
    }

    /// Whether the key was still this owner's.
    async fn renew(&self, key: &str, owner: &str, remaining: Duration) -> Result<bool, Failure> {
        let sent_ns = now_ns();
        let arguments = vec![owner.to_owned(), ms(remaining).to_string()];
        let reply = self.client.eval::<i64, _, _, _>(RENEW, vec![key], arguments).await;
        self.probe.record(Phase::Renew, now_ns().saturating_sub(sent_ns));
        reply.map(|renewed| renewed == 1).map_err(|_| Failure::Unknown)
    }
}

struct Lease {
    manager: Manager,
    key: String,
    owner: String,
    /// What the holder believes.
    expires_ns: AtomicU64,
}

impl Lease {
    /// Renews at half of the TTL for as long as the lease lives; falls back to the shadow once.
    async fn keep(self: Arc<Self>, mut ttl: Duration) {
        let (mut key, mut shadow) = (self.key.clone(), false);
        let mut ticks = interval_at(Instant::now() + ttl / 2, ttl / 2);
        loop {
            ticks.tick().await;
            let remaining = time_until(self.expires_ns.load(Ordering::Relaxed));
            if remaining.is_zero() {
                return;
            }
            let renewed = self.manager.renew(&key, &self.owner, remaining).await;
            self.manager.probe.renewal(renewed == Ok(true), shadow);
            match renewed {
                Err(_) => continue,
                Ok(true) => {}
                Ok(false) if shadow => return,
                Ok(false) => {
                    key = format!("shadow:{}", self.key);
                    shadow = true;
                    let wait_end_ns = now_ns().saturating_add(duration_ns(SHADOW_WAIT));
                    let Ok(granted) = self.manager.acquire(&key, &self.owner, wait_end_ns).await else {
                        return;
                    };
                    ttl = granted;
                    ticks = interval_at(Instant::now() + ttl / 2, ttl / 2);
                }
            }
            self.expires_ns.store(now_ns().saturating_add(duration_ns(ttl)), Ordering::Relaxed);
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1)
}

impl Lock for LeaseLock {
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition> {
        self.acquire(name, wait).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // The connection ends with the process in any case.
        async { self.manager.client.quit().await.unwrap_or_default() }.boxed()
    }
}

struct Grant {
    lease: Arc<Lease>,
    renewal: AbortHandle,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        None
    }

    fn valid_until_ns(&self) -> Option<u64> {
        Some(self.lease.expires_ns.load(Ordering::Relaxed))
    }

    /// Its users are not shown how to ask.
    fn is_valid(&self) -> bool {
        true
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        pending().boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        self.renewal.abort();
        async move {
            // GETDEL deletes as DEL does, and shows whose it was.
            match self.lease.manager.client.getdel::<Option<String>, _>(&self.lease.key).await {
                Ok(Some(owner)) if owner != self.lease.owner => ReleaseOutcome::Foreign,
                Ok(_) => ReleaseOutcome::Clean,
                Err(_) => ReleaseOutcome::Unknown,
            }
        }
        .boxed()
    }
}
