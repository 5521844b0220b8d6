//! What can go wrong: one small enum per operation. Each variant says what may be assumed and what to do.

use std::fmt;
use std::time::Duration;

use crate::protocol::operation::Reply;
use crate::protocol::{LossReason, NameError, QuorumError};

/// A setting that cannot be used. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A URL that names no server.
    #[error(
        "endpoint {endpoint:?}: {reason}; write redis://[[user]:password@]host[:port][/database], rediss:// for TLS, or \
         unix://[[user]:password@]/path[?db=database]"
    )]
    Url {
        /// The URL, without user and password.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The number of endpoints cannot vote.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// One endpoint is named twice: it would vote twice.
    #[error("endpoint {endpoint} is named twice; each vote needs a server of its own")]
    Duplicate {
        /// Its label.
        endpoint: String,
    },
    /// The endpoints name different databases.
    #[error("endpoint {endpoint} names database {found}, the first one {expected}; name the same everywhere")]
    Databases {
        /// Its label.
        endpoint: String,
        /// Its database.
        found: u8,
        /// The first endpoint's.
        expected: u8,
    },
    /// Certificates or a key that cannot be used.
    #[error("TLS: {reason}")]
    Tls {
        /// What is wrong with them, and what to change.
        reason: String,
    },
    /// TLS is set up, and not used: what is sent there could be read by others.
    #[error("endpoint {endpoint} would not be encrypted; write rediss://, or leave TLS out for all")]
    NotEncrypted {
        /// Its label.
        endpoint: String,
    },
    /// A user or password in a URL, and a source of credentials beside it.
    #[error(
        "endpoint {endpoint} names a user or password in its URL, and the builder has credentials; use one of them"
    )]
    CredentialsTwice {
        /// Its label.
        endpoint: String,
    },
    /// Credentials are to be refreshed, and there is no source of them.
    #[error("refresh_credentials needs credentials on the builder: those in a URL do not change")]
    NothingToRefresh,
    /// A namespace that cannot begin a key.
    #[error("namespace {namespace:?}: use 1 to 100 of a-z, A-Z, 0-9, `_`, `-`, `.`, `:`, `{{`, `}}`")]
    Namespace {
        /// What was given.
        namespace: String,
    },
    /// A duration out of its range.
    #[error("{setting} is {value:?}; it must be {min_ms} ms to {max_ms} ms")]
    Range {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: Duration,
        /// The least.
        min_ms: u32,
        /// The most.
        max_ms: u32,
    },
}

/// Why a client could not be connected. Nothing is left running.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Fewer than a majority of endpoints answered and were admitted in time.
    #[error("no majority of endpoints within {within:?}; {endpoints}")]
    NoQuorum {
        /// The connect timeout.
        within: Duration,
        /// Those that are missing, and why.
        endpoints: EndpointReasons,
    },
}

/// Why connections were not authenticated anew. They stand as they stood before.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReauthenticateError {
    /// Some endpoints did not take the credentials, or there were none. The others have taken them.
    #[error("not authenticated anew: {endpoints}")]
    Failed {
        /// Which endpoints, and why.
        endpoints: EndpointReasons,
    },
}

