//! From the command line to a plan, or a sentence that says what is wrong.

use std::time::Duration;

use crate::cli::{LoadArgs, PauseArgs, ServerArgs};
use crate::run::endpoints;
use crate::run::plan::{ENDPOINTS, LockKind, Plan};
use crate::scenario::{Fault, FaultKind, Load, Pick, Scenario, ScenarioError, Set, When, dropped, find};
use crate::shards::Shard;

const TTL_MIN: Duration = Duration::from_millis(50);
const TTL_MAX: Duration = Duration::from_secs(30);
/// Nothing that is measured may take longer than a histogram reaches.
const HOLD_MAX: Duration = Duration::from_secs(30);
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Each is a process of its own.
const PAUSED_NODES_MAX: usize = 64;

/// Options that make no run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("{option} is {value:?}; it must be {min:?} to {max:?}")]
    Range { option: &'static str, value: Duration, min: Duration, max: Duration },
    #[error(
        "{pauses} nodes of {nodes} are to be stopped now and then; one at least must never be, and at most {PAUSED_NODES_MAX} can be"
    )]
    PausedNodes { pauses: usize, nodes: u32 },
    #[error("--pause-for is {length:?}; it must be shorter than --pause-every, which is {every:?}")]
    PauseLength { length: Duration, every: Duration },
    #[error("the lock {lock} needs real servers: leave --memory out, or take quorum or setnx")]
    NotInMemory { lock: LockKind },
    #[error("the fault {fault} needs real servers: leave --memory out; in memory, nodes can be paused")]
    FaultInMemory { fault: &'static str },
    #[error(
        "the fault {fault} needs servers that this program started itself: leave --endpoints out; a run that several machines share cannot have it"
    )]
    FaultOnGiven { fault: &'static str },
    #[error(
        "the fault clock needs servers whose clock can be set, which this program cannot start yet; `loadgen simulate --scenario` plays it in virtual time"
    )]
    Clock,
    #[error(
        "the clocks of machines are compared by those of Redis servers, which the lock {lock} has none of: leave --shard out"
    )]
    NotShared { lock: LockKind },
    #[error("{of} shards need as many nodes at least, and there are {nodes}")]
    TooManyShards { of: u32, nodes: u32 },
    #[error(transparent)]
    Endpoints(#[from] endpoints::EndpointsError),
}

/// A plan without its endpoints: the scenario that the command line names, and what the command line changes in it.
pub(crate) fn plan(
    load: &LoadArgs,
    pauses: &PauseArgs,
    servers: &ServerArgs,
    lock: LockKind,
    seed: u64,
) -> Result<Plan, SettingsError> {
    let mut plan = Plan::of(load.scenario()?, lock, seed);
    plan.load = load.over(plan.load);
    if let Some(fault) = pauses.fault()? {
        plan.faults.push(fault);
        if plan.scenario == "calm" {
            "pauses".clone_into(&mut plan.scenario);
        }
    }
    check(&plan, servers)?;
    Ok(plan)
}

/// Leaves of a plan what one machine of several plays.
pub(crate) fn share(plan: &mut Plan, shard: Shard) -> Result<(), SettingsError> {
    let nodes = plan.load.nodes;
    if shard.of > nodes {
        return Err(SettingsError::TooManyShards { of: shard.of, nodes });
    }
    if !plan.lock.speaks_redis() && plan.lock != LockKind::None {
        return Err(SettingsError::NotShared { lock: plan.lock });
    }
    plan.shard = shard;
    Ok(())
}

