//! What an operator says about a set, never a client.
//!
//! Each takes the same builder as a client. In a configuration such words would be repeated at every start, long after they
//! were true; so they are calls of their own, and commands of `loadgen trio`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use crate::client::endpoints;
use crate::config::ClientBuilder;
use crate::endpoint::{Admission, Connection, Endpoint, Records};
use crate::error::ConfigError;
use crate::protocol::wire::AdmitReply;

/// The id of a set of endpoints, drawn when it was declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetId(String);

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an operator's word was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// A setting cannot be used. Nothing has been written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no such endpoint. Nothing has been written.
    #[error("there is no endpoint {place}; the set has {endpoints}")]
    NoSuchEndpoint {
        /// The place asked for, from 1.
        place: usize,
        /// How many there are.
        endpoints: usize,
    },
    /// An endpoint did not answer. Nothing has been written.
    #[error("endpoint {endpoint} does not answer ({reason}); every endpoint must be up for this")]
    Unreachable {
        /// Its label.
        endpoint: String,
        /// What was seen.
        reason: String,
    },
    /// An endpoint has voted before. Nothing has been written.
    #[error(
        "endpoint {endpoint} is not new, it holds {found}; only a set that never voted can be declared fresh. Clients admit \
         it by themselves, after a quarantine if it has forgotten"
    )]
    NotFresh {
        /// Its label.
        endpoint: String,
        /// What was found there.
        found: String,
    },
    /// Another endpoint gives no votes. Nothing has been written.
    #[error(
        "endpoint {endpoint} is in quarantine ({reason}); one endpoint at a time, wait until it votes again"
    )]
    Quarantined {
        /// Its label.
        endpoint: String,
        /// Why it is.
        reason: String,
    },
    /// An endpoint does not keep what it has written. Nothing has been written.
    #[error("endpoint {endpoint} has {setting} = {found:?}; set it to {expected:?}, or it is not durable")]
    NotDurable {
        /// Its label.
        endpoint: String,
        /// Which setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An endpoint refused. What was done to endpoints before it stands.
    #[error("endpoint {endpoint} refused: {reason}")]
    Refused {
        /// Its label.
        endpoint: String,
        /// Its reason.
        reason: String,
    },
}

/// Declares a brand-new set: endpoints that have never voted, so that clients need not wait out a quarantine.
///
/// Only for servers that are really new. A set that lost its data is not: its leases may still be held.
///
/// # Errors
/// [`AdminError`] unless every endpoint answers and none holds a record of admission or a lock.
pub async fn fresh(builder: ClientBuilder) -> Result<SetId, AdminError> {
    let set = Set::connect(&builder)?;
    for (endpoint, records) in set.records().await? {
        let member = records.member.map(|member| format!("a record of admission ({member})"));
        if let Some(found) = member.or_else(|| records.lock.map(|key| format!("key {key}"))) {
            return Err(AdminError::NotFresh { endpoint: endpoint.label().to_owned(), found });
        }
    }
    let id = format!("{:032x}", rand::random::<u128>());
    for endpoint in &set.endpoints {
        set.admit(endpoint, Admission::Fresh, &id).await?;
    }
    Ok(SetId(id))
}

/// Gives one endpoint, by its place from 1, the settings of this builder (longest TTL, number of endpoints, protocol
/// version), and puts it into quarantine in the same step. Gives how long that lasts.
///
/// Change one endpoint, wait until it votes again, then the next: clients with the old settings go on with the others until a
/// majority has changed, and those with the new ones begin then.
///
/// # Errors
/// [`AdminError`], also while any other endpoint is in quarantine.
pub async fn reconfigure(builder: ClientBuilder, place: usize) -> Result<Duration, AdminError> {
    let set = Set::connect(&builder)?;
    let endpoints = set.endpoints.len();
    let no_such = AdminError::NoSuchEndpoint { place, endpoints };
    let chosen = place.checked_sub(1).and_then(|index| set.endpoints.get(index)).ok_or(no_such)?;
    for (endpoint, records) in set.records().await? {
        if let Some(reason) = records.quarantine.filter(|_| !Arc::ptr_eq(endpoint, chosen)) {
            return Err(AdminError::Quarantined { endpoint: endpoint.label().to_owned(), reason });
        }
    }
    set.admit(chosen, Admission::Reconfigure, UNKNOWN_SET).await
}

