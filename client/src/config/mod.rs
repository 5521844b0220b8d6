//! Settings of a client, checked before anything is sent.

mod address;
mod credentials;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::address::{Address, Place};
pub(crate) use self::credentials::CredentialSource;
pub use self::credentials::Credentials;
pub use self::tls::Tls;
use crate::chance::Chance;
use crate::client::Client;
use crate::clock::Clock;
use crate::error::{ConfigError, ConnectError};
use crate::memory::MemoryEndpoints;
use crate::observer::{NoObserver, Observer};
use crate::protocol::Quorum;
use crate::protocol::validity::{TTL_MS_MAX, TTL_MS_MIN};
use crate::scripts::Settings;
use crate::ttl::Ttl;

/// Whoever rotates passwords does so at least once a week.
const REFRESH_MS_MAX: u32 = 7 * 24 * 3_600_000;

/// Collects the settings of a [`Client`], each with a safe default.
///
/// `Debug` shows endpoints by their labels only: no password, no key.
#[derive(Clone)]
pub struct ClientBuilder {
    pub(crate) endpoints: Endpoints,
    namespace: String,
    ttl: Option<Duration>,
    ttl_base: Duration,
    ttl_min: Duration,
    ttl_max: Duration,
    wait: Duration,
    request_timeout: Duration,
    connect_timeout: Duration,
    tls: Option<Tls>,
    credentials: Option<CredentialSource>,
    credentials_refresh: Option<Duration>,
    pub(crate) observer: Arc<dyn Observer>,
}

/// Where the votes are.
#[derive(Clone)]
pub(crate) enum Endpoints {
    Urls(Vec<String>),
    Memory(MemoryEndpoints),
}

/// Everything the rest of the client needs of its settings, checked.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) quorum: Quorum,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) addresses: Vec<Address>,
    pub(crate) tls: Option<Tls>,
    pub(crate) credentials: Option<CredentialSource>,
}

/// The bounds in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// A lease's TTL if it names none.
    pub(crate) ttl: Ttl,
    pub(crate) ttl_ms_max: u32,
    /// How long an acquire waits if it says nothing.
    pub(crate) wait: Duration,
    pub(crate) request_timeout_ms: u32,
    pub(crate) connect_timeout_ms: u32,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            endpoints: Endpoints::Urls(Vec::new()),
            namespace: "lh".to_owned(),
            ttl: None,
            ttl_base: Duration::from_secs(5),
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_millis(TTL_MS_MAX.into()),
            wait: Duration::from_secs(10),
            request_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(2),
            tls: None,
            credentials: None,
            credentials_refresh: None,
            observer: Arc::new(NoObserver),
        }
    }
}

impl ClientBuilder {
    /// The servers that vote, an odd number of independent ones, without replication between them, each as
    /// * `redis://[[user]:password@]host[:port][/database]`, where the host may be an IPv6 address in brackets,
    /// * `rediss://` with the same, for TLS: see [`tls`](Self::tls), or
    /// * `unix://[[user]:password@]/path/of/socket[?db=database]`.
    ///
    /// What is special in a user, password or path is percent-encoded.
    #[must_use]
    pub fn endpoints<I: IntoIterator<Item: Into<String>>>(mut self, urls: I) -> Self {
        self.endpoints = Endpoints::Urls(urls.into_iter().map(Into::into).collect());
        self
    }

    /// Endpoints in this process's memory, for tests and for trying things out.
    #[must_use]
    pub fn memory(mut self, endpoints: &MemoryEndpoints) -> Self {
        self.endpoints = Endpoints::Memory(endpoints.clone());
        self
    }

    /// What every key begins with, before a colon. Default: `lh`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// A fixed TTL for leases that name none: how long the lock outlives a holder that crashed. Default: an adaptive one,
    /// three times the 99th percentile of measured rounds and 200 ms, from [`min_ttl`](Self::min_ttl) to
    /// [`max_ttl`](Self::max_ttl); [`base_ttl`](Self::base_ttl) until enough has been measured.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The adaptive TTL until a hundred rounds have been measured. Default: 5 s.
    #[must_use]
    pub const fn base_ttl(mut self, ttl: Duration) -> Self {
        self.ttl_base = ttl;
        self
    }

