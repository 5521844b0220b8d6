//! How long a lease's lock outlives its holder.

use std::time::Duration;

use crate::protocol::validity::adaptive_ttl_ms;
use crate::rtt::RoundTimes;

/// A TTL in milliseconds, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// Always this.
    Fixed { ms: u32 },
    /// What measured rounds call for.
    Adaptive {
        /// While there are too few samples.
        base_ms: u32,
        min_ms: u32,
        max_ms: u32,
    },
}

impl Ttl {
    /// The TTL of a round that begins now.
    pub(crate) fn ms(self, rounds: &RoundTimes) -> u32 {
        match self {
            Self::Fixed { ms } => ms,
            Self::Adaptive { base_ms, min_ms, max_ms } => {
                rounds.p99_ns().map_or(base_ms, |p99_ns| adaptive_ttl_ms(p99_ns, min_ms, max_ms))
            }
        }
    }

    /// The longest it may be, for an error message.
    pub(crate) fn duration(self, rounds: &RoundTimes) -> Duration {
        Duration::from_millis(self.ms(rounds).into())
    }
}
