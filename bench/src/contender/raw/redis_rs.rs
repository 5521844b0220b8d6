//! redis-rs, the driver that most of the others use.

use std::time::Duration;

use bytes::Bytes;
use leasehold::protocol::wire::Field;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, IntoConnectionInfo as _, Value};

use super::{Driver, Failure};

/// One multiplexed connection of redis-rs.
#[derive(Clone, Debug)]
pub struct RedisRs(MultiplexedConnection);

impl Driver for RedisRs {
    type Reply = Value;

    async fn connect(url: &str) -> Result<Self, Failure> {
        let info = url.into_connection_info()?;
        // Left to itself the driver lets the kernel hold back small packets.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = redis::Client::open(info.set_tcp_settings(tcp))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_millis(500)));
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn call(&self, command: &'static str, arguments: Vec<Bytes>) -> Result<Value, Failure> {
        let mut command = redis::cmd(command);
        for argument in &arguments {
            command.arg(&argument[..]);
        }
        Ok(command.query_async(&mut self.0.clone()).await?)
    }

    fn fields(reply: &Value) -> Option<Vec<Field<'_>>> {
        let Value::Array(values) = reply else {
            return None;
        };
        let field = |value| match value {
            &Value::Int(number) => Field::Int(number),
            Value::BulkString(bytes) => Field::Text(bytes),
            Value::SimpleString(text) => Field::Text(text.as_bytes()),
            _ => Field::Other,
        };
        Some(values.iter().map(field).collect())
    }
}
