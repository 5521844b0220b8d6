//! fred, the driver that the library itself uses.

use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::ClientLike as _;
use fred::prelude::{
    Builder, Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, ServerConfig, TcpConfig, Value,
};
use fred::types::config::UnresponsiveConfig;
use fred::types::{ClusterHash, CustomCommand, RespVersion};
use leasehold::protocol::wire::Field;

use super::{Driver, Failure};

/// As many commands as any number of tasks here may have under way on one connection.
const COMMANDS_MAX: usize = 65_536;

/// One client of fred.
#[derive(Debug)]
pub struct Fred(Client);

impl Fred {
    /// The client itself.
    pub fn client(&self) -> &Client {
        &self.0
    }
}

impl Driver for Fred {
    type Reply = Value;

    async fn connect(url: &str) -> Result<Self, Failure> {
        let client = builder(url)?.build()?;
        client.init().await?;
        Ok(Self(client))
    }

    async fn call(&self, command: &'static str, arguments: Vec<Bytes>) -> Result<Value, Failure> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        let arguments: Vec<Value> = arguments.into_iter().map(Value::Bytes).collect();
        Ok(self.0.custom(command, arguments).await?)
    }

    fn fields(reply: &Value) -> Option<Vec<Field<'_>>> {
        let Value::Array(values) = reply else {
            return None;
        };
        let field = |value| match value {
            &Value::Integer(number) => Field::Int(number),
            Value::String(text) => Field::Text(text.as_bytes()),
            Value::Bytes(bytes) => Field::Text(bytes),
            _ => Field::Other,
        };
        Some(values.iter().map(field).collect())
    }
}

/// The driver as the library sets it, but for the length of its queue: here every task queues there.
fn builder(url: &str) -> Result<Builder, Failure> {
    let connect = Duration::from_secs(2);
    let ServerConfig::Centralized { server } = Config::from_url(url)?.server else {
        return Err(format!("{url} names more than one server").into());
    };
    let mut builder = Builder::from_config(Config {
        server: ServerConfig::Centralized { server },
        version: RespVersion::RESP2,
        ..Config::default()
    });
    builder
        .set_connection_config(ConnectionConfig {
            connection_timeout: connect,
            internal_command_timeout: connect,
            max_command_attempts: 1,
            max_redirections: 1,
            max_command_buffer_len: COMMANDS_MAX,
            reconnect_on_auth_error: true,
            auto_client_setname: false,
            unresponsive: UnresponsiveConfig { max_timeout: Some(connect * 2), interval: connect / 2 },
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        })
        .set_performance_config(PerformanceConfig {
            default_command_timeout: Duration::from_millis(500),
            ..PerformanceConfig::default()
        })
        .set_policy(ReconnectPolicy::new_constant(0, 100));
    Ok(builder)
}
