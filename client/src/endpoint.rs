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

    /// Looks at the server and admits it to the set of this id, `-` if it is not known. Ends within `timeout_ms`.
    fn admit<'a>(
        &'a self,
        admission: Admission,
        set: &'a str,
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<AdmitReply, CallError>>;

    /// What stands there. Each of its calls ends within `timeout_ms`.
    fn records(&self, timeout_ms: u32) -> BoxFuture<'_, Result<Records, CallError>>;

    /// The value of one of the server's settings; `None` if it has no such setting.
    fn setting<'a>(
        &'a self,
        name: &'a str,
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<Option<String>, CallError>>;
}

/// What an operator needs to know of an endpoint before changing it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    /// The record of its admission.
    pub(crate) member: Option<String>,
    /// Why it is in quarantine, if it is.
    pub(crate) quarantine: Option<String>,
    /// The key of a lock that stands there, if any does.
    pub(crate) lock: Option<String>,
}

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// There is none yet.
    Connecting,
    /// There is none; why.
    Down(Arc<str>),
    /// There is one: the `epoch`-th. Behind a new one may be another process.
    Up {
        /// Counts connections.
        epoch: u64,
    },
}

/// How an endpoint is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
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
