//! What the shell needs of an endpoint, be it a real server or one in memory.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::protocol::ClientId;
pub(crate) use crate::protocol::call::{Admission, CallError, Connection};
use crate::protocol::operation::{HandOver, Operation};
use crate::protocol::wire::{AdmitReply, BatchReply};

/// One server that votes.
///
/// Futures given out here are run to their end by the caller, never dropped half-way: what a dropped call has left in a
/// queue would be written later.
pub(crate) trait Endpoint: Send + Sync + 'static {
    /// Host and port, or the path of a socket, for people; never a password.
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

    /// Makes a new connection instead of the one that has been silent for too long. The two ends of it need not both know
    /// that it is dead.
    fn reconnect(&self) {}

    /// Listens for what this endpoint says to waiters of a client, over every connection to come, until the receiver is
    /// dropped.
    fn listen(&self, client: ClientId) -> mpsc::Receiver<Wake>;

    /// What stands there. Each of its calls ends within `timeout_ms`.
    fn records(&self, timeout_ms: u32) -> BoxFuture<'_, Result<Records, CallError>>;

    /// The value of one of the server's settings; `None` if it has no such setting.
    fn setting<'a>(
        &'a self,
        name: &'a str,
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<Option<String>, CallError>>;

    /// Authenticates connections that stand anew. `Err` says why it could not; they stand as they stood before.
    fn reauthenticate(&self) -> BoxFuture<'_, Result<(), Arc<str>>>;
}

/// What an endpoint says to the waiters of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// It is heard from here on. What it said before may have been missed.
    Heard,
    /// It is not heard any more.
    Unheard,
    /// It gave a lock to the client.
    HandedOver(HandOver),
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
