//! What can go wrong, and when.

use std::fmt;

use crate::time::At;

/// Something goes wrong for a while, or at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// When it begins.
    pub from: At,
    /// When it is over.
    pub until: At,
}

/// What goes wrong. Hosts and endpoints are places in the plan, sets of them bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are what their names say, times in the unit that ends them")]
pub enum FaultKind {
    /// The process stands still while its clock goes on: a garbage collector, SIGSTOP, a suspended machine.
    PauseHost { host: usize },
    /// The process dies, and another begins when it is over.
    CrashHost { host: usize },
    /// The server stands still; what arrives meanwhile is carried out when it is over.
    HangServer { endpoint: usize },
    /// The server dies and starts again when it is over, with this of its data.
    CrashServer { endpoint: usize, data: Data },
    /// All its data is deleted under the running server.
    Flush { endpoint: usize },
    /// A replica that is so far behind takes over the address. Within one process, the data set is replaced under it, and the
    /// connections stay.
    Failover { endpoint: usize, lag_ms: u64, within: bool },
    /// Messages between these do not arrive; they are lost, or wait until it is over.
    Partition { hosts: u64, endpoints: u32, direction: Direction, lose: bool },
    /// Messages between these hosts and an endpoint take so much longer.
    Slow { hosts: u64, endpoint: usize, direction: Direction, extra: Extra },
    /// A connection stalls with what is inside, which is carried out when it is over.
    Stall { host: usize, endpoint: usize },
    /// A connection breaks, with or without word of it.
    Break { host: usize, endpoint: usize, silent: bool },
    /// A server's clock steps back.
    StepBack { endpoint: usize, ms: u64 },
    /// A wall clock of a host steps.
    StepWall { host: usize, ms: i64 },
    /// Beyond the assumptions: a server's clock steps forward.
    StepForward { endpoint: usize, ms: u64 },
    /// Beyond the assumptions: a server's clock runs too fast or too slow.
    RunOff { endpoint: usize, rate_ppm: i64 },
    /// Beyond the assumptions: a host's machine stands still, and its clock with it.
    Freeze { host: usize },
}

/// What a server still has when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are what their names say, times in the unit that ends them")]
pub enum Data {
    /// Everything.
    Kept,
    /// Nothing.
    Lost,
    /// Everything but what was written in the last second.
    LastSecondLost,
    /// What it had so long ago.
    Older { ms: u64 },
}

/// How much longer a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are what their names say, times in the unit that begins them")]
pub enum Extra {
    /// So much.
    Constant { us: u64 },
    /// Anything between these.
    Uniform { us_min: u64, us_max: u64 },
    /// So much on average, mostly less, and six times that at the most.
    Exponential { us_mean: u64 },
}

impl Extra {
    /// What it is at the most, in microseconds.
    #[must_use]
    pub const fn us_max(self) -> u64 {
        match self {
            Self::Constant { us } => us,
            Self::Uniform { us_max, .. } => us_max,
            Self::Exponential { us_mean } => us_mean * 6,
        }
    }
}

/// Which messages it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests and replies.
    Both,
    /// Requests.
    Requests,
    /// Replies: what was asked is carried out.
    Replies,
}

/// The kinds by name, for counts; messages lost on the way come last.
pub const KINDS: [&str; 20] = [
    "pause-host",
    "crash-host",
    "hang-server",
    "crash-server-data-kept",
    "crash-server-data-lost",
    "crash-server-second-lost",
    "crash-server-older-data",
    "flush",
    "failover",
    "partition",
    "slow",
    "stall",
    "break",
    "step-back",
    "step-wall",
    "step-forward",
    "run-off",
    "freeze",
    "quarantine",
    "message-lost",
];

/// Place of quarantines in [`KINDS`]: a consequence rather than a fault.
pub(crate) const QUARANTINE: usize = 18;
/// Place of lost, doubled and stalled messages in [`KINDS`].
pub(crate) const MESSAGE: usize = 19;

