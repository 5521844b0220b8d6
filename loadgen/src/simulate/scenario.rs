//! A scenario in virtual time: the same file that runs on real servers, as a plan for the simulator. What it says of load and
//! faults stays; what it leaves to chance comes from the seed. What has no counterpart there is refused, by file, line and key.

use std::time::Duration;

use leasehold_sim::plan::{
    self as sim, Direction, Extra, Fault, FaultKind, Plan, SCENE_HOSTS_MAX, SCENE_TASKS_MAX, Scene,
};
use leasehold_sim::time::At;

use crate::clock::duration_ns;
use crate::locks::quorum::REQUEST_TIMEOUT;
use crate::scenario::{
    self, Action, Arrivals, ClockChange, Data, Delay, Effect, Place, PlannedFault, Profile, Scenario,
    ScenarioError, Skew, Way, planned,
};

/// As on real servers.
const ENDPOINTS: u32 = 3;

/// A scenario that the simulator can play.
pub(super) struct Staged {
    scenario: Scenario,
    scene: Scene,
}

impl Staged {
    pub(super) fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        check_load(&scenario)?;
        for (place, fault) in scenario.faults.iter().enumerate() {
            check_fault(&scenario, place, &fault.kind)?;
        }
        let scene = scene(&scenario.load);
        Ok(Self { scenario, scene })
    }

    /// The plan of a seed.
    pub(super) fn draw(&self, seed: u64) -> Plan {
        let Scenario { load, faults, .. } = &self.scenario;
        let planned = planned(load, ENDPOINTS, faults, seed);
        self.scene.draw(seed, planned.iter().flat_map(staged).collect())
    }
}

fn check_load(scenario: &Scenario) -> Result<(), ScenarioError> {
    let load = &scenario.load;
    let refuse = |key, because: &str| Err(scenario.refuse(Place::Load, key, because));
    if load.nodes as usize > SCENE_HOSTS_MAX {
        return refuse("nodes", "the simulator plays at most 64 nodes; say fewer");
    }
    if load.profile != Profile::Constant {
        return refuse("profile", "the simulator's load is constant; leave it out, or use `loadgen run`");
    }
    if load.arrivals != Arrivals::Poisson {
        return refuse("arrivals", "the simulator draws arrivals; leave it out, or use `loadgen run`");
    }
    if matches!(load.skew, Skew::Zipf(_)) {
        return refuse("skew", "the simulator knows \"uniform\" and \"hot:SHARE\"; say one of these");
    }
    Ok(())
}

fn check_fault(scenario: &Scenario, place: usize, kind: &scenario::FaultKind) -> Result<(), ScenarioError> {
    let scenario::FaultKind::Network { effect, .. } = kind else {
        return Ok(());
    };
    let (key, because) = match effect {
        Effect::Throttle { .. } => {
            ("kind", "the simulator's messages have no size; leave this fault out, or use `loadgen run`")
        }
        Effect::LoseReply { share } if *share < 1.0 => (
            "share",
            "the simulator loses all answers or none while a fault lasts; say 1, or use `loadgen run`",
        ),
        _ => return Ok(()),
    };
    Err(scenario.refuse(Place::Fault(place), key, because))
}

/// The load of a run in which each task asks, holds, gives back and rests: as many tasks as the rate needs, each resting so
/// long that together they come to it where nothing is in their way.
fn scene(load: &scenario::Load) -> Scene {
    let us = |time| duration_ns(time) / 1_000;
    // From one acquisition of a node to its next.
    let apart_us = us(Duration::from_secs_f64(f64::from(load.nodes) / load.rate_per_s)).max(1);
    let hold_us = us(load.hold).max(1);
    let (tasks, think_us) = if load.think.is_zero() {
        let tasks = (hold_us * 2 / apart_us + 2).min(SCENE_TASKS_MAX as u64);
        (tasks, (tasks * apart_us).saturating_sub(hold_us).max(1_000))
    } else {
        (1, us(load.think))
    };
    let ttl_ms = u32::try_from(load.ttl.as_millis()).unwrap_or(u32::MAX);
    let timeout_ms = u32::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    Scene {
        hosts: load.nodes as usize,
        tasks: usize::try_from(tasks).unwrap_or(SCENE_TASKS_MAX),
        endpoints: ENDPOINTS as usize,
        names: load.keys as usize,
        ttl_ms,
        request_timeout_ms: timeout_ms.min(ttl_ms * 2 / 5),
        think_us,
        hold_us,
        wait_ms: us(load.wait) / 1_000,
        hot_percent: match load.skew {
            Skew::Hot(share) => {
                (0..100).find(|percent| f64::from(*percent) + 0.5 > share * 100.0).unwrap_or(100)
            }
            Skew::Uniform | Skew::Zipf(_) => 0,
        },
        length: At(load.length_ns()),
    }
}

