//! A plain connection to one server, for the naive lock and for looking at a server before a run.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, ServerConfig, TcpConfig, UnresponsiveConfig,
};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ConnectError;
use crate::run::endpoints::without_password;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_DELAY_MS: u32 = 50;
/// More commands than a node ever has in flight.
const COMMANDS_MAX: usize = 10_000;

/// Connects, or says at once why not.
pub(crate) async fn connect(url: &str) -> Result<Client, ConnectError> {
    let config = Config::from_url(url).map_err(|error| unreachable(url, error.details()))?;
    let ServerConfig::Centralized { server } = &config.server else {
        return Err(unreachable(url, "it is not one server of its own"));
    };
    // A plain connection first: the client library's word for a refused one is not for people.
    let dialled = timeout(CONNECT_TIMEOUT, TcpStream::connect((&*server.host, server.port))).await;
    dialled
        .map_err(|_| unreachable(url, "no connection in time"))?
        .map_err(|error| unreachable(url, &error.to_string()))?;
    let client = client(config).map_err(|error| unreachable(url, error.details()))?;
    client.init().await.map_err(|error| unreachable(url, error.details()))?;
    Ok(client)
}

fn unreachable(url: &str, reason: &str) -> ConnectError {
    ConnectError(format!("{}: {reason}", without_password(url)))
}

/// A client with every setting that bears on a lock spelt out: nothing is sent twice, everything is bounded.
fn client(config: Config) -> Result<Client, fred::error::Error> {
    let connection = ConnectionConfig {
        connection_timeout: CONNECT_TIMEOUT,
        internal_command_timeout: CONNECT_TIMEOUT,
        max_command_attempts: 1,
        max_redirections: 1,
        max_command_buffer_len: COMMANDS_MAX,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(COMMAND_TIMEOUT * 3),
            interval: COMMAND_TIMEOUT,
        },
        reconnect_on_auth_error: false,
        auto_client_setname: false,
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    };
    let performance =
        PerformanceConfig { default_command_timeout: COMMAND_TIMEOUT, ..PerformanceConfig::default() };
    let mut builder = Builder::from_config(config);
    builder
        .set_connection_config(connection)
        .set_performance_config(performance)
        .set_policy(ReconnectPolicy::new_constant(0, RECONNECT_DELAY_MS));
    builder.build()
}
