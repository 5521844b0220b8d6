//! What the shell needs of an endpoint, be it a real server or one in memory.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::protocol::operation::{Operation, Reply};
use crate::protocol::wire::{AdmitReply, BatchReply};

/// One server that votes.
///
/// Futures given out here are run to their end by the caller, never dropped half-way: what a dropped call has left in a
/// queue would be written later.
pub(crate) trait Endpoint: Send + Sync + 'static {
    /// Host and port, for people; never a password.
    fn label(&self) -> &str;

    /// The state of the connection, now and from now on.
    fn connection(&self) -> watch::Receiver<Connection>;

    /// Runs a batch in order, as the member it was admitted as. Ends within `timeout_ms`.
    fn run<'a>(
        &'a self,
        member: &'a str,
        operations: &'a [Operation],
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<BatchReply, CallError>>;

    /// Looks at the server and admits it. Ends within `timeout_ms`.
    fn admit<'a>(
        &'a self,
        admission: Admission<'a>,
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<AdmitReply, CallError>>;

    /// What shows that votes may have been given there, in words: a record of admission, or a lock. Each of its calls ends
    /// within `timeout_ms`.
    fn traces(&self, timeout_ms: u32) -> BoxFuture<'_, Result<Option<String>, CallError>>;
}

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// There is none; why.
    Down(Arc<str>),
    /// There is one: the `epoch`-th. Behind a new one may be another process.
    Up {
        /// Counts connections.
        epoch: u64,
    },
}

/// How an endpoint is admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admission<'a> {
    /// As a member of a set whose id may be known from other endpoints.
    Member {
        /// The id, `-` if unknown.
        set: &'a str,
    },
    /// As an endpoint of a brand-new set, on an operator's word that nothing was ever voted on.
    Fresh {
        /// The new id.
        set: &'a str,
    },
}

/// Why a call has no reply.
#[derive(Clone, Debug)]
pub(crate) enum CallError {
    /// The server does not know the script; nothing ran.
    NoScript,
    /// The server or the queue before it refused; nothing ran.
    Refused(Arc<str>),
    /// It may have run, or may yet.
    Unknown(Arc<str>),
}

impl CallError {
    /// The answer that each operation of the call gets.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::NoScript => Reply::Refused(self.reason()),
            Self::Refused(reason) => Reply::Refused(Arc::clone(reason)),
            Self::Unknown(reason) => Reply::Unknown(Arc::clone(reason)),
        }
    }

    /// In words.
    pub(crate) fn reason(&self) -> Arc<str> {
        match self {
            Self::NoScript => "it does not know the script".into(),
            Self::Refused(reason) | Self::Unknown(reason) => Arc::clone(reason),
        }
    }
}