impl FaultKind {
    /// Its place in [`KINDS`].
    #[must_use]
    pub const fn index(&self) -> usize {
        match self {
            Self::PauseHost { .. } => 0,
            Self::CrashHost { .. } => 1,
            Self::HangServer { .. } => 2,
            Self::CrashServer { data: Data::Kept, .. } => 3,
            Self::CrashServer { data: Data::Lost, .. } => 4,
            Self::CrashServer { data: Data::LastSecondLost, .. } => 5,
            Self::CrashServer { data: Data::Older { .. }, .. } => 6,
            Self::Flush { .. } => 7,
            Self::Failover { .. } => 8,
            Self::Partition { .. } => 9,
            Self::Slow { .. } => 10,
            Self::Stall { .. } => 11,
            Self::Break { .. } => 12,
            Self::StepBack { .. } => 13,
            Self::StepWall { .. } => 14,
            Self::StepForward { .. } => 15,
            Self::RunOff { .. } => 16,
            Self::Freeze { .. } => 17,
        }
    }

    /// Whether exclusion assumes that it does not happen.
    #[must_use]
    pub const fn is_beyond(&self) -> bool {
        matches!(self, Self::StepForward { .. } | Self::RunOff { .. } | Self::Freeze { .. })
    }

    /// Whether it touches this host.
    #[must_use]
    pub const fn touches_host(&self, place: usize) -> bool {
        match *self {
            Self::PauseHost { host }
            | Self::CrashHost { host }
            | Self::Stall { host, .. }
            | Self::Break { host, .. }
            | Self::StepWall { host, .. }
            | Self::Freeze { host } => host == place,
            Self::Partition { hosts, .. } | Self::Slow { hosts, .. } => hosts & (1 << place) != 0,
            _ => true,
        }
    }

    /// The host or endpoint that the plan must have for it.
    #[must_use]
    pub const fn fits(&self, hosts_len: usize, endpoints_len: usize) -> bool {
        match *self {
            Self::PauseHost { host }
            | Self::CrashHost { host }
            | Self::StepWall { host, .. }
            | Self::Freeze { host } => host < hosts_len,
            Self::Stall { host, endpoint } | Self::Break { host, endpoint, .. } => {
                host < hosts_len && endpoint < endpoints_len
            }
            Self::HangServer { endpoint }
            | Self::CrashServer { endpoint, .. }
            | Self::Flush { endpoint }
            | Self::Failover { endpoint, .. }
            | Self::Slow { endpoint, .. }
            | Self::StepBack { endpoint, .. }
            | Self::StepForward { endpoint, .. }
            | Self::RunOff { endpoint, .. } => endpoint < endpoints_len,
            Self::Partition { .. } => true,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS[self.index()];
        match self {
            Self::PauseHost { host } | Self::CrashHost { host } | Self::Freeze { host } => {
                write!(f, "{name} host={host}")
            }
            Self::HangServer { endpoint } | Self::Flush { endpoint } => {
                write!(f, "{name} endpoint={endpoint}")
            }
            Self::CrashServer { endpoint, data: Data::Older { ms } } => {
                write!(f, "{name} endpoint={endpoint} older_ms={ms}")
            }
            Self::CrashServer { endpoint, .. } => write!(f, "{name} endpoint={endpoint}"),
            Self::Failover { endpoint, lag_ms, within } => {
                write!(f, "{name} endpoint={endpoint} lag_ms={lag_ms} within_one_process={within}")
            }
            Self::Partition { hosts, endpoints, direction, lose } => {
                write!(f, "{name} hosts={hosts:b} endpoints={endpoints:b} {direction:?} lose={lose}")
            }
            Self::Slow { hosts, endpoint, direction, extra } => {
                write!(f, "{name} hosts={hosts:b} endpoint={endpoint} {direction:?} {extra:?}")
            }
            Self::Stall { host, endpoint } => write!(f, "{name} host={host} endpoint={endpoint}"),
            Self::Break { host, endpoint, silent } => {
                write!(f, "{name} host={host} endpoint={endpoint} silent={silent}")
            }
            Self::StepBack { endpoint, ms } | Self::StepForward { endpoint, ms } => {
                write!(f, "{name} endpoint={endpoint} ms={ms}")
            }
            Self::StepWall { host, ms } => write!(f, "{name} host={host} ms={ms}"),
            Self::RunOff { endpoint, rate_ppm } => {
                write!(f, "{name} endpoint={endpoint} rate_ppm={rate_ppm}")
            }
        }
    }
}
