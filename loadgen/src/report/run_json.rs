//! `run.json`: everything a run found, in one versioned value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::{Latency, Phase, Slack, Timeline};
use crate::referee::Safety;
use crate::shards::Shard;

/// The version of `run.json` that this program writes and reads.
pub(crate) const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// The command line, without paths and passwords.
    pub(crate) command: String,
    /// When the run began, as RFC 3339 in UTC.
    pub(crate) started: String,
    /// The scenario's name.
    pub(crate) scenario: String,
    /// The kind of lock.
    pub(crate) lock: String,
    /// How many nodes took part.
    pub(crate) nodes: u32,
    /// What every random choice was drawn from.
    pub(crate) seed: u64,
    /// What else identifies the workload.
    pub(crate) parameters: Parameters,
    /// Where and with what the run was made.
    pub(crate) environment: Environment,
    /// Whether the figures may be used.
    pub(crate) valid: bool,
    /// Why not, in sentences; empty for a valid run.
    pub(crate) invalid_because: Vec<String>,
    /// `false` when the run was interrupted before its end.
    pub(crate) complete: bool,
    /// Acquisitions due per second.
    pub(crate) offered_per_s: f64,
    /// Grants per second.
    pub(crate) achieved_per_s: f64,
    /// Acquisitions sent.
    pub(crate) attempted: u64,
    /// Acquisitions that won a lease.
    pub(crate) granted: u64,
    /// Acquisitions that did not, by reason.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Arrivals that came due while a fault held their node: outside the verdict on validity, inside the latencies.
    pub(crate) late_by_fault: u64,
    /// How long the phases took.
    pub(crate) latency_us: LatencyTable,
    /// How the nodes got on with each other.
    pub(crate) contention: Contention,
    /// How leases were kept alive.
    pub(crate) renewals: Renewals,
    /// What the referee found.
    pub(crate) safety: Safety,
    /// What the run cost.
    pub(crate) usage: Usage,
    /// Which part of a run this is; the figures are those of its nodes alone. Nothing for a whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shard: Option<Shard>,
    /// Out of which parts this run was put together; nothing if one machine made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) merged: Option<Merged>,
}

/// What a run that several machines shared was put together from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Merged {
    /// The endpoint on whose clock all times were put, without a password.
    pub(crate) clock: String,
    /// By how much the times of two machines may disagree after that.
    pub(crate) clocks_disagree_by_us: f64,
    /// From the first machine's start to the last one's, on that clock.
    pub(crate) starts_apart_us: f64,
    /// The parts, in their order.
    pub(crate) machines: Vec<Machine>,
}

/// One part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machine {
    pub(crate) shard: Shard,
    /// Acquisitions sent.
    pub(crate) attempted: u64,
    /// Those that won a lease.
    pub(crate) granted: u64,
    /// How far its calendar clock was behind the endpoint's when it began; negative if ahead. Nothing rests on it.
    pub(crate) calendar_behind_us: f64,
    /// By how much its times may be wrong on the endpoint's clock.
    pub(crate) clock_known_to_us: f64,
    /// Where and with what it was made.
    pub(crate) environment: Environment,
}

/// What identifies a workload beside scenario, nodes and seed. Two runs that differ here are not comparable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Acquisitions per second, over all nodes.
    pub(crate) rate_per_s: f64,
    /// Length of the measured part.
    pub(crate) duration_ms: u64,
    /// Load before the measured part.
    pub(crate) warm_up_ms: u64,
    /// Load after the measured part.
    pub(crate) cool_down_ms: u64,
    /// How many names there are.
    pub(crate) keys: u32,
    /// How names are picked, as on the command line: `zipf:1.0`, `uniform`, `hot:0.9`.
    pub(crate) skew: String,
    /// How arrivals are spread: `poisson`, `constant`.
    pub(crate) arrivals: String,
    /// How long a lease is held, in microseconds.
    pub(crate) hold_us: u64,
    /// How long an acquisition waits for a lock that is held.
    pub(crate) wait_ms: u64,
    /// The TTL of leases.
    pub(crate) ttl_ms: u64,
    /// How the rate goes over time: `constant`, or what ramp, step or spike it is.
    pub(crate) profile: String,
    /// How long a holder rests after a release before its next acquisition can be called.
    pub(crate) think_us: u64,
    /// What is done to nodes, servers and links, as planned.
    pub(crate) faults: Vec<PlannedFault>,
    /// Whether faults are acted out within this program, as they must be where endpoints are in memory.
    pub(crate) faults_simulated: bool,
}

