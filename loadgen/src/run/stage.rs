//! The servers of a run: started for it, running already, or in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use leasehold::memory::MemoryEndpoints;
use leasehold_trio::{Data as Kept, StartError, Trio};

use crate::cli::ServerArgs;
use crate::locked;
use crate::proxy::host_and_port;
use crate::run::etcd::{EtcdError, EtcdServers};
use crate::run::plan::{ENDPOINTS, LockKind};
use crate::run::postgres::{PostgresError, PostgresServer};
use crate::run::usage;
use crate::scenario::Data;

/// Where the locks live.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nowhere: no lock needs no server.
    Empty,
    /// Servers that end with this program.
    Spawned(Arc<Mutex<Trio>>),
    /// A PostgreSQL server that ends with this program.
    Postgres(Arc<Mutex<PostgresServer>>),
    /// Members of etcd that end with this program.
    Etcd(Arc<EtcdServers>),
    /// Servers of somebody else, by URL.
    Given(Vec<String>),
    /// In this program's memory.
    Memory(MemoryEndpoints),
}

/// Why there are no servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// They could not be started.
    #[error("{0}\n  --memory needs no server; --endpoints takes servers that run already")]
    Spawn(#[from] StartError),
    /// PostgreSQL could not be started.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// etcd could not be started.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// A library's complaint.
    #[error("{0}")]
    Memory(String),
}

impl Stage {
    /// Gets the servers that the command line asks for.
    pub(crate) fn set(lock: LockKind, servers: &ServerArgs) -> Result<Self, StageError> {
        if servers.memory {
            let endpoints = MemoryEndpoints::new(ENDPOINTS as usize);
            return endpoints.map(Self::Memory).map_err(|error| StageError::Memory(error.to_string()));
        }
        if !servers.endpoints.is_empty() {
            return Ok(Self::Given(servers.endpoints.clone()));
        }
        match lock {
            LockKind::None => return Ok(Self::Empty),
            LockKind::Etcd => return Ok(Self::Etcd(Arc::new(EtcdServers::start()?))),
            LockKind::Postgres => {
                return Ok(Self::Postgres(Arc::new(Mutex::new(PostgresServer::start()?))));
            }
            _ => {}
        }
        Ok(Self::Spawned(Arc::new(Mutex::new(Trio::start()?))))
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        match self {
            Self::Empty | Self::Memory(_) => Vec::new(),
            Self::Spawned(trio) => locked(trio).urls().into(),
            Self::Postgres(server) => vec![locked(server).url()],
            Self::Etcd(servers) => servers.urls(),
            Self::Given(urls) => urls.clone(),
        }
    }

    /// `host:port` of each server.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let port = |url: &str| match url.split(':').next() {
            Some("http") => 2379,
            Some("redis") => 6379,
            _ => 5432,
        };
        self.urls().iter().map(|url| host_and_port(url, port(url))).collect()
    }

    pub(crate) fn memory(&self) -> Option<&MemoryEndpoints> {
        if let Self::Memory(endpoints) = self { Some(endpoints) } else { None }
    }

    /// Stops a server where it stands.
    pub(crate) fn pause(&self, endpoint: u32) -> io::Result<()> {
        if let Self::Postgres(server) = self {
            return locked(server).pause();
        }
        if let Self::Etcd(servers) = self {
            return servers.pause(endpoint);
        }
        let trio = self.own()?;
        let trio = locked(trio);
        let server = trio.servers().get(endpoint as usize).ok_or_else(no_such_endpoint)?;
        server.pause().map_err(io::Error::other)
    }

    /// Lets it run on.
    pub(crate) fn resume(&self, endpoint: u32) -> io::Result<()> {
        if let Self::Postgres(server) = self {
            return locked(server).resume();
        }
        if let Self::Etcd(servers) = self {
            return servers.resume(endpoint);
        }
        let trio = self.own()?;
        let trio = locked(trio);
        let server = trio.servers().get(endpoint as usize).ok_or_else(no_such_endpoint)?;
        server.resume().map_err(io::Error::other)
    }

    /// Ends a server's process.
    pub(crate) fn kill(&self, endpoint: u32) -> io::Result<()> {
        if let Self::Postgres(server) = self {
            return locked(server).kill();
        }
        if let Self::Etcd(servers) = self {
            return servers.kill(endpoint);
        }
        if endpoint >= ENDPOINTS {
            return Err(no_such_endpoint());
        }
        locked(self.own()?).server(endpoint as usize).kill().map_err(io::Error::other)
    }

    /// Starts it again, and returns when it answers.
    pub(crate) async fn restart(&self, endpoint: u32, data: Data) -> io::Result<()> {
        if let Self::Postgres(server) = self {
            let server = Arc::clone(server);
            let starting = tokio::task::spawn_blocking(move || locked(&server).restart());
            return starting.await?.map_err(io::Error::other);
        }
        if let Self::Etcd(servers) = self {
            let servers = Arc::clone(servers);
            let starting = tokio::task::spawn_blocking(move || servers.restart(endpoint, data));
            return starting.await?.map_err(io::Error::other);
        }
        let trio = Arc::clone(self.own()?);
        let data = match data {
            Data::Keep => Kept::Keep,
            Data::Discard => Kept::Discard,
        };
        // Starting takes tens of milliseconds, in which the referee must not stand still.
        let starting =
            tokio::task::spawn_blocking(move || locked(&trio).server(endpoint as usize).restart(data));
        starting.await?.map_err(io::Error::other)
    }

    /// Deletes a server's data.
    pub(crate) async fn flush(&self, endpoint: u32) -> io::Result<()> {
        let trio = Arc::clone(self.own()?);
        let flushing = tokio::task::spawn_blocking(move || {
            let trio = locked(&trio);
            let server = trio.servers().get(endpoint as usize).ok_or_else(no_such_endpoint)?;
            server.command(&["FLUSHALL"]).map(drop).map_err(io::Error::other)
        });
        flushing.await?
    }

    /// Processor time that the servers of this program have used so far.
    pub(crate) fn cpu_s(&self) -> Option<f64> {
        if let Self::Etcd(servers) = self {
            return servers.pids().map(usage::cpu_s).sum();
        }
        let Self::Spawned(trio) = self else { return None };
        locked(trio).servers().iter().map(|server| usage::cpu_s(server.pid())).sum()
    }

    /// How servers were started, where that bears on what a run shows and they do not tell themselves.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        if let Self::Etcd(servers) = self { servers.settings() } else { BTreeMap::new() }
    }

    /// In a few words, for the head of a run.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Empty => "no servers".to_owned(),
            Self::Spawned(trio) => {
                let trio = locked(trio);
                let [first, ..] = trio.servers();
                format!("three of {}, started for this run", first.program())
            }
            Self::Postgres(_) => "PostgreSQL, started for this run".to_owned(),
            Self::Etcd(servers) => format!("three of {}, started for this run", servers.describe()),
            Self::Given(urls) => {
                let shown: Vec<_> = urls.iter().map(|url| super::endpoints::without_password(url)).collect();
                shown.join(", ")
            }
            Self::Memory(endpoints) => format!("{} endpoints in memory", endpoints.len()),
        }
    }

    fn own(&self) -> io::Result<&Arc<Mutex<Trio>>> {
        match self {
            Self::Spawned(trio) => Ok(trio),
            _ => Err(io::Error::other("the servers are not this program's own")),
        }
    }
}

pub(super) fn no_such_endpoint() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "there is no such endpoint")
}
