//! How a connection to a server is made and kept, and what of it is told: fred's settings, all of them written down.

use std::sync::Arc;
use std::time::Duration;

use fred::prelude::{
    Config, ConnectionConfig, Error, PerformanceConfig, ReconnectPolicy, Server, ServerConfig, TcpConfig,
};
use fred::types::RespVersion;
use fred::types::config::{CredentialProvider, TlsConfig, UnresponsiveConfig};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::credentials::Login;
use super::reply::in_words;
use crate::config::{Address, Limits, Place};
use crate::endpoint::Connection;

/// Commands that wait in fred for one connection: batches and admissions, one in flight each.
const COMMAND_BUFFER_LEN_MAX: usize = 64;
/// Before attempts to connect, the first one too: short, since an endpoint that is back should vote again soon.
const CONNECT_DELAY_MS_MIN: u32 = 1;
const CONNECT_DELAY_MS_MAX: u32 = 100;
/// How much longer each is than the one before.
const CONNECT_DELAY_GROWTH: u32 = 3;

/// Follows the connection: an error takes it down, a completed reconnect brings it up.
pub(super) async fn follow(
    mut errors: broadcast::Receiver<(Error, Option<Server>)>,
    mut reconnects: broadcast::Receiver<Server>,
    connection: watch::Sender<Connection>,
) {
    let mut epoch = 0;
    loop {
        // Errors first: of an error and a reconnect that are both waiting, the reconnect is the later one, as a rule. Where
        // it is not, commands time out and the next error puts it right.
        tokio::select! {
            biased;
            event = errors.recv() => match event {
                Ok((error, _)) => drop(connection.send_replace(Connection::Down(in_words(&error)))),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            event = reconnects.recv() => match event {
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    epoch += 1;
                    connection.send_replace(Connection::Up { epoch });
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}

pub(super) fn server_config(address: &Address, tls: Option<&TlsConfig>, login: Option<Login>) -> Config {
    let (server, encrypted) = match &address.place {
        Place::Tcp { host, port, tls } => (ServerConfig::new_centralized(host.clone(), *port), *tls),
        Place::Unix { path } => (ServerConfig::new_unix_socket(path), false),
    };
    Config {
        server,
        username: address.login.as_ref().and_then(|login| login.username.clone()),
        password: address.login.as_ref().map(|login| login.password.clone()),
        credential_provider: login.map(|login| -> Arc<dyn CredentialProvider> { Arc::new(login) }),
        tls: tls.filter(|_| encrypted).cloned(),
        database: Some(address.database),
        version: RespVersion::RESP2,
        // A server that is down at the start is waited for in the background.
        fail_fast: false,
        ..Config::default()
    }
}

pub(super) fn connection_config(limits: &Limits) -> ConnectionConfig {
    let connect = Duration::from_millis(limits.connect_timeout_ms.into());
    ConnectionConfig {
        connection_timeout: connect,
        // Also bounds the set-up of each new connection: a server that accepts and never answers is caught by this.
        internal_command_timeout: connect,
        max_command_attempts: 1,
        max_redirections: 1,
        max_command_buffer_len: COMMAND_BUFFER_LEN_MAX,
        // A connection whose new password is refused stays who it was: better than none.
        reconnect_on_auth_error: false,
        auto_client_setname: false,
        unresponsive: UnresponsiveConfig { max_timeout: Some(connect * 2), interval: connect / 2 },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    }
}

pub(super) fn performance_config(limits: &Limits) -> PerformanceConfig {
    PerformanceConfig {
        default_command_timeout: Duration::from_millis(limits.connect_timeout_ms.into()),
        ..PerformanceConfig::default()
    }
}

pub(super) fn reconnect_policy() -> ReconnectPolicy {
    let (min, max) = (CONNECT_DELAY_MS_MIN, CONNECT_DELAY_MS_MAX);
    let mut policy = ReconnectPolicy::new_exponential(0, min, max, CONNECT_DELAY_GROWTH);
    policy.set_jitter(CONNECT_DELAY_MS_MAX / 10);
    policy
}
