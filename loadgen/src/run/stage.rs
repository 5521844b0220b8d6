//! The servers of a run: started for it, running already, or in memory.

use leasehold::memory::MemoryEndpoints;
use leasehold_trio::{StartError, Trio};

use crate::cli::ServerArgs;
use crate::run::plan::LockKind;
use crate::run::usage;

/// How many endpoints there are where the user does not say.
const ENDPOINTS: usize = 3;

/// Where the locks live.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nowhere: no lock needs no server.
    Empty,
    /// Servers that end with this program.
    Spawned(Box<Trio>),
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
    /// A library's complaint.
    #[error("{0}")]
    Memory(String),
}

impl Stage {
    /// Gets the servers that the command line asks for.
    pub(crate) fn set(lock: LockKind, servers: &ServerArgs) -> Result<Self, StageError> {
        if servers.memory {
            let endpoints = MemoryEndpoints::new(ENDPOINTS);
            return endpoints.map(Self::Memory).map_err(|error| StageError::Memory(error.to_string()));
        }
        if !servers.endpoints.is_empty() {
            return Ok(Self::Given(servers.endpoints.clone()));
        }
        if lock == LockKind::None {
            return Ok(Self::Empty);
        }
        Ok(Self::Spawned(Box::new(Trio::start()?)))
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        match self {
            Self::Empty | Self::Memory(_) => Vec::new(),
            Self::Spawned(trio) => trio.urls().into(),
            Self::Given(urls) => urls.clone(),
        }
    }

    pub(crate) fn memory(&self) -> Option<&MemoryEndpoints> {
        if let Self::Memory(endpoints) = self { Some(endpoints) } else { None }
    }

    /// Processor time that the servers of this program have used so far.
    pub(crate) fn cpu_s(&self) -> Option<f64> {
        let Self::Spawned(trio) = self else { return None };
        trio.servers().iter().map(|server| usage::cpu_s(server.pid())).sum()
    }

    /// In a few words, for the head of a run.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Empty => "no servers".to_owned(),
            Self::Spawned(trio) => {
                let [first, ..] = trio.servers();
                format!("three of {}, started for this run", first.program())
            }
            Self::Given(urls) => {
                let shown: Vec<_> = urls.iter().map(|url| super::endpoints::without_password(url)).collect();
                shown.join(", ")
            }
            Self::Memory(endpoints) => format!("{} endpoints in memory", endpoints.len()),
        }
    }
}
