//! The client: one set of endpoints, and the leases asked of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ClientBuilder, Config, Endpoints};
use crate::core::Core;
use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::AcquireError;
use crate::error::{ConfigError, ConnectError, ReauthenticateError};
use crate::keeper::Sleeper;
use crate::protocol::gate::Standing;
use crate::redis::Connector;
use crate::request::LeaseRequest;
use crate::status::EndpointStatus;
use crate::sync::time;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

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

    #[cfg(all(test, feature = "races"))]
    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
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
        LeaseRequest::new(&self.core, name.as_ref())
    }

    /// The endpoints as this client sees them, in the order of its configuration.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.core.status()
    }

    /// Asks for credentials ([`ClientBuilder::credentials`]) and authenticates all connections with them, in place: a lease
    /// that is held, and requests under way, notice nothing. Does nothing where no credentials were given, and leaves out
    /// endpoints that are down: those are asked for when they are back.
    ///
    /// For a password that has just been rotated, on servers that would end connections that still use the old one.
    ///
    /// # Errors
    /// [`ReauthenticateError`] names each endpoint that did not take them; its connection stands as it stood before.
    pub async fn reauthenticate(&self) -> Result<(), ReauthenticateError> {
        let endpoints = self.core.reauthenticate().await;
        if endpoints.0.is_empty() { Ok(()) } else { Err(ReauthenticateError::Failed { endpoints }) }
    }

    /// Ends all clones of this client: no lease is handed out any more ([`AcquireError::Shutdown`], also by an acquisition that is
    /// under way), leases that are held may be used and released for `drain`, and what is held then is released.
    ///
    /// Gives the names of the leases that were still held after `drain`. Their holders are told as of a release.
    pub async fn shutdown(&self, drain: Duration) -> Vec<String> {
        self.core.close();
        if time::timeout(drain, self.core.idle()).await.is_ok() {
            return Vec::new();
        }
        self.core.keeper.sleepers().into_iter().filter_map(Sleeper::give_up).collect()
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
            let connector = Connector::new(config)?;
            let connect = |address| {
                connector.connect(address).map(|endpoint| -> Arc<dyn Endpoint> { Arc::new(endpoint) })
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
    time::timeout(within, count).await.unwrap_or(false)
}
