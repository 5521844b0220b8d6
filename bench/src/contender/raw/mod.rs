//! The limit: this project's script and arguments through three clients of the driver, and nothing around them. No batch,
//! no queue, no task, no deadline, no token to settle, nothing undone.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::ClientLike as _;
use fred::prelude::{
    Builder, Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, ServerConfig, TcpConfig, Value,
};
use fred::types::config::UnresponsiveConfig;
use fred::types::{ClusterHash, CustomCommand, RespVersion};
use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use leasehold::protocol::validity::TTL_MS_MAX;
use leasehold::protocol::wire::{self, AdmitReply, Arguments, BatchReply, Field, WireError};
use leasehold::protocol::{Action, LeaseName, Operation, OwnerId, Reply};
use leasehold::scripts::Settings;

use super::{Contender, Failure, TTL};

/// As many commands as any number of tasks here may have under way on one connection.
const COMMANDS_MAX: usize = 65_536;
const MAJORITY: usize = 2;

/// Three clients of the driver.
#[derive(Debug)]
pub struct Raw {
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    client: Client,
    script_hash: Bytes,
    /// The record of admission that the script wants to hear with each call.
    member: Bytes,
}

impl Raw {
    /// Connects to servers that are members of a set.
    ///
    /// # Errors
    /// When a server does not answer or is not admitted.
    pub async fn connect(urls: &[String; 3]) -> Result<Self, Failure> {
        let servers = try_join_all(urls.iter().map(|url| Server::connect(url))).await?;
        Ok(Self { servers })
    }

    /// Sends one operation everywhere and waits for the second yes. The third answer is left to arrive unheard: the
    /// command is on its way, and the next one on that connection follows it.
    async fn run(&self, operation: &Operation, yes: fn(&Reply) -> bool) -> Result<(), Failure> {
        let (bytes, ends) = Arguments::encode([operation]).into_parts();
        let bytes = Bytes::from(bytes);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let arguments: Vec<Bytes> = starts.zip(&ends).map(|(start, &end)| bytes.slice(start..end)).collect();
        let mut replies: FuturesUnordered<_> =
            self.servers.iter().map(|server| server.run(&arguments)).collect();
        let mut count = 0;
        let mut refusal = None;
        while let Some(reply) = replies.next().await {
            let reply = reply?;
            if yes(&reply) {
                count += 1;
            } else {
                refusal = Some(reply);
            }
            if count == MAJORITY {
                return Ok(());
            }
        }
        Err(format!("no majority said yes; one answered {refusal:?}").into())
    }
}

impl Contender for Raw {
    type Held = (LeaseName, OwnerId);

    async fn acquire(&self, name: &str) -> Result<Self::Held, Failure> {
        let held = (LeaseName::new(name)?, OwnerId::new(rand::random()));
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let action = Action::Acquire {
            ttl_ms: u32::try_from(TTL.as_millis())?,
            proposal: u64::try_from(since_1970.as_micros())?,
        };
        let operation = Operation { name: held.0.clone(), owner: held.1, action };
        self.run(&operation, |reply| matches!(reply, Reply::Granted { .. })).await?;
        Ok(held)
    }

    async fn release(&self, (name, owner): Self::Held) -> Result<(), Failure> {
        let operation = Operation { name, owner, action: Action::Release };

        self.run(&operation, |reply| matches!(reply, Reply::Released)).await
    }
}

impl Server {
    /// Connects with the settings of the library, and admits the server, which also makes it know the script.
    async fn connect(url: &str) -> Result<Self, Failure> {
        let client = builder(url)?.build()?;
        client.init().await?;
        let script =
            Settings { namespace: "lh".to_owned(), database: 0, endpoints: 3, ttl_ms_max: TTL_MS_MAX }
                .script();
        let script_hash = Bytes::from(fred::util::sha1_hash(&script));
        let arguments = [script.as_str(), "0", "admit", "-"].map(Value::from).to_vec();
        let reply = call(&client, "EVAL", arguments).await?;
        match decode(&reply, |fields| wire::decode_admit(fields))? {
            AdmitReply::Admitted { member, quarantined_ms: 0, .. } => {
                let member = Bytes::copy_from_slice(member.as_bytes());
                Ok(Self { client, script_hash, member })
            }
            other => Err(format!("{url} gives no votes: {other:?}").into()),
        }
    }

    async fn run(&self, operation: &[Bytes]) -> Result<Reply, Failure> {
        let head = [self.script_hash.clone(), b"0"[..].into(), b"run"[..].into(), self.member.clone()];
        let arguments = head.into_iter().chain(operation.iter().cloned()).map(Value::Bytes).collect();
        let reply = call(&self.client, "EVALSHA", arguments).await?;
        match decode(&reply, |fields| wire::decode_batch(fields, 1))? {
            BatchReply::Done { mut replies, .. } => replies.pop().ok_or_else(|| WireError.into()),
            BatchReply::NotAdmitted(reason) => Err(reason.as_ref().into()),
        }
    }
}

async fn call(client: &Client, command: &'static str, arguments: Vec<Value>) -> Result<Value, Failure> {
    let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
    Ok(client.custom(command, arguments).await?)
}

fn decode<T>(
    reply: &Value,
    decode: impl FnOnce(&mut dyn Iterator<Item = Field<'_>>) -> Result<T, WireError>,
) -> Result<T, WireError> {
    let Value::Array(values) = reply else {
        return Err(WireError);
    };
    decode(&mut values.iter().map(|value| match value {
        Value::Integer(number) => Field::Int(*number),
        Value::String(text) => Field::Text(text.as_bytes()),
        Value::Bytes(bytes) => Field::Text(bytes),
        _ => Field::Other,
    }))
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
