//! Who a client says it is, also while passwords are rotated.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

/// A user and a password of an endpoint. `Debug` shows the user only.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: String,
}

impl Credentials {
    /// A user of the server's access control list.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: Some(username.into()), password: password.into() }
    }

    /// The default user, whose password is the server's `requirepass`.
    pub fn password(password: impl Into<String>) -> Self {
        Self { username: None, password: password.into() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Where credentials come from: asked for at every connection, so that a rotated password is the one in use.
#[derive(Clone)]
pub(crate) struct CredentialSource {
    fetch: Arc<Fetch>,
    /// How often connections that stand are authenticated anew.
    pub(crate) refresh: Option<Duration>,
}

type Fetch = dyn Fn(&str) -> BoxFuture<'static, Result<Credentials, String>> + Send + Sync;

impl CredentialSource {
    pub(crate) fn new<F, Fut, E>(fetch: F) -> Self
    where
        F: Fn(&str) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: fmt::Display,
    {
        let fetch = move |endpoint: &str| {
            let credentials = fetch(endpoint);
            async move { credentials.await.map_err(|error| error.to_string()) }.boxed()
        };
        Self { fetch: Arc::new(fetch), refresh: None }
    }

    pub(crate) fn refreshed(self, refresh: Option<Duration>) -> Self {
        Self { refresh, ..self }
    }

    /// The credentials of this moment. `Err` says why there are none.
    pub(crate) fn fetch(&self, endpoint: &str) -> BoxFuture<'static, Result<Credentials, String>> {
        (self.fetch)(endpoint)
    }
}
