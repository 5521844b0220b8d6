//! How connections are authenticated, the first time and anew.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::interfaces::AuthInterface as _;
use fred::prelude::{Client, Error, ErrorKind, Server};
use fred::types::config::CredentialProvider;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::reply::in_words;
use crate::config::{CredentialSource, Credentials};
use crate::endpoint::Connection;

/// One endpoint's credentials.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) endpoint: String,
    pub(super) source: CredentialSource,
    /// How long a fetch may take.
    pub(super) timeout: Duration,
}

impl Login {
    /// The credentials of this moment.
    async fn fetch(&self) -> Result<Credentials, Arc<str>> {
        match tokio::time::timeout(self.timeout, self.source.fetch(&self.endpoint)).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(reason)) => Err(format!("no credentials: {reason}").into()),
            Err(_) => Err(format!("no credentials within {:?}", self.timeout).into()),
        }
    }

    /// Authenticates a connection that stands. Refused, it stays who it was.
    pub(super) async fn renew(&self, client: &Client) -> Result<(), Arc<str>> {
        let Credentials { username, password } = self.fetch().await?;
        client.auth(username, password).await.map_err(|error| in_words(&error))
    }

    /// Authenticates the connection anew, again and again, whenever it stands.
    pub(super) async fn keep_fresh(
        self,
        every: Duration,
        client: Client,
        connection: watch::Receiver<Connection>,
    ) {
        loop {
            tokio::time::sleep(every).await;
            let stands = matches!(&*connection.borrow(), Connection::Up { .. });
            if stands && let Err(reason) = self.renew(&client).await {
                tracing::warn!(endpoint = self.endpoint, %reason, "credentials were not refreshed");
            }
        }
    }
}

impl CredentialProvider for Login {
    // As `async_trait` writes it: called when a connection is set up, within the time that may take.
    fn fetch<'a, 'b, 'c>(
        &'a self,
        _server: Option<&'b Server>,
    ) -> BoxFuture<'c, Result<(Option<String>, Option<String>), Error>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let Credentials { username, password } =
                Self::fetch(self).await.map_err(|reason| Error::new(ErrorKind::Auth, reason.to_string()))?;
            Ok((username, Some(password)))
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
