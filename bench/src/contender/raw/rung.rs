//! The way from a bare round trip to a lock's call, a step at a time.

use std::sync::Arc;

use bytes::Bytes;

use super::{Driver, Raw, Server};
use crate::contender::{Contender, Failure, TTL};

/// What is sent to each server in place of a lock's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// `PING`.
    Ping,
    /// `SET ... NX PX`, and `DEL`.
    Set,
    /// A script that does nothing.
    EmptyScript,
    /// This project's script without an operation: is this still the server that was admitted?
    NoOperation,
}

impl Rung {
    /// From the bottom.
    pub const ALL: [Self; 4] = [Self::Ping, Self::Set, Self::EmptyScript, Self::NoOperation];

    /// Its name in a table.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ping => "PING",
            Self::Set => "SET NX PX, DEL",
            Self::EmptyScript => "a script that does nothing",
            Self::NoOperation => "the script without an operation",
        }
    }
}

/// One rung, as a lock: asked of three servers, done with the second answer.
#[derive(Debug)]
pub struct Step<D>(Arc<Raw<D>>, Rung);

impl<D: Driver> Step<D> {
    /// Over these connections.
    ///
    /// # Errors
    /// When a server refuses a script.
    pub async fn new(raw: &Arc<Raw<D>>, rung: Rung) -> Result<Self, Failure> {
        if rung == Rung::EmptyScript {
            for server in &raw.servers {
                server.driver.call("SCRIPT", vec![b"LOAD"[..].into(), EMPTY_SCRIPT.into()]).await?;
            }
        }
        Ok(Self(Arc::clone(raw), rung))
    }

    async fn call(
        &self,
        command: &'static str,
        arguments: impl Fn(&Server<D>) -> Vec<Bytes>,
    ) -> Result<(), Failure> {
        let ask = |server| {
            let arguments = arguments(server);
            async move { server.driver.call(command, arguments).await.map(drop) }
        };
        self.0.majority(ask, |()| true).await
    }

    async fn script(&self) -> Result<(), Failure> {
        match self.1 {
            Rung::NoOperation => self.call("EVALSHA", |server| server.head().to_vec()).await,
            _ => {
                let hash = Bytes::from(::fred::util::sha1_hash(EMPTY_SCRIPT));
                self.call("EVALSHA", |_| vec![hash.clone(), b"0"[..].into()]).await
            }
        }
    }
}

const EMPTY_SCRIPT: &str = "return 1";

impl<D: Driver> Contender for Step<D> {
    type Held = Bytes;

    async fn acquire(&self, name: &str) -> Result<Bytes, Failure> {
        let key = Bytes::copy_from_slice(name.as_bytes());
        match self.1 {
            Rung::Ping => self.call("PING", |_| Vec::new()).await?,
            Rung::Set => {
                let ttl = Bytes::from(TTL.as_millis().to_string());
                let options = [b"held"[..].into(), b"NX"[..].into(), b"PX"[..].into(), ttl];
                self.call("SET", |_| [key.clone()].into_iter().chain(options.clone()).collect()).await?;
            }
            Rung::EmptyScript | Rung::NoOperation => self.script().await?,
        }
        Ok(key)
    }

    async fn release(&self, key: Bytes) -> Result<(), Failure> {
        match self.1 {
            Rung::Ping => self.call("PING", |_| Vec::new()).await,
            Rung::Set => self.call("DEL", |_| vec![key.clone()]).await,
            Rung::EmptyScript | Rung::NoOperation => self.script().await,
        }
    }
}