    /// The least adaptive TTL. Default: 1 s.
    #[must_use]
    pub const fn min_ttl(mut self, ttl: Duration) -> Self {
        self.ttl_min = ttl;
        self
    }

    /// The longest TTL any client of this set may ask for. All clients of a set must agree on it. Default: 30 s, which is
    /// also the most.
    #[must_use]
    pub const fn max_ttl(mut self, ttl: Duration) -> Self {
        self.ttl_max = ttl;
        self
    }

    /// How long an acquire waits for a lock that is held, if it says nothing else. Default: 10 s.
    #[must_use]
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The longest an endpoint may take to answer before its vote counts as unknown; never more than 40 % of a lease's
    /// TTL. Default: 500 ms.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The longest that [`connect`](Self::connect) waits for a majority, and that one connection may take to be set up.
    /// Default: 2 s.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whom to trust on `rediss://` endpoints, and what certificate to show them. Default: the roots that the operating
    /// system trusts, and none.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where users and passwords come from, instead of the URLs. It is asked for an endpoint (by its label: host and port, or
    /// the socket's path) at every connection, so that a rotated password is picked up by the next one, and must answer
    /// within the connect timeout. No connection is made while it fails; its error is shown, so keep passwords out of it.
    ///
    /// ```no_run
    /// # use leasehold::{Client, Credentials};
    /// let builder = Client::builder().credentials(|_endpoint| async {
    ///     let password = std::fs::read_to_string("/run/secrets/leasehold")?;
    ///     Ok::<_, std::io::Error>(Credentials::new("leasehold", password.trim_end()))
    /// });
    /// ```
    #[must_use]
    pub fn credentials<F, Fut, E>(mut self, fetch: F) -> Self
    where
        F: Fn(&str) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: fmt::Display,
    {
        self.credentials = Some(CredentialSource::new(fetch));
        self
    }

    /// How often connections that stand are authenticated anew with [`credentials`](Self::credentials), for servers that end
    /// them when a password gets old. Default: never; [`Client::reauthenticate`] does it at once.
    #[must_use]
    pub const fn refresh_credentials(mut self, every: Duration) -> Self {
        self.credentials_refresh = Some(every);
        self
    }

