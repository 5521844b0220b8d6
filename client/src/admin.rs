//! What an operator says about a set, never a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use crate::client::endpoints;
use crate::config::ClientBuilder;
use crate::endpoint::{Admission, CallError, Connection, Endpoint};
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

/// Why a set was not declared brand-new.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreshError {
    /// A setting cannot be used. Nothing has been written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An endpoint did not answer. Nothing has been written.
    #[error("endpoint {endpoint} does not answer ({reason}); every endpoint of a new set must be up")]
    Unreachable {
        /// Host and port.
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
        /// Host and port.
        endpoint: String,
        /// What was found there.
        found: String,
    },
    /// An endpoint refused while the set was being declared. Those before it are members; this one and those after it will
    /// be quarantined when a client first sees them.
    #[error("endpoint {endpoint} refused: {reason}")]
    Refused {
        /// Host and port.
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
/// [`FreshError`] unless every endpoint answers and none holds a record of admission or a lock.
pub async fn fresh(builder: ClientBuilder) -> Result<SetId, FreshError> {
    let config = builder.check()?;
    let endpoints = endpoints(&builder, &config)?;
    let timeout_ms = config.limits.connect_timeout_ms;
    try_join_all(endpoints.iter().map(|endpoint| look(endpoint, timeout_ms))).await?;
    let id = format!("{:032x}", rand::random::<u128>());
    for endpoint in &endpoints {
        let refused = |reason: Arc<str>| FreshError::Refused {
            endpoint: endpoint.label().to_owned(),
            reason: reason.to_string(),
        };
        match endpoint.admit(Admission::Fresh { set: &id }, timeout_ms).await {
            Ok(AdmitReply::Admitted { .. }) => {}
            Ok(AdmitReply::Refused(reason)) => return Err(refused(reason)),
            Err(error) => return Err(refused(error.reason())),
        }
    }
    Ok(SetId(id))
}

/// Makes sure that an endpoint answers and has never voted.
async fn look(endpoint: &Arc<dyn Endpoint>, timeout_ms: u32) -> Result<(), FreshError> {
    let label = || endpoint.label().to_owned();
    let unreachable =
        |error: &CallError| FreshError::Unreachable { endpoint: label(), reason: error.reason().to_string() };
    let mut connection = endpoint.connection();
    let up = connection.wait_for(|connection| matches!(connection, Connection::Up { .. }));
    if !matches!(tokio::time::timeout(Duration::from_millis(timeout_ms.into()), up).await, Ok(Ok(_))) {
        let reason = match &*endpoint.connection().borrow() {
            Connection::Down(reason) => reason.to_string(),
            Connection::Up { .. } => "no answer in time".to_owned(),
        };
        return Err(FreshError::Unreachable { endpoint: label(), reason });
    }
    match endpoint.traces(timeout_ms).await.map_err(|error| unreachable(&error))? {
        None => Ok(()),
        Some(found) => Err(FreshError::NotFresh { endpoint: label(), found }),
    }
}
