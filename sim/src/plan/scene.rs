//! A run that is told and not drawn: the load and the faults of a scenario. What it leaves to chance is drawn: clocks, how long
//! messages take, and who asks for what when.

use super::draw::{draw_host, draw_server};
use super::{Assumptions, Fault, NetworkPlan, Plan, Terms, Work};
use crate::random::{Dice, Stream};
use crate::time::At;

/// The most hosts that a scene can have: sets of them are bits of a word.
pub const SCENE_HOSTS_MAX: usize = 64;
/// The most tasks of one of its hosts.
pub const SCENE_TASKS_MAX: usize = 32;

/// What a scenario says of the load.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Each a process with a client, 64 at the most.
    pub hosts: usize,
    /// How many of each ask for leases at once, 32 at the most.
    pub tasks: usize,
    /// N.
    pub endpoints: usize,
    /// How many names there are to lock.
    pub names: usize,
    /// The TTL of every lease.
    pub ttl_ms: u32,
    /// The longest an answer may take.
    pub request_timeout_ms: u32,
    /// A task's mean rest between two leases.
    pub think_us: u64,
    /// How long a lease is held, on average.
    pub hold_us: u64,
    /// How long an acquisition may wait.
    pub wait_ms: u64,
    /// Requests for the first name, in a hundred.
    pub hot_percent: u32,
    /// For how long there is work.
    pub length: At,
}

impl Scene {
    /// The plan of a seed, with these faults.
    #[must_use]
    pub fn draw(&self, seed: u64, faults: Vec<Fault>) -> Plan {
        let mut dice = Dice::new(seed, Stream::Scene, 0);
        let delay_us_min = dice.spread(30, 400);
        let network = NetworkPlan {
            delay_us_min,
            delay_us_tail: dice.spread(10, delay_us_min),
            lose_request_ppm: 0,
            lose_reply_ppm: 0,
            duplicate_ppm: 0,
            stall_ppm: 0,
            break_ppm: 0,
            reconnect_ms: dice.spread(2, 100),
        };
        let beyond = faults.iter().any(|fault| fault.kind.is_beyond());
        let mut host = || {
            let mut host = draw_host(&mut dice, false);
            host.tasks = self.tasks.min(SCENE_TASKS_MAX);
            host
        };
        let hosts = (0..self.hosts.min(SCENE_HOSTS_MAX)).map(|_| host()).collect();
        let mut server = || {
            let mut server = draw_server(&mut dice);
            server.durable = false;
            server
        };
        Plan {
            seed,
            assumptions: if beyond { Assumptions::Broken } else { Assumptions::Kept },
            endpoints: self.endpoints,
            hosts,
            servers: (0..self.endpoints).map(|_| server()).collect(),
            names: self.names,
            length: self.length,
            fresh: true,
            terms: Terms {
                ttl_ms_low: self.ttl_ms,
                ttl_ms_high: self.ttl_ms,
                ttl_ms_max: 30_000,
                request_timeout_ms: self.request_timeout_ms,
            },
            work: Work {
                think_us: self.think_us,
                hold_us: self.hold_us,
                wait_ms: self.wait_ms,
                line: true,
                cancel_percent: 0,
                drop_percent: 0,
                validate_percent: 0,
                long_percent: 0,
                manual_percent: 0,
                on_work_percent: 0,
                bounded_percent: 0,
                hot_percent: self.hot_percent,
            },
            network,
            faults,
        }
    }
}