    /// Whom to tell about attempts, renewals and losses. Default: nobody.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Connects. Returns as soon as a majority of endpoints has been admitted; the others go on in the background, for
    /// ever. Must be called on a tokio runtime with time enabled.
    ///
    /// # Errors
    /// [`ConnectError`] when a setting is wrong, or when no majority is there within the connect timeout; it names each
    /// endpoint that is not, and why.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        Client::connect(self).await
    }

    pub(crate) fn check(&self) -> Result<Config, ConfigError> {
        let addresses = match &self.endpoints {
            Endpoints::Urls(urls) => {
                urls.iter().map(|url| Address::parse(url)).collect::<Result<Vec<_>, _>>()?
            }
            Endpoints::Memory(_) => Vec::new(),
        };
        let count = match &self.endpoints {
            Endpoints::Urls(urls) => urls.len(),
            Endpoints::Memory(endpoints) => endpoints.len(),
        };
        let database = addresses.first().map_or(0, |address| address.database);
        if let Some(other) = addresses.iter().find(|address| address.database != database) {
            return Err(ConfigError::Databases {
                endpoint: other.label(),
                found: other.database,
                expected: database,
            });
        }
        for (index, address) in addresses.iter().enumerate() {
            if addresses[..index].iter().any(|other| other.label() == address.label()) {
                return Err(ConfigError::Duplicate { endpoint: address.label() });
            }
        }
        check_namespace(&self.namespace)?;
        self.check_security(&addresses)?;
        let quorum = Quorum::new(count)?;
        let limits = self.check_limits()?;
        let settings = Settings {
            namespace: self.namespace.clone(),
            database,
            endpoints: quorum.endpoints(),
            ttl_ms_max: limits.ttl_ms_max,
        };
        let (clock, chance) = match &self.endpoints {
            Endpoints::Urls(_) => (Clock::Machine, Chance::System),
            Endpoints::Memory(endpoints) => (endpoints.clock().clone(), endpoints.chance().clone()),
        };
        let (tls, credentials) = (self.tls.clone(), self.check_credentials()?);
        Ok(Config { quorum, settings, limits, clock, chance, addresses, tls, credentials })
    }

    /// Nothing is said twice, and nothing that is not meant to is sent in the clear.
    fn check_security(&self, addresses: &[Address]) -> Result<(), ConfigError> {
        for address in addresses {
            if self.tls.is_some() && matches!(address.place, Place::Tcp { tls: false, .. }) {
                return Err(ConfigError::NotEncrypted { endpoint: address.label() });
            }
            if self.credentials.is_some() && address.login.is_some() {
                return Err(ConfigError::CredentialsTwice { endpoint: address.label() });
            }
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<Option<CredentialSource>, ConfigError> {
        let (source, refresh) = (self.credentials.clone(), self.credentials_refresh);
        if let Some(every) = refresh {
            millis("refresh_credentials", every, 1_000, REFRESH_MS_MAX)?;
            if source.is_none() {
                return Err(ConfigError::NothingToRefresh);
            }
        }
        Ok(source.map(|source| source.refreshed(refresh)))
    }

    fn check_limits(&self) -> Result<Limits, ConfigError> {
        let ttl_ms_max = millis("max_ttl", self.ttl_max, TTL_MS_MIN, TTL_MS_MAX)?;
        let checked = |setting, ttl| millis(setting, ttl, TTL_MS_MIN, ttl_ms_max);
        let ttl = match self.ttl {
            Some(ttl) => Ttl::Fixed { ms: checked("ttl", ttl)? },
            None => Ttl::Adaptive {
                base_ms: checked("base_ttl", self.ttl_base)?,
                min_ms: checked("min_ttl", self.ttl_min)?,
                max_ms: ttl_ms_max,
            },
        };
        Ok(Limits {
            ttl,
            ttl_ms_max,
            wait: self.wait,
            request_timeout_ms: millis("request_timeout", self.request_timeout, 1, TTL_MS_MAX)?,
            connect_timeout_ms: millis("connect_timeout", self.connect_timeout, 1, 60_000)?,
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<String> = match &self.endpoints {
            Endpoints::Urls(urls) => {
                let label = |url: &String| Address::parse(url).map_or_else(|_| "?".to_owned(), |a| a.label());
                urls.iter().map(label).collect()
            }
            Endpoints::Memory(endpoints) => vec![format!("{} in memory", endpoints.len())],
        };
        f.debug_struct("ClientBuilder")
            .field("endpoints", &endpoints)
            .field("namespace", &self.namespace)
            .field("ttl", &self.ttl)
            .field("base_ttl", &self.ttl_base)
            .field("min_ttl", &self.ttl_min)
            .field("max_ttl", &self.ttl_max)
            .field("wait", &self.wait)
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("tls", &self.tls)
            .field("credentials", &self.credentials.is_some())
            .finish_non_exhaustive()
    }
}

fn check_namespace(namespace: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '{' | '}');
    if namespace.is_empty() || namespace.len() > 100 || !namespace.chars().all(allowed) {
        return Err(ConfigError::Namespace { namespace: namespace.to_owned() });
    }
    Ok(())
}

fn millis(setting: &'static str, value: Duration, min_ms: u32, max_ms: u32) -> Result<u32, ConfigError> {
    match u32::try_from(value.as_millis()) {
        Ok(ms) if (min_ms..=max_ms).contains(&ms) => Ok(ms),
        _ => Err(ConfigError::Range { setting, value, min_ms, max_ms }),
    }
}

/// The TTL a single lease asks for.
pub(crate) fn lease_ttl(ttl: Option<Duration>, limits: &Limits) -> Result<Ttl, ConfigError> {
    let fixed = |ttl| millis("ttl", ttl, TTL_MS_MIN, limits.ttl_ms_max).map(|ms| Ttl::Fixed { ms });
    ttl.map_or(Ok(limits.ttl), fixed)
}
