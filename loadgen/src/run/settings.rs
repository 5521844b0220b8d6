//! From the command line to a plan, or a sentence that says what is wrong.

use std::time::Duration;

use crate::cli::{PauseArgs, RunArgs, ServerArgs};
use crate::run::endpoints;
use crate::run::plan::{LockKind, NodePauses, Plan};

const TTL_MIN: Duration = Duration::from_millis(50);
const TTL_MAX: Duration = Duration::from_secs(30);
/// Nothing that is measured may take longer than a histogram reaches.
const HOLD_MAX: Duration = Duration::from_secs(30);
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Options that make no run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("--{option} is {value:?}; it must be {min:?} to {max:?}")]
    Range { option: &'static str, value: Duration, min: Duration, max: Duration },
    #[error("--pause-nodes is {pauses}, but there are {nodes} nodes; one at least must never be stopped")]
    PausedNodes { pauses: u32, nodes: u32 },
    #[error("--pause-for is {length:?}; it must be shorter than --pause-every, which is {every:?}")]
    PauseLength { length: Duration, every: Duration },
    #[error("the lock redlock needs real servers: leave --memory out, or take quorum or setnx")]
    RedlockInMemory,
    #[error(transparent)]
    Endpoints(#[from] endpoints::EndpointsError),
}

impl RunArgs {
    /// The plan, its endpoints yet to be filled in.
    pub(crate) fn plan(&self) -> Result<Plan, SettingsError> {
        let hour = Duration::from_secs(60 * 60);
        within("ttl", self.ttl, TTL_MIN, TTL_MAX)?;
        within("hold", self.hold, Duration::ZERO, HOLD_MAX)?;
        within("wait", self.wait, Duration::ZERO, HOLD_MAX)?;
        within("duration", self.duration, Duration::from_secs(1), DURATION_MAX)?;
        within("warm-up", self.warm_up, Duration::ZERO, hour)?;
        within("cool-down", self.cool_down, Duration::ZERO, hour)?;
        check_servers(self.lock, &self.servers)?;
        Ok(Plan {
            lock: self.lock,
            endpoints: Vec::new(),
            nodes: self.nodes,
            rate_per_s: self.rate,
            arrivals: self.arrivals,
            keys: self.keys,
            skew: self.skew,
            hold: self.hold,
            ttl: self.ttl,
            wait: self.wait,
            warm_up: self.warm_up,
            duration: self.duration,
            cool_down: self.cool_down,
            seed: self.seed,
            pauses: self.pauses.checked(self.nodes)?,
        })
    }
}

impl PauseArgs {
    fn checked(&self, nodes: u32) -> Result<Option<NodePauses>, SettingsError> {
        let (Some(pauses), Some(every), Some(length)) = (self.pause_nodes, self.pause_every, self.pause_for)
        else {
            return Ok(None);
        };
        if pauses >= nodes {
            return Err(SettingsError::PausedNodes { pauses, nodes });
        }
        let day = DURATION_MAX;
        within("pause-for", length, Duration::from_millis(1), day)?;
        within("pause-every", every, Duration::from_millis(2), day)?;
        if length >= every {
            return Err(SettingsError::PauseLength { length, every });
        }
        Ok(Some(NodePauses { nodes: pauses, every, length }))
    }
}

fn check_servers(lock: LockKind, servers: &ServerArgs) -> Result<(), SettingsError> {
    if servers.memory && lock == LockKind::Redlock {
        return Err(SettingsError::RedlockInMemory);
    }
    if servers.endpoints.is_empty() { Ok(()) } else { Ok(endpoints::check(&servers.endpoints)?) }
}

fn within(option: &'static str, value: Duration, min: Duration, max: Duration) -> Result<(), SettingsError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(SettingsError::Range { option, value, min, max }) }
}