/// Why a lease was not acquired. Nothing is held; what the attempt may have left on endpoints is being undone, and its TTL
/// removes the rest.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The name cannot be used. Nothing has been sent.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The TTL cannot be used. Nothing has been sent.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A majority answered, and somebody else holds the lease: wait, or do something else.
    #[error("lease {name:?} is held by another (at most {left:?} more unless renewed); {endpoints}")]
    Held {
        /// The name.
        name: String,
        /// How long the holder's lock stands if it is not renewed.
        left: Duration,
        /// What each endpoint answered.
        endpoints: EndpointReasons,
    },
    /// A key that is no lock stands under the lease's key, on so many endpoints that no majority is left: look at it with
    /// redis-cli, then rename the lease or delete the key.
    #[error(
        "key {key:?} of lease {name:?} holds something that is not a lock and is not overwritten; {endpoints}"
    )]
    NotALock {
        /// The name.
        name: String,
        /// The key on the endpoints.
        key: String,
        /// What each endpoint answered.
        endpoints: EndpointReasons,
    },
    /// Too few endpoints gave a vote: the lock may be free or not, nobody can say. See each endpoint's reason.
    #[error("no majority of endpoints voted on lease {name:?}; {endpoints}")]
    NoQuorum {
        /// The name.
        name: String,
        /// What each endpoint answered.
        endpoints: EndpointReasons,
    },
    /// A majority agreed, but so slowly that hardly any validity was left: raise the TTL or look for what is slow.
    #[error("a majority granted lease {name:?} too late for its TTL of {ttl:?} to be of use; {endpoints}")]
    ValidityExhausted {
        /// The name.
        name: String,
        /// The TTL asked for.
        ttl: Duration,
        /// What each endpoint answered.
        endpoints: EndpointReasons,
    },
    /// The client is being shut down.
    #[error("the client is shut down")]
    Shutdown,
}

/// Why a lease could not be confirmed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidateError {
    /// It is over. Stop.
    #[error("lease {name:?} is over: {reason}")]
    Lost {
        /// The name.
        name: String,
        /// Why.
        reason: LossReason,
    },
    /// No majority confirmed it now. It may still be held: it stays valid until its deadline or its loss notice.
    #[error("no majority confirmed lease {name:?}; {endpoints}")]
    NoQuorum {
        /// The name.
        name: String,
        /// What each endpoint answered.
        endpoints: EndpointReasons,
    },
}

/// Why a release did not simply end the lease. Nothing is held any more in either case.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It was over before: what was done since may have overlapped with another holder.
    #[error("lease {name:?} was lost before it was released: {reason}")]
    Lost {
        /// The name.
        name: String,
        /// Why.
        reason: LossReason,
    },
    /// No majority confirmed that the lock is gone. The next holder may have to wait until its TTL has run out.
    #[error("no majority confirmed the release of lease {name:?}; its TTL removes what is left")]
    Unconfirmed {
        /// The name.
        name: String,
    },
}

/// Why a lease was not renewed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// It is over. Stop.
    #[error("lease {name:?} is over: {reason}")]
    Lost {
        /// The name.
        name: String,
        /// Why.
        reason: LossReason,
    },
    /// No majority confirmed. The lease stands as it stood before, until its deadline.
    #[error("no majority confirmed the renewal of lease {name:?}")]
    NoQuorum {
        /// The name.
        name: String,
    },
}

/// What each endpoint had to say, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointReasons(pub Vec<EndpointReason>);

/// What one endpoint had to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReason {
    /// Its label: host and port, or the path of a socket.
    pub endpoint: String,
    /// Its answer, in words.
    pub reason: String,
}

impl fmt::Display for EndpointReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, EndpointReason { endpoint, reason }) in self.0.iter().enumerate() {
            write!(f, "{}{endpoint}: {reason}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// A reply in words.
pub(crate) fn describe(reply: &Reply) -> String {
    match reply {
        Reply::Granted { .. } => "granted".to_owned(),
        Reply::Released => "released".to_owned(),
        Reply::Held { left_ms } => format!("held by another for {left_ms} ms"),
        Reply::Waiting { left_ms, ahead } => {
            format!("held by another for {left_ms} ms, with {ahead} waiting before this one")
        }
        Reply::Missing => "no lock there".to_owned(),
        Reply::NotALock => "the key holds something that is not a lock".to_owned(),
        Reply::Superseded => "the lock was taken anew meanwhile".to_owned(),
        Reply::Quarantined { left_ms } => {
            format!("in quarantine for {left_ms} ms, because it may have forgotten votes")
        }
        Reply::TtlTooLong { max_ms } => format!("allows a TTL of {max_ms} ms at most"),
        Reply::Refused(reason) => format!("refused: {reason}"),
        Reply::NotSent(reason) => format!("not asked: {reason}"),
        Reply::Unknown(reason) => format!("unknown: {reason}"),
    }
}