/// Whether these servers can play this plan.
pub(crate) fn check(plan: &Plan, servers: &ServerArgs) -> Result<(), SettingsError> {
    check_load(&plan.load)?;
    let (pauses, nodes) = (plan.paused_nodes().len(), plan.load.nodes);
    if pauses > 0 && (pauses >= nodes as usize || pauses > PAUSED_NODES_MAX) {
        return Err(SettingsError::PausedNodes { pauses, nodes });
    }
    check_faults(plan, servers)?;
    if servers.memory && !plan.lock.lives_in_memory() {
        return Err(SettingsError::NotInMemory { lock: plan.lock });
    }
    let endpoints = u32::try_from(servers.endpoints.len()).unwrap_or(u32::MAX);
    let endpoints = if endpoints == 0 { ENDPOINTS } else { endpoints };
    let dropped = dropped(&plan.load, endpoints, &plan.faults, plan.seed);
    if dropped > 0 {
        eprintln!(
            "warning: {dropped} of the scenario's faults never happen: the run is too short, or has no such target"
        );
    }
    match (servers.endpoints.as_slice(), plan.lock) {
        ([], _) => Ok(()),
        (given, LockKind::Postgres) => Ok(endpoints::check_postgres(given)?),
        (given, LockKind::Etcd) => Ok(endpoints::check_etcd(given)?),
        (given, _) => Ok(endpoints::check(given)?),
    }
}

pub(crate) fn check_load(load: &Load) -> Result<(), SettingsError> {
    let hour = Duration::from_secs(60 * 60);
    within("ttl", load.ttl, TTL_MIN, TTL_MAX)?;
    within("hold", load.hold, Duration::ZERO, HOLD_MAX)?;
    within("wait", load.wait, Duration::ZERO, HOLD_MAX)?;
    within("think", load.think, Duration::ZERO, HOLD_MAX)?;
    within("duration", load.duration, Duration::from_secs(1), DURATION_MAX)?;
    within("warm-up", load.warm_up, Duration::ZERO, hour)?;
    within("cool-down", load.cool_down, Duration::ZERO, hour)
}

fn check_faults(plan: &Plan, servers: &ServerArgs) -> Result<(), SettingsError> {
    for Fault { kind, .. } in &plan.faults {
        let fault = kind.name();
        match kind {
            FaultKind::PauseNode { .. } => {}
            FaultKind::Clock { .. } => return Err(SettingsError::Clock),
            _ if servers.memory => return Err(SettingsError::FaultInMemory { fault }),
            FaultKind::Network { .. } => {}
            _ if !servers.endpoints.is_empty() => return Err(SettingsError::FaultOnGiven { fault }),
            _ => {}
        }
    }
    Ok(())
}

impl LoadArgs {
    pub(crate) fn scenario(&self) -> Result<Scenario, ScenarioError> {
        find(self.scenario.as_deref().unwrap_or("calm"))
    }

    /// What the command line says goes before what the scenario says.
    fn over(&self, usual: Load) -> Load {
        Load {
            nodes: self.nodes.unwrap_or(usual.nodes),
            rate_per_s: self.rate.unwrap_or(usual.rate_per_s),
            profile: self.profile.unwrap_or(usual.profile),
            arrivals: self.arrivals.unwrap_or(usual.arrivals),
            keys: self.keys.unwrap_or(usual.keys),
            skew: self.skew.unwrap_or(usual.skew),
            hold: self.hold.unwrap_or(usual.hold),
            ttl: self.ttl.unwrap_or(usual.ttl),
            wait: self.wait.unwrap_or(usual.wait),
            think: self.think.unwrap_or(usual.think),
            warm_up: self.warm_up.unwrap_or(usual.warm_up),
            duration: self.duration.unwrap_or(usual.duration),
            cool_down: self.cool_down.unwrap_or(usual.cool_down),
        }
    }
}

impl PauseArgs {
    fn fault(&self) -> Result<Option<Fault>, SettingsError> {
        let (Some(pauses), Some(every), Some(length)) = (self.pause_nodes, self.pause_every, self.pause_for)
        else {
            return Ok(None);
        };
        let day = DURATION_MAX;
        within("pause-for", length, Duration::from_millis(1), day)?;
        within("pause-every", every, Duration::from_millis(2), day)?;
        if length >= every {
            return Err(SettingsError::PauseLength { length, every });
        }
        let when = When {
            start: Duration::ZERO,
            length: Some(length),
            every: Some(every),
            count: None,
            jitter: Duration::ZERO,
            pick: Pick::Spread,
        };
        let nodes = Set::These((0..pauses).collect());
        Ok(Some(Fault { kind: FaultKind::PauseNode { nodes }, when }))
    }
}

fn within(option: &'static str, value: Duration, min: Duration, max: Duration) -> Result<(), SettingsError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(SettingsError::Range { option, value, min, max }) }
}