/// A fault as it was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlannedFault {
    /// What is done, as scenario files call it: `pause-node`.
    pub(crate) fault: String,
    /// To whom, in words: `node 5`.
    pub(crate) target: String,
    /// What else there is to say; often empty.
    pub(crate) detail: String,
    /// When it begins, from the start of the measured part.
    pub(crate) at_ms: u64,
    /// How long it lasts.
    pub(crate) length_ms: u64,
}

/// Where and with what a run was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    /// The commit that this program was built from, if it was built in a git repository.
    pub(crate) commit: Option<String>,
    /// Whether its sources differed from that commit.
    pub(crate) dirty: Option<bool>,
    /// The compiler that built this program.
    pub(crate) compiler: String,
    /// Whether optimised code was measured: `release` or `debug`.
    pub(crate) profile: String,
    /// The processor's name, if the system tells.
    pub(crate) cpu: Option<String>,
    /// Processors this program may use.
    pub(crate) cores: u32,
    /// The system's kernel and its release.
    pub(crate) kernel: String,
    /// Whether what sent had a real-time priority; older runs do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) real_time: Option<bool>,
    /// The servers that voted; nothing when the endpoints were in memory.
    pub(crate) server: Option<Server>,
}

/// The servers of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// As the server says: `redis 7.0.15`.
    pub(crate) version: String,
    /// The settings that bear on the result.
    pub(crate) settings: BTreeMap<String, String>,
}

/// The phases' latencies, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LatencyTable {
    /// From due to sent.
    pub(crate) due_to_sent: Latency,
    /// From due to granted.
    pub(crate) acquire: Latency,
    /// One attempt.
    pub(crate) attempt: Latency,
    /// From granted to the call of release.
    pub(crate) hold: Latency,
    /// One renewal.
    pub(crate) renew: Latency,
    /// One release.
    pub(crate) release: Latency,
    /// From the deadline to the notice of the loss.
    pub(crate) loss_notice: Latency,
}

impl LatencyTable {
    pub(crate) fn of(timeline: &Timeline) -> Self {
        Self {
            due_to_sent: timeline.latency(Phase::DueToSent),
            acquire: timeline.latency(Phase::Acquire),
            attempt: timeline.latency(Phase::Attempt),
            hold: timeline.latency(Phase::Hold),
            renew: timeline.latency(Phase::Renew),
            release: timeline.latency(Phase::Release),
            loss_notice: timeline.latency(Phase::LossNotice),
        }
    }
}

/// How the nodes got on with each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contention {
    /// Attempts beyond the first, per grant; nothing without grants.
    pub(crate) retries_per_grant: Option<f64>,
    /// The most acquisitions that waited for one name at once.
    pub(crate) waiting_max: u64,
    /// Jain's index over the nodes' shares of what they asked for: 1 is fair; nothing when nobody asked.
    pub(crate) jain_fairness: Option<f64>,
    /// From the call of a release to the next grant of the name, where somebody was waiting.
    pub(crate) handoff_us: Latency,
}

/// How leases were kept alive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Renewals {
    /// Renewals tried.
    pub(crate) attempted: u64,
    /// Renewals that moved the deadline.
    pub(crate) succeeded: u64,
    /// The latter of the former; nothing when none was tried.
    pub(crate) success_rate: Option<f64>,
    /// What was left to the old deadline when a renewal was done.
    pub(crate) slack_us: Slack,
    /// Renewals that the limiter made wait; nothing where the lock does not tell.
    pub(crate) limited: Option<u64>,
    /// Leases that lived on by their shadow.
    pub(crate) shadow: u64,
}

/// What the run cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    /// Processor time of the nodes and the coordinator.
    pub(crate) client_cpu_s: f64,
    /// Processor time of the servers, where this program started them.
    pub(crate) server_cpu_s: Option<f64>,
    /// The most memory the nodes held, summed over their processes.
    pub(crate) client_rss_mib: f64,
}