/// Declares that every endpoint keeps what it has written through a restart (`appendonly yes`, `appendfsync always`): it votes
/// again at once then, without a quarantine. Clients must have admitted the endpoints before.
///
/// # Errors
/// [`AdminError`] unless every endpoint answers and has these settings.
pub async fn durable(builder: ClientBuilder) -> Result<(), AdminError> {
    let set = Set::connect(&builder)?;
    set.records().await?;
    for endpoint in &set.endpoints {
        for (setting, expected) in [("appendonly", "yes"), ("appendfsync", "always")] {
            let found = endpoint.setting(setting, set.timeout_ms).await;
            let label = || endpoint.label().to_owned();
            match found {
                Ok(Some(found)) if found == expected => {}
                Ok(found) => {
                    let found = found.unwrap_or_default();
                    return Err(AdminError::NotDurable { endpoint: label(), setting, found, expected });
                }
                Err(error) => {
                    return Err(AdminError::Refused {
                        endpoint: label(),
                        reason: error.reason().to_string(),
                    });
                }
            }
        }
    }
    for endpoint in &set.endpoints {
        set.admit(endpoint, Admission::Durable, UNKNOWN_SET).await?;
    }
    Ok(())
}

/// An id that is learned from the endpoint itself.
const UNKNOWN_SET: &str = "-";

/// The endpoints an operator talks to.
struct Set {
    endpoints: Vec<Arc<dyn Endpoint>>,
    timeout_ms: u32,
}

impl Set {
    fn connect(builder: &ClientBuilder) -> Result<Self, AdminError> {
        let config = builder.check()?;
        let endpoints = endpoints(builder, &config)?;
        Ok(Self { endpoints, timeout_ms: config.limits.connect_timeout_ms })
    }

    /// What stands on every endpoint; all must answer.
    async fn records(&self) -> Result<Vec<(&Arc<dyn Endpoint>, Records)>, AdminError> {
        let look = |endpoint| async move { Ok((endpoint, self.look(endpoint).await?)) };
        try_join_all(self.endpoints.iter().map(look)).await
    }

    async fn look(&self, endpoint: &Arc<dyn Endpoint>) -> Result<Records, AdminError> {
        let unreachable = |reason: &str| AdminError::Unreachable {
            endpoint: endpoint.label().to_owned(),
            reason: reason.to_owned(),
        };
        let mut connection = endpoint.connection();
        let up = connection.wait_for(|connection| matches!(connection, Connection::Up { .. }));
        let within = Duration::from_millis(self.timeout_ms.into());
        if !matches!(tokio::time::timeout(within, up).await, Ok(Ok(_))) {
            return Err(match &*endpoint.connection().borrow() {
                Connection::Down(reason) => unreachable(reason),
                Connection::Connecting | Connection::Up { .. } => unreachable("no answer in time"),
            });
        }
        endpoint.records(self.timeout_ms).await.map_err(|error| unreachable(&error.reason()))
    }

    /// Admits an endpoint; gives how long it is in quarantine.
    async fn admit(
        &self,
        endpoint: &Arc<dyn Endpoint>,
        admission: Admission,
        set: &str,
    ) -> Result<Duration, AdminError> {
        let refused = |reason: Arc<str>| AdminError::Refused {
            endpoint: endpoint.label().to_owned(),
            reason: reason.to_string(),
        };
        match endpoint.admit(admission, set, self.timeout_ms).await {
            Ok(AdmitReply::Admitted { quarantined_ms, .. }) => Ok(Duration::from_millis(quarantined_ms)),
            Ok(AdmitReply::Refused(reason)) => Err(refused(reason)),
            Err(error) => Err(refused(error.reason())),
        }
    }
}
