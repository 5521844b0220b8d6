//! What can be done to nodes, endpoints and the links between them, and when.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Delay, Set, text};

/// One fault, which may happen many times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) when: When,
}

/// What is done, and to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FaultKind {
    /// The node's process is stopped, as a garbage collector or a frozen virtual machine would.
    PauseNode { nodes: Set },
    /// The server's process is stopped: it takes connections and answers nothing.
    PauseEndpoint { endpoints: Set },
    /// The server's process is killed, and started again when the fault is over.
    KillEndpoint { endpoints: Set, data: Data },
    /// The server's data is deleted while it runs.
    Flush { endpoints: Set },
    /// The server's clock goes wrong.
    Clock { endpoints: Set, change: ClockChange },
    /// The links between nodes and endpoints suffer.
    Network { links: Links, effect: Effect },
}

/// What a killed server finds when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Data {
    /// What it had.
    Keep,
    /// Nothing.
    Discard,
}

/// What happens to a clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ClockChange {
    /// It runs at so many times its speed.
    Rate(f64),
    /// It steps by so much at once.
    JumpMs(i64),
}

/// The links between these nodes and these endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Links {
    pub(crate) nodes: Set,
    pub(crate) endpoints: Set,
    pub(crate) way: Way,
}

/// A direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    Both,
    /// What nodes ask.
    ToEndpoint,
    /// What endpoints answer.
    ToNode,
}

/// What a link suffers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// Nothing gets through, and no new connection. What was under way arrives when it is over, as TCP would have it.
    Partition,
    /// Everything takes longer.
    Latency(Delay),
    /// Connections that stand at the beginning are dead and do not know it; new ones work. They are reset at the end.
    HalfOpen,
    /// A share of the answers is lost after the request was carried out, and the connection with each of them.
    LoseReply { share: f64 },
    /// Connections are reset, and new ones too for as long as it lasts.
    Reset,
    /// So many bytes a second for each connection.
    Throttle { bytes_per_s: u64 },
    /// Connections stand still, and go on where they were; new ones are made, and stand still too.
    Stall,
}

/// When a fault happens. Times count from the start of the measured part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct When {
    /// The first time.
    pub(crate) start: Duration,
    /// How long it lasts; nothing for what lasts to the end of the measured part.
    pub(crate) length: Option<Duration>,
    /// From one time to the next; nothing for what happens once.
    pub(crate) every: Option<Duration>,
    /// How often at most; as often as there is time for if nothing is said.
    pub(crate) count: Option<u32>,
    /// Each time may come later by up to this, drawn from the seed.
    pub(crate) jitter: Duration,
    /// Whom it meets each time.
    pub(crate) pick: Pick,
}

/// Whom of its targets a fault meets each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pick {
    /// All of them at once.
    All,
    /// Each of them, each at a phase of its own.
    Spread,
    /// One after the other.
    Turn,
    /// One, drawn from the seed.
    Random,
}

impl FaultKind {
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
}

impl Effect {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Latency(_) => "latency",
            Self::HalfOpen => "half-open",
            Self::LoseReply { .. } => "lose-reply",
            Self::Reset => "reset",
            Self::Throttle { .. } => "throttle",
            Self::Stall => "stall",
        }
    }
}

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::ToEndpoint => "to-endpoint",
            Self::ToNode => "to-node",
        }
    }
}

impl fmt::Display for ClockChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "at {rate} times its speed"),
            Self::JumpMs(ms) => write!(f, "{ms:+} ms at once"),
        }
    }
}

impl fmt::Display for Effect {
    /// What there is to say beyond the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(delay) => write!(f, "{delay}"),
            Self::LoseReply { share } => write!(f, "{} % of answers", share * 100.0),
            Self::Throttle { bytes_per_s } => write!(f, "{bytes_per_s} bytes/s"),
            Self::Partition | Self::HalfOpen | Self::Reset | Self::Stall => Ok(()),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}", text::show(self.start))?;
        if let Some(length) = self.length {
            write!(f, " for {}", text::show(length))?;
        }
        if let Some(every) = self.every {
            write!(f, " every {}", text::show(every))?;
        }
        Ok(())
    }
}