/// What the simulator does for one time that a fault happens.
fn staged(planned: &PlannedFault) -> Vec<Fault> {
    let (from, until) = (At(planned.start_ns), At(planned.end_ns));
    let kinds = match &planned.action {
        Action::PauseNode { node } => vec![FaultKind::PauseHost { host: *node as usize }],
        Action::PauseEndpoint { endpoint } => vec![FaultKind::HangServer { endpoint: *endpoint as usize }],
        Action::KillEndpoint { endpoint, data } => {
            let data = match data {
                Data::Keep => sim::Data::Kept,
                Data::Discard => sim::Data::Lost,
            };
            vec![FaultKind::CrashServer { endpoint: *endpoint as usize, data }]
        }
        Action::Flush { endpoint } => vec![FaultKind::Flush { endpoint: *endpoint as usize }],
        Action::Clock { endpoint, change } => vec![clock(*endpoint as usize, *change)],
        Action::Network { nodes, endpoints, way, effect } => {
            let links = Links { nodes, endpoints, direction: direction(*way) };
            links.suffer(*effect, from < until)
        }
    };
    let fault = |kind| {
        // A connection breaks at one moment.
        let at_once = matches!(kind, FaultKind::Break { .. });
        Fault { kind, from, until: if at_once { from } else { until } }
    };
    kinds.into_iter().map(fault).collect()
}

fn clock(endpoint: usize, change: ClockChange) -> FaultKind {
    match change {
        ClockChange::Rate(rate) => {
            let millionths = Duration::from_secs_f64(rate).as_micros();
            let rate_ppm = i64::try_from(millionths).unwrap_or(i64::MAX).saturating_sub(1_000_000);
            FaultKind::RunOff { endpoint, rate_ppm }
        }
        ClockChange::JumpMs(ms @ 0..) => FaultKind::StepForward { endpoint, ms: ms.unsigned_abs() },
        ClockChange::JumpMs(ms) => FaultKind::StepBack { endpoint, ms: ms.unsigned_abs() },
    }
}

const fn direction(way: Way) -> Direction {
    match way {
        Way::Both => Direction::Both,
        Way::ToEndpoint => Direction::Requests,
        Way::ToNode => Direction::Replies,
    }
}

/// The links of these nodes to these endpoints.
struct Links<'a> {
    nodes: &'a [u32],
    endpoints: &'a [u32],
    direction: Direction,
}

