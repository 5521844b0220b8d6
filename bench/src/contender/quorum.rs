//! This project's client, with its defaults.

use leasehold::{Client, Lease};

use super::{Contender, Failure, TTL};

/// One [`Client`].
#[derive(Debug)]
pub struct Quorum(Client);

impl Quorum {
    /// Connects to servers that are members of a set.
    ///
    /// # Errors
    /// When no majority is there.
    pub async fn connect(urls: &[String; 3]) -> Result<Self, Failure> {
        Ok(Self(Client::builder().endpoints(urls.clone()).ttl(TTL).connect().await?))
    }
}

impl Contender for Quorum {
    type Held = Lease;

    async fn acquire(&self, name: &str) -> Result<Lease, Failure> {
        Ok(self.0.lease(name).try_acquire().await?)
    }

    async fn release(&self, lease: Lease) -> Result<(), Failure> {
        Ok(lease.release().await?)
    }
}
