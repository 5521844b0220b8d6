//! What a call to an endpoint is, apart from the operations it carries: the connection it goes over, how an endpoint is
//! admitted, and why there may be no reply.

use std::sync::Arc;

use super::operation::Reply;

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// There is none yet.
    Connecting,
    /// There is none; why.
    Down(Arc<str>),
    /// There is one: the `epoch`-th. Behind a new one may be another server.
    Up {
        /// Counts connections.
        epoch: u64,
    },
}

/// How an endpoint is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As a member of a set.
    Member,
    /// As a member that gives no votes for a while, because its clock is off.
    Distrust,
    /// As an endpoint of a brand-new set, on an operator's word that nothing was ever voted on.
    Fresh,
    /// Under new settings, into quarantine.
    Reconfigure,
    /// As one that keeps what it has written.
    Durable,
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The server does not know the script; nothing ran.
    NoScript,
    /// The server or the queue before it refused; nothing ran.
    Refused(Arc<str>),
    /// It may have run, or may yet.
    Unknown(Arc<str>),
}

impl CallError {
    /// The answer that each operation of the call gets.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::NoScript => Reply::Refused(self.reason()),
            Self::Refused(reason) => Reply::Refused(Arc::clone(reason)),
            Self::Unknown(reason) => Reply::Unknown(Arc::clone(reason)),
        }
    }

    /// In words.
    #[must_use]
    pub fn reason(&self) -> Arc<str> {
        match self {
            Self::NoScript => "it does not know the script".into(),
            Self::Refused(reason) | Self::Unknown(reason) => Arc::clone(reason),
        }
    }
}
