//! The peer crate `rslock`, with the least that its API allows between a call and the servers.

use std::time::Duration;

use redis::IntoConnectionInfo as _;
use rslock::{Lock, LockManager};

use super::{Contender, Failure, TTL};

/// One lock manager, whose clones share its connections.
#[derive(Debug)]
pub struct Rslock(LockManager);

impl Rslock {
    /// Names the servers; connections are made at the first use.
    ///
    /// # Errors
    /// When a URL cannot be used.
    pub fn new(urls: &[String; 3]) -> Result<Self, Failure> {
        let client = |url: &String| -> Result<redis::Client, Failure> {
            let info = url.as_str().into_connection_info()?;
            // Left to itself the driver lets the kernel hold back small packets.
            let tcp = info.tcp_settings().clone().set_nodelay(true);
            Ok(redis::Client::open(info.set_tcp_settings(tcp))?)
        };
        let clients = urls.iter().map(client).collect::<Result<_, _>>()?;
        let mut manager = LockManager::from_clients(clients);
        // One try: the locks are free, and a failure must show instead of being slept over.
        manager.set_retry(1, Duration::ZERO);
        Ok(Self(manager))
    }
}

impl Contender for Rslock {
    type Held = Lock;

    async fn acquire(&self, name: &str) -> Result<Lock, Failure> {
        Ok(self.0.lock(name, TTL).await?)
    }

    /// Waits for all three answers; how many confirm it is not said.
    async fn release(&self, lock: Lock) -> Result<(), Failure> {
        self.0.unlock(&lock).await;
        Ok(())
    }
}
