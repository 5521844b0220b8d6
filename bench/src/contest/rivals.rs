//! Locks that can be waited for. Each node has its own client.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::interfaces::KeysInterface as _;
use fred::types::{Expiration, SetOptions};
use leasehold::{AttemptReport, Client, Lease, Observer};
use rslock::Lock;

use super::Tries;
use crate::contender::{Contender as _, Driver as _, Failure, Fred, Rslock, TTL};

/// Longer than any contest.
const WAIT: Duration = Duration::from_secs(120);
/// What `rslock` does if nobody tells it otherwise: so many tries, and up to so long between them.
const RSLOCK_TRIES: u64 = 3;
const RSLOCK_DELAY_MS: u64 = 200;
/// How often the naive lock looks again.
const NAIVE_DELAY: Duration = Duration::from_millis(10);

/// One node's client.
pub trait Rival: Send + Sync + 'static {
    /// What an acquisition hands out.
    type Held: Send;

    /// Waits for the lock.
    fn acquire(&self, name: &str) -> impl Future<Output = Result<Self::Held, Failure>> + Send;

    /// Gives it back.
    fn release(&self, held: Self::Held) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// This project's client, with its defaults.
#[derive(Debug)]
pub struct HotLeasehold(Client);

struct Count(Arc<Tries>);

impl Observer for Count {
    fn on_attempt(&self, _: &AttemptReport) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
    }
}

impl HotLeasehold {
    /// Connects a node.
    ///
    /// # Errors
    /// When no majority is there.
    pub async fn connect(urls: &[String; 3], tries: &Arc<Tries>) -> Result<Self, Failure> {
        let observer = Arc::new(Count(Arc::clone(tries)));
        let builder = Client::builder().endpoints(urls.clone()).ttl(TTL).wait(WAIT);
        Ok(Self(builder.observer(observer).connect().await?))
    }
}

impl Rival for HotLeasehold {
    type Held = Lease;

    async fn acquire(&self, name: &str) -> Result<Lease, Failure> {
        Ok(self.0.lease(name).acquire().await?)
    }

    async fn release(&self, lease: Lease) -> Result<(), Failure> {
        Ok(lease.release().await?)
    }
}

/// `rslock` with its default tries and delays, and begun anew whenever it gives up. The loop is here so that tries can be
/// counted.
#[derive(Debug)]
pub struct HotRslock(Rslock, Arc<Tries>);

impl HotRslock {
    /// Makes a node.
    ///
    /// # Errors
    /// When a URL cannot be used.
    pub fn new(urls: &[String; 3], tries: &Arc<Tries>) -> Result<Self, Failure> {
        Ok(Self(Rslock::new(urls)?, Arc::clone(tries)))
    }
}

impl Rival for HotRslock {
    type Held = Lock;

    async fn acquire(&self, name: &str) -> Result<Lock, Failure> {
        for number in 1.. {
            self.1.attempts.fetch_add(1, Ordering::Relaxed);
            if let Ok(lock) = self.0.acquire(name).await {
                return Ok(lock);
            }
            if number % RSLOCK_TRIES == 0 {
                self.1.given_up.fetch_add(1, Ordering::Relaxed);
            } else {
                let delay_ms = rand::random_range(0..RSLOCK_DELAY_MS);
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
        }
        Err("it was tried too often".into())
    }

    async fn release(&self, lock: Lock) -> Result<(), Failure> {
        self.0.release(lock).await
    }
}

/// `SET key owner NX PX ttl` on one server, every 10 ms until it succeeds, and a plain delete: as tutorials teach it.
#[derive(Debug)]
pub struct HotNaive(Fred, Arc<Tries>);

impl HotNaive {
    /// Connects a node.
    ///
    /// # Errors
    /// When the server is not there.
    pub async fn connect(urls: &[String; 3], tries: &Arc<Tries>) -> Result<Self, Failure> {
        Ok(Self(Fred::connect(&urls[0]).await?, Arc::clone(tries)))
    }
}

impl Rival for HotNaive {
    type Held = String;

    async fn acquire(&self, name: &str) -> Result<String, Failure> {
        let key = format!("naive:{name}");
        let ttl = i64::try_from(TTL.as_millis())?;
        loop {
            self.1.attempts.fetch_add(1, Ordering::Relaxed);
            let set: Option<String> = self
                .0
                .client()
                .set(&key, "held", Some(Expiration::PX(ttl)), Some(SetOptions::NX), false)
                .await?;
            if set.is_some() {
                return Ok(key);
            }
            tokio::time::sleep(NAIVE_DELAY).await;
        }
    }

    async fn release(&self, key: String) -> Result<(), Failure> {
        Ok(self.0.client().del(key).await?)
    }
}
