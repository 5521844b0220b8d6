//! What a client knows of its endpoints.

use std::fmt;
use std::time::Duration;

use crate::protocol::Moment;
use crate::protocol::gate::Standing;

/// One endpoint as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Host and port, or the path of a socket.
    pub label: String,
    /// Whether it votes.
    pub state: EndpointState,
}

/// Whether an endpoint votes, as of its last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointState {
    /// It has not been heard of yet.
    Connecting,
    /// It votes.
    Ready,
    /// It answers, but gives no votes yet: it has no record of an earlier admission, so it may have forgotten votes.
    Quarantined {
        /// For how long.
        left: Duration,
    },
    /// It does not answer.
    Unreachable {
        /// What was seen last.
        reason: String,
    },
    /// It must not be asked.
    Refused {
        /// Why, and what to change.
        reason: String,
    },
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("no answer yet"),
            Self::Ready => f.write_str("ready"),
            Self::Quarantined { left } => write!(
                f,
                "in quarantine for {:.1} s, because it has no record of an earlier admission and may have forgotten votes",
                left.as_secs_f64()
            ),
            Self::Unreachable { reason } => write!(f, "unreachable: {reason}"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}

impl Standing {
    /// The same with a duration instead of a moment, as it is shown.
    pub(crate) fn state(&self, now: Moment) -> EndpointState {
        match self {
            Self::Connecting => EndpointState::Connecting,
            Self::Admitted { quarantined_until, .. } => match quarantined_until.ns_since(now) {
                0 => EndpointState::Ready,
                left => EndpointState::Quarantined { left: Duration::from_nanos(left) },
            },
            Self::Unreachable(reason) => EndpointState::Unreachable { reason: reason.to_string() },
            Self::Refused(reason) => EndpointState::Refused { reason: reason.to_string() },
        }
    }
}
