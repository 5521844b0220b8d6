//! Endpoints that are real servers. The one room that knows fred, and what its defaults would do to a lock.
//!
//! `connect`: how a connection is made and kept. `tls`, `credentials`: how it is encrypted and authenticated. `reply`: what
//! fred hands back, sorted by what it proves. `wakes`: the second connection, on which waiters are
//! woken.

mod connect;
mod credentials;
pub(crate) mod fuzzing;
mod reply;
mod tls;
mod wakes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytes::buf::Buf as _;
use fred::prelude::{Builder, Client, ClientLike as _, Error, EventInterface as _, Options, Value};
use fred::types::config::TlsConfig;
use fred::types::{ClusterHash, CustomCommand};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use self::connect::{connection_config, follow, performance_config, reconnect_policy, server_config};
use self::credentials::Login;
use self::reply::{call_error, decode};
use crate::config::{Address, Config, Place};
use crate::endpoint::{Admission, CallError, Connection, Endpoint, Records, Wake};
use crate::error::ConfigError;
use crate::protocol::ClientId;
use crate::protocol::operation::Operation;
use crate::protocol::wire::{self, AdmitReply, Arguments, BatchReply};
use crate::scripts::Settings;

/// How many keys a scan for locks looks at in one call, and how many calls it may take.
const SCAN_COUNT: u32 = 10_000;
const SCAN_CALLS_MAX: u32 = 10_000;

/// Connects to the endpoints of one client.
pub(crate) struct Connector<'a> {
    config: &'a Config,
    tls: Option<TlsConfig>,
}

/// A real server, over one connection that reconnects for ever.
pub(crate) struct RedisEndpoint {
    label: String,
    client: Client,
    script: Bytes,
    script_hash: Bytes,
    member_key: Bytes,
    quarantine_key: Bytes,
    lock_pattern: Bytes,
    settings: Settings,
    connection: watch::Receiver<Connection>,
    login: Option<Login>,
    /// Keeps the credentials fresh, as long as the endpoint is used.
    _refresh: Option<AbortOnDropHandle<()>>,
}

impl<'a> Connector<'a> {
    /// Reads roots, certificates and keys, if they are needed.
    pub(crate) fn new(config: &'a Config) -> Result<Self, ConfigError> {
        let encrypted = |address: &Address| matches!(address.place, Place::Tcp { tls: true, .. });
        let needed = config.tls.is_some() || config.addresses.iter().any(encrypted);
        let tls = needed.then(|| tls::connector(&config.tls.clone().unwrap_or_default())).transpose()?;
        Ok(Self { config, tls })
    }

    /// Starts to connect; does not wait for it. Must be called on a runtime.
    pub(crate) fn connect(&self, address: &Address) -> Result<RedisEndpoint, ConfigError> {
        let Config { limits, settings, credentials, .. } = self.config;
        let label = address.label();
        let login = credentials.as_ref().map(|source| Login {
            endpoint: label.clone(),
            source: source.clone(),
            timeout: Duration::from_millis(limits.connect_timeout_ms.into()),
        });
        let mut builder = Builder::from_config(server_config(address, self.tls.as_ref(), login.clone()));
        builder
            .set_connection_config(connection_config(limits))
            .set_performance_config(performance_config(limits))
            .set_policy(reconnect_policy());
        let wrong = |error: Error| ConfigError::Url { endpoint: label.clone(), reason: error.to_string() };
        let client = builder.build().map_err(wrong)?;
        let script = settings.script();
        let (connection, connection_rx) = watch::channel(Connection::Connecting);
        // Subscribed before connecting, so that no event is missed. fred's own state is no guide to liveness: it says
        // Connected until the first reconnect attempt begins.
        tokio::spawn(follow(client.error_rx(), client.reconnect_rx(), connection));
        drop(client.connect());
        let refresh = login.clone().and_then(|login| {
            let every = login.source.refresh?;
            let keep_fresh = login.keep_fresh(every, client.clone(), connection_rx.clone());
            Some(AbortOnDropHandle::new(tokio::spawn(keep_fresh)))
        });
        Ok(RedisEndpoint {
            label,
            script_hash: Bytes::from(fred::util::sha1_hash(&script)),
            script: Bytes::from(script),
            member_key: Bytes::from(settings.member_key()),
            quarantine_key: Bytes::from(settings.quarantine_key()),
            lock_pattern: Bytes::from(format!("{}:lock:*", settings.namespace)),
            settings: settings.clone(),
            connection: connection_rx,
            login,
            _refresh: refresh,
            client,
        })
    }
}

impl RedisEndpoint {
    async fn call(
        &self,
        command: &'static str,
        arguments: Vec<Value>,
        timeout_ms: u32,
    ) -> Result<Value, CallError> {
        let options = Options {
            // Never written twice: a lock command that is replayed after a reconnect takes a lock nobody waits for.
            max_attempts: Some(1),
            timeout: Some(Duration::from_millis(timeout_ms.into())),
            ..Options::default()
        };
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        self.client
            .with_options(&options)
            .custom(command, arguments)
            .await
            .map_err(|error| call_error(&error))
    }

