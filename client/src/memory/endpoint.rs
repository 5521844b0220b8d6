//! One client's connection to one server in memory. Calls travel in order, may be late or lost, and are carried out whether or
//! not anybody still waits.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{self, BoxFuture};
use tokio::sync::{mpsc, oneshot, watch};

use super::server::{MemoryServer, Passage, Process};
use crate::endpoint::{Admission, CallError, Connection, Endpoint, Records, Wake};
use crate::protocol::ClientId;
use crate::protocol::operation::Operation;
use crate::protocol::wire::{AdmitReply, BatchReply};
use crate::scripts::Settings;
use crate::sync::{Mutex, lock, spawn, time};

pub(super) struct MemoryEndpoint {
    server: MemoryServer,
    settings: Arc<Settings>,
    connection: watch::Receiver<Connection>,
    /// Ends when the call before has been carried out, or is lost.
    previous: Mutex<Option<oneshot::Receiver<()>>>,
}

impl MemoryEndpoint {
    pub(super) fn new(server: MemoryServer, settings: Arc<Settings>) -> Self {
        let connection = server.link();
        Self { server, settings, connection, previous: Mutex::new(None) }
    }

    /// Sends a call on its way, and gives what comes back within the timeout.
    fn call<T: Send + 'static>(
        &self,
        timeout_ms: u32,
        act: impl FnOnce(&mut Process) -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, CallError>> {
        let mut connection = self.connection.clone();
        connection.mark_unchanged();
        let broken = |reason| future::ready(Err(CallError::Unknown(reason))).boxed();
        match &*connection.borrow() {
            Connection::Up { .. } => {}
            Connection::Down(reason) => return broken(Arc::clone(reason)),
            Connection::Connecting => return broken("not connected yet".into()),
        }
        let passage = self.server.passage();
        let mut previous = lock(&self.previous);
        if previous.as_mut().is_some_and(|call| call.try_recv().is_err_and(is_over)) {
            *previous = None;
        }
        if previous.is_none() && passage.is_immediate() && !self.server.is_hung() {
            return future::ready(lock(&self.server.process).execute(act)).boxed();
        }
        let (done, next) = oneshot::channel();
        let before = previous.replace(next);
        drop(previous);
        let (answer, answered) = oneshot::channel();
        spawn(travel(self.server.clone(), passage, act, Way { before, done, answer }));
        wait(answered, connection, timeout_ms).boxed()
    }
}

/// Whether the sender has gone, which is all that it ever does.
fn is_over(error: oneshot::error::TryRecvError) -> bool {
    error == oneshot::error::TryRecvError::Closed
}

/// A call's place in the order of its connection, and where its answer goes.
struct Way<T> {
    before: Option<oneshot::Receiver<()>>,
    done: oneshot::Sender<()>,
    answer: oneshot::Sender<Result<T, CallError>>,
}

/// Carries a call to the server and its answer back.
async fn travel<T>(
    server: MemoryServer,
    passage: Passage,
    act: impl FnOnce(&mut Process) -> T,
    Way { before, done, answer }: Way<T>,
) {
    let arrival = server.clock.now().plus_ns(nanos(passage.there));
    if let Some(before) = before {
        // It ends by being dropped.
        before.await.unwrap_or_default();
    }
    server.clock.sleep_until(arrival).await;
    if passage.request_lost {
        return;
    }
    server.resumed().await;
    let outcome = {
        let mut process = lock(&server.process);
        if process.incarnation() != passage.incarnation {
            return;
        }
        process.execute(act)
    };
    drop(done);
    if passage.answer_lost {
        return;
    }
    server.clock.sleep_until(server.clock.now().plus_ns(nanos(passage.back))).await;
    // Whoever asked may have stopped waiting.
    drop(answer.send(outcome));
}

/// Waits for an answer as long as it may take and the connection stands.
async fn wait<T>(
    answered: oneshot::Receiver<Result<T, CallError>>,
    mut connection: watch::Receiver<Connection>,
    timeout_ms: u32,
) -> Result<T, CallError> {
    let reason = tokio::select! {
        biased;
        Ok(outcome) = answered => return outcome,
        _ = connection.changed() => match &*connection.borrow() {
            Connection::Down(reason) => Arc::clone(reason),
            Connection::Connecting | Connection::Up { .. } => "the connection was broken".into(),
        },
        () = time::sleep(Duration::from_millis(timeout_ms.into())) => "no answer in time".into(),
    };
    Err(CallError::Unknown(reason))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Endpoint for MemoryEndpoint {
    fn label(&self) -> &str {
        &self.server.label
    }

    fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    fn run<'a>(
        &'a self,
        member: &'a str,
        operations: &'a [Operation],
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<BatchReply, CallError>> {
        let (settings, member) = (Arc::clone(&self.settings), member.to_owned());
        let operations = operations.to_vec();
        self.call(timeout_ms, move |process| {
            let now_us = process.now_us();
            process.store.run(&settings, &member, &operations, now_us)
        })
    }

    fn admit<'a>(
        &'a self,
        admission: Admission,
        set: &'a str,
        timeout_ms: u32,
    ) -> BoxFuture<'a, Result<AdmitReply, CallError>> {
        let (settings, set) = (Arc::clone(&self.settings), set.to_owned());
        self.call(timeout_ms, move |process| process.admit(&settings, admission, &set))
    }

    fn listen(&self, client: ClientId) -> mpsc::Receiver<Wake> {
        let connected = self.server.is_connected();
        lock(&self.server.process).listen(client, connected)
    }

    fn records(&self, timeout_ms: u32) -> BoxFuture<'_, Result<Records, CallError>> {
        let settings = Arc::clone(&self.settings);
        self.call(timeout_ms, move |process| {
            let now_us = process.now_us();
            let text = |key: &str| process.store.get(key, now_us).map(|(value, _)| value.to_string());
            let locks = format!("{}:lock:", settings.namespace);
            let mut keys = process.store.iter(now_us).map(|(key, _, _)| key);
            Records {
                member: text(&settings.member_key()),
                quarantine: text(&settings.quarantine_key()),
                lock: keys.find(|key| key.starts_with(&locks)).map(str::to_owned),
            }
        })
    }

    fn setting<'a>(
        &'a self,
        _name: &'a str,
        _timeout_ms: u32,
    ) -> BoxFuture<'a, Result<Option<String>, CallError>> {
        future::ready(Ok(None)).boxed()
    }

    fn reauthenticate(&self) -> BoxFuture<'_, Result<(), Arc<str>>> {
        future::ready(Ok(())).boxed()
    }
}
