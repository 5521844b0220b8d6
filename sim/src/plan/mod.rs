//! What one seed fixes before its run: sizes, terms, work, network, and a list of faults that a shrinker can take from.

mod bias;
mod draw;
mod fault;
mod print;
mod scene;

pub use bias::Bias;
pub use fault::{Data, Direction, Extra, Fault, FaultKind, KINDS};
pub(crate) use fault::{MESSAGE, QUARANTINE};
pub use scene::{SCENE_HOSTS_MAX, SCENE_TASKS_MAX, Scene};

use crate::time::At;

/// Everything about a run that is not drawn while it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What all chance comes from.
    pub seed: u64,
    /// Whether the run stays within what exclusion assumes. Beyond it only fencing must hold.
    pub assumptions: Assumptions,
    /// N.
    pub endpoints: usize,
    /// Each a process with a client of its own.
    pub hosts: Vec<HostPlan>,
    /// The endpoints' servers.
    pub servers: Vec<ServerPlan>,
    /// How many names there are to lock.
    pub names: usize,
    /// For how long there is work and there are faults. After it comes a calm, and a last look.
    pub length: At,
    /// Whether an operator declared the set brand-new. If not, it begins in quarantine.
    pub fresh: bool,
    /// On what terms leases are asked for.
    pub terms: Terms,
    /// What holders do.
    pub work: Work,
    /// How messages travel when nothing in particular is wrong.
    pub network: NetworkPlan,
    /// What goes wrong when.
    pub faults: Vec<Fault>,
}

/// Whether exclusion may be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assumptions {
    /// Clocks run within 1 % of each other, none of a server steps forward, none of a host stands still.
    Kept,
    /// Not so. Tokens must hold all the same.
    Broken,
}

/// One process with a client.
#[derive(Clone, Copy, Debug)]
pub struct HostPlan {
    /// How many ask for leases at once.
    pub tasks: usize,
    /// How much faster its clock runs, in millionths.
    pub rate_ppm: i64,
    /// How far its wall clock is off. Nothing but proposals for tokens comes from it.
    pub wall_offset_us: i64,
    /// How coarse that clock is: the coarser, the more proposals are alike.
    pub wall_grain_us: u64,
}

/// One server.
#[derive(Clone, Copy, Debug)]
pub struct ServerPlan {
    /// How much faster its clock runs, in millionths.
    pub rate_ppm: i64,
    /// How far its clock is off.
    pub offset_us: i64,
    /// Whether it flushes every write and an operator has said so: a restart with its data costs no quarantine.
    pub durable: bool,
}

/// On what terms leases are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Each round's TTL is drawn between these two, as if the adaptive TTL moved; equal if it is fixed.
    pub ttl_ms_low: u32,
    /// See `ttl_ms_low`.
    pub ttl_ms_high: u32,
    /// The longest the set allows: what a shadow may last.
    pub ttl_ms_max: u32,
    /// The longest an answer may take.
    pub request_timeout_ms: u32,
}

/// What holders do, as means and as parts of a hundred.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Between two leases.
    pub think_us: u64,
    /// Under a lease.
    pub hold_us: u64,
    /// How long to wait for one.
    pub wait_ms: u64,
    /// Whether those who wait stand in line and are woken; if not, they poll.
    pub line: bool,
    /// Futures dropped before they were ready.
    pub cancel_percent: u32,
    /// Leases dropped, not released.
    pub drop_percent: u32,
    /// Leases looked at a second time before they are used.
    pub validate_percent: u32,
    /// Leases held for several TTLs.
    pub long_percent: u32,
    /// Leases that are not renewed by themselves.
    pub manual_percent: u32,
    /// Leases renewed only on progress.
    pub on_work_percent: u32,
    /// Leases with a longest time to hold.
    pub bounded_percent: u32,
    /// Requests for the first name; the others are spread evenly.
    pub hot_percent: u32,
}

/// How messages travel. Times are one way.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPlan {
    /// At least.
    pub delay_us_min: u64,
    /// And so much more on average, mostly less, now and then several times as much.
    pub delay_us_tail: u64,
    /// Requests that never arrive, in a million.
    pub lose_request_ppm: u32,
    /// Replies that never arrive, in a million: the request was carried out.
    pub lose_reply_ppm: u32,
    /// Requests that are carried out a second time, later, in a million.
    pub duplicate_ppm: u32,
    /// Connections that stall with a command inside, which is carried out later, in a million requests.
    pub stall_ppm: u32,
    /// Connections that break, in a million requests.
    pub break_ppm: u32,
    /// How long it takes to connect again.
    pub reconnect_ms: u64,
}

impl NetworkPlan {
    /// The longest that a message takes when nothing in particular is wrong.
    #[must_use]
    pub const fn delay_us_max(&self) -> u64 {
        self.delay_us_min + 6 * self.delay_us_tail
    }

    /// Nothing is lost, doubled or stalled.
    #[must_use]
    pub const fn without_noise(mut self) -> Self {
        self.lose_request_ppm = 0;
        self.lose_reply_ppm = 0;
        self.duplicate_ppm = 0;
        self.stall_ppm = 0;
        self.break_ppm = 0;
        self
    }
}

impl Plan {
    /// Ends the work, and all faults, at this moment. Faults that would begin later are left out.
    pub fn end_at(&mut self, length: At) {
        self.length = length;
        self.faults.retain(|fault| fault.from < length);
        for fault in &mut self.faults {
            fault.until = fault.until.min(length);
        }
    }

    /// Leaves out the last host, and the faults that are only about it.
    pub fn drop_last_host(&mut self) {
        self.hosts.pop();
        let (hosts, endpoints) = (self.hosts.len(), self.endpoints);
        self.faults.retain(|fault| fault.kind.fits(hosts, endpoints));
    }
}