impl Links<'_> {
    fn suffer(&self, effect: Effect, lasts: bool) -> Vec<FaultKind> {
        let Self { direction, .. } = *self;
        match effect {
            // What was under way arrives when it is over, as TCP would have it.
            Effect::Partition => vec![self.partition(direction, false)],
            Effect::LoseReply { .. } => vec![self.partition(Direction::Replies, true)],
            Effect::Latency(delay) => {
                let us = |time| duration_ns(time) / 1_000;
                let extra = match delay {
                    Delay::Constant(time) => Extra::Constant { us: us(time) },
                    Delay::Uniform(least, most) => Extra::Uniform { us_min: us(least), us_max: us(most) },
                    Delay::Exponential(mean) => Extra::Exponential { us_mean: us(mean) },
                };
                let hosts = bits(self.nodes);
                let slow =
                    |&endpoint| FaultKind::Slow { hosts, endpoint: endpoint as usize, direction, extra };
                self.endpoints.iter().map(slow).collect()
            }
            // Dead and not known to be; new ones work.
            Effect::HalfOpen => self.each(|host, endpoint| FaultKind::Break { host, endpoint, silent: true }),
            Effect::Reset => {
                let mut kinds =
                    self.each(|host, endpoint| FaultKind::Break { host, endpoint, silent: false });
                // New ones are reset too for as long as it lasts.
                kinds.extend(lasts.then(|| self.partition(Direction::Both, true)));
                kinds
            }
            Effect::Stall => {
                let mut kinds = Vec::new();
                if direction != Direction::Replies {
                    kinds = self.each(|host, endpoint| FaultKind::Stall { host, endpoint });
                }
                if direction != Direction::Requests {
                    kinds.push(self.partition(Direction::Replies, false));
                }
                kinds
            }
            // Refused before.
            Effect::Throttle { .. } => Vec::new(),
        }
    }

    fn partition(&self, direction: Direction, lose: bool) -> FaultKind {
        let endpoints = u32::try_from(bits(self.endpoints)).unwrap_or(u32::MAX);
        FaultKind::Partition { hosts: bits(self.nodes), endpoints, direction, lose }
    }

    fn each(&self, kind: impl Fn(usize, usize) -> FaultKind) -> Vec<FaultKind> {
        let hosts = self.nodes.iter();
        hosts
            .flat_map(|&host| self.endpoints.iter().map(move |&endpoint| (host as usize, endpoint as usize)))
            .map(|(host, endpoint)| kind(host, endpoint))
            .collect()
    }
}

/// A set as bits; there are 64 nodes at the most.
fn bits(members: &[u32]) -> u64 {
    members.iter().fold(0, |set, &member| set | 1_u64.checked_shl(member).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use leasehold_sim::swarm::Swarm;

    use super::*;
    use crate::scenario::{READY, find};

    fn refused(text: &str) -> String {
        let scenario = Scenario::parse("test", "test.toml", text).unwrap();
        Staged::new(scenario).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_has_no_counterpart_is_refused_by_file_line_and_key() {
        for (text, line, part) in [
            ("[load]\nkeys = 3\nskew = \"zipf:1.0\"\n", 3, "\"skew\" in [load]: the simulator knows"),
            ("[load]\nprofile = \"ramp:50\"\n", 2, "\"profile\""),
            ("[load]\nnodes = 65\n", 2, "at most 64 nodes"),
            ("[[fault]]\nkind = \"throttle\"\nlength = \"1s\"\nbytes_per_s = 10\n", 2, "no size"),
            (
                "[[fault]]\nkind = \"stall\"\nlength = \"1s\"\n[[fault]]\nkind = \"lose-reply\"\nlength = \"1s\"\nshare = 0.5\n",
                7,
                "\"share\" in a fault of kind lose-reply",
            ),
        ] {
            let error = refused(text);
            assert!(error.starts_with(&format!("test.toml:{line}: ")), "{text:?}: {error}");
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn every_scenario_that_ships_breaks_nothing_in_virtual_time() {
        for ready in READY.iter().filter(|ready| ready.name != "chaos") {
            let mut scenario = ready.scenario().unwrap();
            // A tenth of the load: it is the faults that a test can play in its time.
            scenario.load.rate_per_s /= 10.0;
            let staged = Staged::new(scenario).unwrap_or_else(|error| panic!("{error}"));
            let report = Swarm {
                first: 1,
                seeds: 2,
                time: None,
                threads: 2,
                draw: &|seed| staged.draw(seed),
                sabotage: None,
                until_found: false,
            }
            .play();
            assert_eq!(report.failed, 0, "{}: {:#?}", ready.name, report.failures);
            assert!(report.counts.grants > 50, "{} plays nothing: {:?}", ready.name, report.counts);
            let faults = staged.scenario.faults.len();
            assert!(faults == 0 || report.counts.exposed_any > 0, "{}: {:?}", ready.name, report.counts);
        }
    }

    #[test]
    fn chaos_is_refused_for_the_answers_that_it_loses_in_part() {
        let error = Staged::new(find("chaos").unwrap()).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("chaos.toml:") && error.contains("lose-reply")));
    }
}
