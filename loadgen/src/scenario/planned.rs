//! When each fault of a scenario happens, drawn from the seed before the run.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::fault::{ClockChange, Data, Effect, Fault, FaultKind, Pick, Way};
use super::set::in_words;
use super::{Load, generator};
use crate::clock::duration_ns;

/// Streams of the seed's generator below this belong to the load.
const STREAM_FIRST: u64 = 1_000;
/// The most that one fault comes to: a day of it each tenth of a second, for one target.
pub(crate) const PLANNED_MAX: usize = 1_000_000;

/// One time that a fault happens, in nanoseconds from the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedFault {
    pub(crate) action: Action,
    pub(crate) start_ns: u64,
    /// The start, for what only happens at one moment.
    pub(crate) end_ns: u64,
}

/// What is done, with its targets by number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    PauseNode { node: u32 },
    PauseEndpoint { endpoint: u32 },
    KillEndpoint { endpoint: u32, data: Data },
    Flush { endpoint: u32 },
    Clock { endpoint: u32, change: ClockChange },
    Network { nodes: Vec<u32>, endpoints: Vec<u32>, way: Way, effect: Effect },
}

impl Action {
    /// As scenario files call it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::PauseNode { .. } => "pause-node",
            Self::PauseEndpoint { .. } => "pause-endpoint",
            Self::KillEndpoint { .. } => "kill-endpoint",
            Self::Flush { .. } => "flush",
            Self::Clock { .. } => "clock",
            Self::Network { effect, .. } => effect.name(),
        }
    }

    /// To whom, in words.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::PauseNode { node } => format!("node {node}"),
            Self::PauseEndpoint { endpoint }
            | Self::KillEndpoint { endpoint, .. }
            | Self::Flush { endpoint }
            | Self::Clock { endpoint, .. } => format!("endpoint {endpoint}"),
            Self::Network { nodes, endpoints, way, .. } => {
                let arrow = match way {
                    Way::Both => "and",
                    Way::ToEndpoint => "to",
                    Way::ToNode => "from",
                };
                format!("{} {arrow} {}", in_words("node", nodes), in_words("endpoint", endpoints))
            }
        }
    }

    /// What else there is to say.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::PauseNode { .. } | Self::PauseEndpoint { .. } | Self::Flush { .. } => String::new(),
            Self::KillEndpoint { data: Data::Keep, .. } => "restarted with its data".to_owned(),
            Self::KillEndpoint { data: Data::Discard, .. } => "restarted without its data".to_owned(),
            Self::Clock { change, .. } => change.to_string(),
            Self::Network { effect, .. } => effect.to_string(),
        }
    }

    /// The nodes that it touches directly; nothing when it touches all.
    pub(crate) fn nodes(&self) -> Option<Vec<u32>> {
        match self {
            Self::PauseNode { node } => Some(vec![*node]),
            Self::Network { nodes, .. } => Some(nodes.clone()),
            _ => None,
        }
    }
}

/// Everything that is to happen, by start time. What repeats happens as often as it ends within the measured part, so
/// that what it leads to is measured as well; what happens once is cut off there.
pub(crate) fn planned(load: &Load, endpoints: u32, faults: &[Fault], seed: u64) -> Vec<PlannedFault> {
    let mut all: Vec<PlannedFault> = faults
        .iter()
        .zip(STREAM_FIRST..)
        .flat_map(|(fault, stream)| {
            Planning { load, endpoints, fault, generator: generator(seed, stream) }.plan()
        })
        .collect();
    all.sort_by_key(|planned| planned.start_ns);
    all
}

/// How many of the faults never happen, because they begin after the measured part or have no target.
pub(crate) fn dropped(load: &Load, endpoints: u32, faults: &[Fault], seed: u64) -> usize {
    let happens = |fault: &&Fault| !planned(load, endpoints, std::slice::from_ref(*fault), seed).is_empty();
    faults.len() - faults.iter().filter(happens).count()
}

struct Planning<'a> {
    load: &'a Load,
    endpoints: u32,
    fault: &'a Fault,
    generator: ChaCha8Rng,
}