    /// The first lock that a scan comes across.
    async fn any_lock(&self, timeout_ms: u32) -> Result<Option<String>, CallError> {
        let mut cursor = Value::from("0");
        for _ in 0..SCAN_CALLS_MAX {
            let arguments = vec![
                cursor,
                Value::from("MATCH"),
                Value::Bytes(self.lock_pattern.clone()),
                Value::from("COUNT"),
                Value::from(SCAN_COUNT),
            ];
            let reply = self.call("SCAN", arguments, timeout_ms).await?;
            let Ok([next, keys]) = <[Value; 2]>::try_from(reply.into_array()) else {
                return Err(CallError::Unknown("the reply to SCAN is not one".into()));
            };
            if let Some(key) = keys.into_array().into_iter().next().and_then(Value::into_string) {
                return Ok(Some(key));
            }
            if next.as_str().as_deref() == Some("0") {
                return Ok(None);
            }
            cursor = next;
        }
        Err(CallError::Refused("too many keys to look through for locks".into()))
    }
}

impl Endpoint for RedisEndpoint {
    fn label(&self) -> &str {
        &self.label
    }

    fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    fn run<'a>(
        &'a self,
        member: &'a str,
        operations: &'a [Operation],
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<BatchReply, CallError>> {
        async move {
            let (bytes, ends) = Arguments::encode(operations).into_parts();
            let mut rest = Bytes::from(bytes);
            let mut arguments = Vec::with_capacity(ends.len() + 4);
            arguments.push(Value::Bytes(self.script_hash.clone()));
            arguments.push(Value::Bytes(Bytes::from_static(b"0")));
            arguments.push(Value::Bytes(Bytes::from_static(b"run")));
            arguments.push(Value::Bytes(Bytes::copy_from_slice(member.as_bytes())));
            let mut start = 0;
            for end in ends {
                arguments.push(Value::Bytes(rest.split_to(end - start)));
                start = end;
            }
            debug_assert!(!rest.has_remaining(), "every argument ends where the next begins");
            let reply = self.call("EVALSHA", arguments, timeout_ms).await?;
            decode(&reply, |fields| wire::decode_batch(fields, operations.len()))
        }
        .boxed()
    }

    fn admit<'a>(
        &'a self,
        admission: Admission,
        set: &'a str,
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<AdmitReply, CallError>> {
        async move {
            let mode: &[u8] = match admission {
                Admission::Member => b"admit",
                Admission::Distrust => b"distrust",
                Admission::Fresh => b"fresh",
                Admission::Reconfigure => b"reconfigure",
                Admission::Durable => b"durable",
            };
            let arguments = vec![
                Value::Bytes(self.script.clone()),
                Value::Bytes(Bytes::from_static(b"0")),
                Value::Bytes(Bytes::from_static(mode)),
                Value::Bytes(Bytes::copy_from_slice(set.as_bytes())),
            ];
            let reply = self.call("EVAL", arguments, timeout_ms).await?;
            decode(&reply, |fields| wire::decode_admit(fields))
        }
        .boxed()
    }

    fn reconnect(&self) {
        let client = self.client.clone();
        tokio::spawn(async move {
            if let Err(error) = client.force_reconnection().await {
                tracing::debug!(%error, "making a new connection");
            }
        });
    }

    fn listen(&self, client: ClientId) -> mpsc::Receiver<Wake> {
        wakes::listen(&self.label, &self.client, self.settings.wake_channel(client))
    }

    fn records(&self, timeout_ms: u32) -> BoxFuture<'_, Result<Records, CallError>> {
        async move {
            let get = async |key: &Bytes| -> Result<Option<String>, CallError> {
                let found = self.call("GET", vec![Value::Bytes(key.clone())], timeout_ms).await?;
                Ok(found.into_string())
            };
            let (member, quarantine) = (get(&self.member_key).await?, get(&self.quarantine_key).await?);
            Ok(Records { member, quarantine, lock: self.any_lock(timeout_ms).await? })
        }
        .boxed()
    }

    fn setting<'a>(
        &'a self,
        name: &'a str,
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<Option<String>, CallError>> {
        async move {
            let reply = self.call("CONFIG", vec![Value::from("GET"), Value::from(name)], timeout_ms).await?;
            Ok(reply.into_array().into_iter().nth(1).and_then(Value::into_string))
        }
        .boxed()
    }

    fn reauthenticate(&self) -> BoxFuture<'_, Result<(), Arc<str>>> {
        async move {
            let stands = matches!(&*self.connection.borrow(), Connection::Up { .. });
            match &self.login {
                Some(login) if stands => login.renew(&self.client).await,
                // The next connection asks by itself.
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

impl Drop for RedisEndpoint {
    fn drop(&mut self) {
        // Ends fred's tasks for this connection. Outside a runtime they have ended with theirs.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let client = self.client.clone();
            runtime.spawn(async move {
                if let Err(error) = client.quit().await {
                    tracing::debug!(%error, "closing a connection");
                }
            });
        }
    }
}
