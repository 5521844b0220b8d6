//! What a run is to do, settled before anything starts; every worker gets the same plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::locks::control::Control;
use crate::scenario::{Action, Fault, FaultKind, Load, PlannedFault, Scenario, planned};
use crate::shards::Shard;

/// How many endpoints there are where the user does not say.
pub(crate) const ENDPOINTS: u32 = 3;

/// Which lock is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LockKind {
    /// leasehold's quorum leases
    Quorum,
    /// the naive way: SET NX PX on one server, fixed TTL, plain DEL, no renewal
    Setnx,
    /// one server with adaptive TTL, renewal at half of it, and a shadow key when a renewal finds the lock gone
    Lease,
    /// the peer crate rslock (Redlock)
    Redlock,
    /// PostgreSQL session advisory locks, on one server
    Postgres,
    /// etcd's lock recipe, over three members
    Etcd,
    /// no lock at all: shows that the referee finds what there is to find
    None,
    /// wrong on purpose, in one way
    #[value(skip)]
    Control(Control),
}

impl LockKind {
    /// Whether two holders at once, by their own word, are a bug of this lock.
    pub(crate) fn promises_exclusion(self) -> bool {
        matches!(self, Self::Quorum | Self::Redlock | Self::Etcd | Self::Control(_))
    }

    /// Whether the library answers for what the referee finds: it is no fault of ours if a peer breaks its promise.
    pub(crate) fn is_ours(self) -> bool {
        self == Self::Quorum
    }

    /// Whether its servers are Redis servers, or others that speak its protocol.
    pub(crate) fn speaks_redis(self) -> bool {
        !matches!(self, Self::Postgres | Self::Etcd)
    }

    /// Whether it can do without real servers.
    pub(crate) fn lives_in_memory(self) -> bool {
        matches!(self, Self::Quorum | Self::Setnx | Self::None)
    }

    /// The smallest number of endpoints without which the lock cannot be had.
    pub(crate) fn endpoints_needed(self, endpoints: usize) -> usize {
        match self {
            Self::Quorum | Self::Redlock | Self::Etcd | Self::Control(_) => endpoints / 2 + 1,
            Self::Setnx | Self::Lease | Self::Postgres => 1,
            Self::None => 0,
        }
    }
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorum => "quorum",
            Self::Setnx => "setnx",
            Self::Lease => "lease",
            Self::Redlock => "redlock",
            Self::Postgres => "postgres",
            Self::Etcd => "etcd",
            Self::None => "none",
            Self::Control(control) => return write!(f, "control-{}", control.name()),
        })
    }
}

/// Everything about a run that its workers need to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The scenario's name.
    pub(crate) scenario: String,
    pub(crate) lock: LockKind,
    /// URLs of the servers; empty when the endpoints live in memory.
    pub(crate) endpoints: Vec<String>,
    /// Which nodes go to the endpoints through the fault proxy; empty when nobody does.
    pub(crate) routes: Vec<Route>,
    pub(crate) load: Load,
    pub(crate) faults: Vec<Fault>,
    pub(crate) seed: u64,
    /// Which of the nodes are played here.
    pub(crate) shard: Shard,
}

/// Nodes that find the endpoints at other URLs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) nodes: Vec<u32>,
    pub(crate) endpoints: Vec<String>,
}

impl Plan {
    /// A scenario for a lock, all of it played here. Where the endpoints are is not known yet.
    pub(crate) fn of(scenario: Scenario, lock: LockKind, seed: u64) -> Self {
        let Scenario { name, load, faults, .. } = scenario;
        let (endpoints, routes) = (Vec::new(), Vec::new());
        Self { scenario: name, lock, endpoints, routes, load, faults, seed, shard: Shard::WHOLE }
    }

    /// Where a node finds the endpoints.
    pub(crate) fn endpoints_of(&self, node: u32) -> &[String] {
        let route = self.routes.iter().find(|route| route.nodes.contains(&node));
        route.map_or(&self.endpoints, |route| &route.endpoints)
    }

    /// The nodes that are played here.
    pub(crate) fn nodes(&self) -> Vec<u32> {
        self.shard.nodes(self.load.nodes)
    }

    /// Everything that is to happen here: of what happens to nodes and their links, what happens to ours.
    pub(crate) fn planned_faults(&self) -> Vec<PlannedFault> {
        let own = |mut fault: PlannedFault| match &mut fault.action {
            Action::PauseNode { node } => self.shard.owns(*node).then_some(fault),
            Action::Network { nodes, .. } => {
                nodes.retain(|&node| self.shard.owns(node));
                (!nodes.is_empty()).then_some(fault)
            }
            _ => Some(fault),
        };
        self.planned_for_all().into_iter().filter_map(own).collect()
    }

    /// Everything that is to happen to this run, on whichever machine.
    pub(crate) fn planned_for_all(&self) -> Vec<PlannedFault> {
        planned(&self.load, self.endpoint_count(), &self.faults, self.seed)
    }

    pub(crate) fn endpoint_count(&self) -> u32 {
        if self.endpoints.is_empty() {
            ENDPOINTS
        } else {
            u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX)
        }
    }

    /// The nodes that get stopped, each therefore a process (in memory: a thread) of its own.
    pub(crate) fn paused_nodes(&self) -> Vec<u32> {
        let mut nodes: Vec<u32> = self
            .faults
            .iter()
            .filter_map(|fault| match &fault.kind {
                FaultKind::PauseNode { nodes } => Some(nodes.members(self.load.nodes)),
                _ => None,
            })
            .flatten()
            .filter(|&node| self.shard.owns(node))
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}