impl Planning<'_> {
    fn plan(mut self) -> Vec<PlannedFault> {
        let targets = self.targets();
        if targets.is_empty() {
            return Vec::new();
        }
        let times_max = match self.fault.when.pick {
            Pick::All | Pick::Spread => PLANNED_MAX / targets.len(),
            Pick::Turn | Pick::Random => PLANNED_MAX,
        };
        let phases: Vec<(Vec<u32>, u64)> = match self.fault.when.pick {
            Pick::Spread => targets.iter().map(|&target| (vec![target], self.phase_ns())).collect(),
            Pick::All | Pick::Turn | Pick::Random => vec![(targets, 0)],
        };
        phases
            .into_iter()
            .flat_map(|(targets, phase_ns)| self.times(&targets, phase_ns, times_max as u64))
            .collect()
    }

    /// Nodes for a pause of nodes, endpoints for everything else.
    fn targets(&self) -> Vec<u32> {
        match &self.fault.kind {
            FaultKind::PauseNode { nodes } => nodes.members(self.load.nodes),
            FaultKind::PauseEndpoint { endpoints }
            | FaultKind::KillEndpoint { endpoints, .. }
            | FaultKind::Flush { endpoints }
            | FaultKind::Clock { endpoints, .. } => endpoints.members(self.endpoints),
            FaultKind::Network { links, .. } => links.endpoints.members(self.endpoints),
        }
    }

    fn phase_ns(&mut self) -> u64 {
        let every_ns = self.fault.when.every.map_or(1, duration_ns).max(1);
        self.generator.random_range(0..every_ns)
    }

    fn times(&mut self, targets: &[u32], phase_ns: u64, times_max: u64) -> Vec<PlannedFault> {
        let when = &self.fault.when;
        let (measured_ns, measured_end_ns) = self.load.measured_ns();
        let first_ns = measured_ns.saturating_add(duration_ns(when.start)).saturating_add(phase_ns);
        let every_ns = when.every.map_or(0, duration_ns).max(1);
        let repeats = when.every.is_some();
        let times = if repeats { when.count.map_or(times_max, u64::from).min(times_max) } else { 1 };
        let mut all = Vec::new();
        for time in 0..times {
            let jitter_ns = if when.jitter.is_zero() {
                0
            } else {
                self.generator.random_range(0..duration_ns(when.jitter))
            };
            let nominal_ns = first_ns.saturating_add(time.saturating_mul(every_ns));
            if nominal_ns >= measured_end_ns {
                break;
            }
            let start_ns = nominal_ns.saturating_add(jitter_ns);
            let end_ns =
                when.length.map_or(measured_end_ns, |length| start_ns.saturating_add(duration_ns(length)));
            let met = self.met(targets, time);
            if start_ns >= measured_end_ns || (repeats && end_ns >= measured_end_ns) {
                continue;
            }
            let end_ns = end_ns.min(measured_end_ns);
            all.extend(self.actions(met).into_iter().map(|action| PlannedFault { action, start_ns, end_ns }));
        }
        all
    }

    /// Whom of the targets it meets this time.
    fn met<'t>(&mut self, targets: &'t [u32], time: u64) -> &'t [u32] {
        let index = match self.fault.when.pick {
            Pick::All | Pick::Spread => return targets,
            Pick::Turn => usize::try_from(time).unwrap_or(usize::MAX) % targets.len(),
            Pick::Random => self.generator.random_range(0..targets.len()),
        };
        &targets[index..=index]
    }

    fn actions(&self, met: &[u32]) -> Vec<Action> {
        let each = |action: &dyn Fn(u32) -> Action| met.iter().map(|&target| action(target)).collect();
        match &self.fault.kind {
            FaultKind::PauseNode { .. } => each(&|node| Action::PauseNode { node }),
            FaultKind::PauseEndpoint { .. } => each(&|endpoint| Action::PauseEndpoint { endpoint }),
            &FaultKind::KillEndpoint { data, .. } => {
                each(&|endpoint| Action::KillEndpoint { endpoint, data })
            }
            FaultKind::Flush { .. } => each(&|endpoint| Action::Flush { endpoint }),
            &FaultKind::Clock { change, .. } => each(&|endpoint| Action::Clock { endpoint, change }),
            FaultKind::Network { links, effect } => vec![Action::Network {
                nodes: links.nodes.members(self.load.nodes),
                endpoints: met.to_vec(),
                way: links.way,
                effect: *effect,
            }],
        }
    }
}
