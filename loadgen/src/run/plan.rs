//! What a run is to do, settled before anything starts; every worker gets the same plan.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::duration_ns;

/// Which lock is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LockKind {
    /// leasehold's quorum leases
    Quorum,
    /// the naive way: SET NX PX on one server, fixed TTL, plain DEL, no renewal
    Setnx,
    /// the peer crate rslock (Redlock)
    Redlock,
    /// no lock at all: shows that the referee finds what there is to find
    None,
}

impl LockKind {
    /// Whether two holders at once, by their own word, are a bug of this lock.
    pub(crate) fn promises_exclusion(self) -> bool {
        matches!(self, Self::Quorum | Self::Redlock)
    }

    /// The smallest number of endpoints without which the lock cannot be had.
    pub(crate) fn endpoints_needed(self, endpoints: usize) -> usize {
        match self {
            Self::Quorum | Self::Redlock => endpoints / 2 + 1,
            Self::Setnx => 1,
            Self::None => 0,
        }
    }
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorum => "quorum",
            Self::Setnx => "setnx",
            Self::Redlock => "redlock",
            Self::None => "none",
        })
    }
}

/// The law of the times between arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arrivals {
    /// independent arrivals, as from many unrelated callers
    Poisson,
    /// evenly spaced
    Constant,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisson => "poisson",
            Self::Constant => "constant",
        })
    }
}

/// How popular the keys are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Skew {
    /// All alike.
    Uniform,
    /// The k-th key with weight k to the power of -s.
    Zipf(f64),
    /// The first key with this share of all arrivals, the others alike.
    Hot(f64),
}

/// A skew that is none of `uniform`, `zipf:S` and `hot:SHARE`.
#[derive(Debug, thiserror::Error)]
#[error("expected uniform, zipf:S with S from 0 to 10, or hot:SHARE with SHARE from 0 to 1")]
pub(crate) struct SkewError;

impl FromStr for Skew {
    type Err = SkewError;

    fn from_str(text: &str) -> Result<Self, SkewError> {
        let number = |digits: &str, max: f64| {
            let value = digits.parse::<f64>().map_err(|_| SkewError)?;
            if (0.0..=max).contains(&value) { Ok(value) } else { Err(SkewError) }
        };
        match text.split_once(':') {
            None if text == "uniform" => Ok(Self::Uniform),
            Some(("zipf", exponent)) => Ok(Self::Zipf(number(exponent, 10.0)?)),
            Some(("hot", share)) => Ok(Self::Hot(number(share, 1.0)?)),
            _ => Err(SkewError),
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Self::Hot(share) => write!(f, "hot:{share}"),
        }
    }
}

/// Pauses of whole nodes, as a garbage collector or a frozen virtual machine would cause them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodePauses {
    /// How many nodes are ever paused: the first ones.
    pub(crate) nodes: u32,
    /// From the start of one pause of a node to the start of its next.
    pub(crate) every: Duration,
    /// How long each lasts.
    pub(crate) length: Duration,
}

/// Everything about a run that its workers need to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) lock: LockKind,
    /// URLs of the servers; empty when the endpoints live in memory.
    pub(crate) endpoints: Vec<String>,
    pub(crate) nodes: u32,
    pub(crate) rate_per_s: f64,
    pub(crate) arrivals: Arrivals,
    pub(crate) keys: u32,
    pub(crate) skew: Skew,
    pub(crate) hold: Duration,
    pub(crate) ttl: Duration,
    /// How long an acquisition may wait for a lock that is held.
    pub(crate) wait: Duration,
    /// Load before the figures begin, so that connections and caches are warm.
    pub(crate) warm_up: Duration,
    /// The time that the figures are about.
    pub(crate) duration: Duration,
    /// Load after the figures end, so that the last ones measured meet the same company as the first.
    pub(crate) cool_down: Duration,
    pub(crate) seed: u64,
    pub(crate) pauses: Option<NodePauses>,
}

impl Plan {
    /// From the first arrival to the last, in nanoseconds.
    pub(crate) fn length_ns(&self) -> u64 {
        self.measured_ns().1.saturating_add(duration_ns(self.cool_down))
    }

    /// Start and end of the part that the figures are about, from the start of the run.
    pub(crate) fn measured_ns(&self) -> (u64, u64) {
        let start = duration_ns(self.warm_up);
        (start, start.saturating_add(duration_ns(self.duration)))
    }

    /// Whether an arrival due at `due_ns` after the start belongs to the figures.
    pub(crate) fn measures(&self, due_ns: u64) -> bool {
        let (start, end) = self.measured_ns();
        (start..end).contains(&due_ns)
    }

    /// How many nodes get paused, each therefore a process (in memory: a thread) of its own.
    pub(crate) fn paused_nodes(&self) -> u32 {
        self.pauses.map_or(0, |pauses| pauses.nodes.min(self.nodes))
    }
}
