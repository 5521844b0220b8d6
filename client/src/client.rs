//! The client, and the requests for leases that it gives out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::attempt::{Failed, attempt};
use crate::config::{self, ClientBuilder, Config, Endpoints};
use crate::core::Core;
use crate::endpoint::Endpoint;
use crate::error::{AcquireError, ConfigError, ConnectError};
use crate::lease::Lease;
use crate::protocol::backoff::retry_delay_ns;
use crate::protocol::{AttemptFailure, LeaseName, NameError};
use crate::redis::RedisEndpoint;
use crate::status::{EndpointStatus, Standing};

/// A client of one set of endpoints. Clones are cheap and share connections and tasks, which end when the last clone and
/// the last lease are gone.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
}

impl Client {
    /// Settings to start from.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) async fn connect(builder: ClientBuilder) -> Result<Self, ConnectError> {
        let config = builder.check()?;
        let endpoints = endpoints(&builder, &config)?;
        let core = Arc::new(Core::start(&config, builder.observer, endpoints));
        let within = Duration::from_millis(config.limits.connect_timeout_ms.into());
        if majority_admitted(&core, within).await {
            return Ok(Self { core });
        }
        Err(ConnectError::NoQuorum { within, endpoints: core.missing() })
    }

    /// Asks for a lease on `name`: `[a-z0-9][a-z0-9_.:-]*`, at most 200 bytes. Nothing is sent before
    /// [`acquire`](LeaseRequest::acquire) or [`try_acquire`](LeaseRequest::try_acquire).
    pub fn lease(&self, name: impl AsRef<str>) -> LeaseRequest {
        let limits = &self.core.limits;
        LeaseRequest {
            core: Arc::clone(&self.core),
            name: LeaseName::new(name.as_ref()),
            ttl: Duration::from_millis(limits.ttl_ms.into()),
            wait: limits.wait,
        }
    }

    /// The endpoints as this client sees them, in the order of its configuration.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.core.status()
    }

    /// Begins no acquisition any more: [`AcquireError::Shutdown`]. Leases that are held stay held.
    pub fn close(&self) {
        self.core.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoints", &self.endpoints()).finish_non_exhaustive()
    }
}

/// Starts to connect to every endpoint.
pub(crate) fn endpoints(
    builder: &ClientBuilder,
    config: &Config,
) -> Result<Vec<Arc<dyn Endpoint>>, ConfigError> {
    match &builder.endpoints {
        Endpoints::Memory(endpoints) => Ok(endpoints.endpoints(&config.settings)),
        Endpoints::Urls(_) => {
            let connect = |address| {
                RedisEndpoint::connect(address, &config.settings, &config.limits)
                    .map(|endpoint| -> Arc<dyn Endpoint> { Arc::new(endpoint) })
            };
            config.addresses.iter().map(connect).collect()
        }
    }
}

/// Waits until a majority is admitted, or none can be any more.
async fn majority_admitted(core: &Core, within: Duration) -> bool {
    let settled = |standing: &Standing| matches!(standing, Standing::Admitted { .. } | Standing::Refused(_));
    let mut standings: FuturesUnordered<_> = core
        .standings()
        .map(
            |mut standing| async move { standing.wait_for(settled).await.is_ok_and(|now| now.is_admitted()) },
        )
        .collect();
    let count = async {
        let (mut admitted, mut refused) = (0, 0);
        while let Some(is_admitted) = standings.next().await {
            if is_admitted {
                admitted += 1;
            } else {
                refused += 1;
            }
            if admitted >= core.quorum.majority() || refused > core.quorum.spare() {
                break;
            }
        }
        admitted >= core.quorum.majority()
    };
    tokio::time::timeout(within, count).await.unwrap_or(false)
}

/// A lease to be asked for.
#[must_use = "nothing is sent before acquire or try_acquire is awaited"]
pub struct LeaseRequest {
    core: Arc<Core>,
    name: Result<LeaseName, NameError>,
    ttl: Duration,
    wait: Duration,
}

impl LeaseRequest {
    /// How long the lock outlives a holder that crashed. Default: the client's.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long to wait for a lock that is held, or for endpoints that do not vote. Default: the client's.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Acquires the lease, waiting for it if it is held.
    ///
    /// Dropping the future at any point leaves nothing behind.
    ///
    /// # Errors
    /// [`AcquireError`], that of the last attempt, once the wait is over; at once where trying again cannot help.
    pub async fn acquire(self) -> Result<Lease, AcquireError> {
        let give_up = Instant::now() + self.wait;
        let seed = rand::random();
        let mut failures = 0;
        loop {
            let error = match self.attempt().await {
                Ok(lease) => return Ok(lease),
                Err(error) => error,
            };
            failures += 1;
            let again = Instant::now() + Duration::from_nanos(retry_delay_ns(failures, seed));
            let worthwhile = matches!(
                error,
                AcquireError::Held { .. }
                    | AcquireError::NoQuorum { .. }
                    | AcquireError::ValidityExhausted { .. }
            );
            if !worthwhile || again >= give_up {
                return Err(error);
            }
            tokio::time::sleep_until(again).await;
        }
    }

    /// Tries once to acquire the lease.
    ///
    /// Dropping the future at any point leaves nothing behind.
    ///
    /// # Errors
    /// [`AcquireError`] tells a lease that is held by another from endpoints that do not vote.
    pub async fn try_acquire(self) -> Result<Lease, AcquireError> {
        self.attempt().await
    }

    async fn attempt(&self) -> Result<Lease, AcquireError> {
        if self.core.is_closed() {
            return Err(AcquireError::Shutdown);
        }
        let name = self.name.as_ref().map_err(Clone::clone)?;
        let ttl_ms = config::lease_ttl_ms(self.ttl, &self.core.limits)?;
        attempt(&self.core, name, ttl_ms).await.map_err(|failed| self.error(name, &failed))
    }

    fn error(&self, name: &LeaseName, failed: &Failed) -> AcquireError {
        let endpoints = self.core.reasons(&failed.replies);
        let key = self.core.lock_key(name);
        let name = name.to_string();
        match failed.failure {
            AttemptFailure::Held { left_ms } => {
                AcquireError::Held { name, left: Duration::from_millis(left_ms), endpoints }
            }
            AttemptFailure::NotALock => AcquireError::NotALock { name, key, endpoints },
            AttemptFailure::ValidityExhausted => {
                AcquireError::ValidityExhausted { name, ttl: self.ttl, endpoints }
            }
            // A cancelled attempt has no caller to tell.
            AttemptFailure::NoQuorum | AttemptFailure::Cancelled => {
                AcquireError::NoQuorum { name, endpoints }
            }
        }
    }
}

impl fmt::Debug for LeaseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseRequest")
            .field("name", &self.name)
            .field("ttl", &self.ttl)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
