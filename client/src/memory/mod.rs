//! Endpoints in this process's memory: the same operations as the script, for users' tests and for a first look.

mod keyspace;
pub mod store;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{self, BoxFuture};
use tokio::sync::watch;

use self::store::{Store, Value};
use crate::endpoint::{Admission, CallError, Connection, Endpoint, Records};
use crate::protocol::operation::Operation;
use crate::protocol::wire::{AdmitReply, BatchReply};
use crate::protocol::{Moment, QuorumError};
use crate::scripts::Settings;
use crate::{Quorum, clock, lock};

/// A set of endpoints in memory. Clones share them, so that several clients can meet there.
#[derive(Clone, Debug)]
pub struct MemoryEndpoints {
    servers: Vec<MemoryServer>,
}

/// One of them, as an operator or another program would reach it.
#[derive(Clone)]
pub struct MemoryServer {
    label: String,
    process: Arc<Mutex<Process>>,
    connection: watch::Sender<Connection>,
}

/// What runs behind a server's address.
struct Process {
    store: Store,
    clock: ServerClock,
    /// The newest connection.
    epoch: u64,
    /// The newest incarnation of the store.
    incarnation: u64,
    /// In which namespaces it was admitted since it was born; `None` once it may have forgotten something.
    admitted: Option<BTreeSet<String>>,
}

/// A clock that keeps this process's pace, and can be stepped.
struct ServerClock {
    set_at: Moment,
    set_us: u64,
}

impl MemoryEndpoints {
    /// `count` endpoints that have never voted: clients may begin at once.
    ///
    /// # Errors
    /// The count must be odd, as for real servers.
    pub fn new(count: usize) -> Result<Self, QuorumError> {
        let quorum = Quorum::new(count)?;
        let servers = quorum.ids().map(|id| MemoryServer::new(id.index())).collect();
        Ok(Self { servers })
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.servers.len()
    }

    /// Never: a set has at least one endpoint.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// One of them, by place.
    #[must_use]
    pub fn server(&self, index: usize) -> Option<&MemoryServer> {
        self.servers.get(index)
    }

    pub(crate) fn endpoints(&self, settings: &Settings) -> Vec<Arc<dyn Endpoint>> {
        let endpoint = |server: &MemoryServer| -> Arc<dyn Endpoint> {
            Arc::new(MemoryEndpoint { server: server.clone(), settings: settings.clone() })
        };
        self.servers.iter().map(endpoint).collect()
    }
}

impl ServerClock {
    fn now_us(&self) -> u64 {
        self.set_us.saturating_add(clock::now().ns_since(self.set_at) / 1_000)
    }
}

impl Process {
    fn new(index: usize) -> Self {
        // Distinct from every other server's of the set, for as many restarts as anybody will live to see.
        let incarnation = ((index as u64) << 48) + 1;
        Self {
            store: Store::new(incarnation),
            clock: ServerClock { set_at: clock::now(), set_us: clock::wall_us() },
            epoch: 0,
            incarnation,
            admitted: Some(BTreeSet::new()),
        }
    }

    fn next_incarnation(&mut self) -> u64 {
        self.incarnation += 1;
        self.incarnation
    }

    fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    /// Born empty, and never restarted or flushed since: a client's first admission forgets nothing.
    fn admit(&mut self, settings: &Settings, admission: Admission, set: &str) -> AdmitReply {
        let first = self.admitted.as_mut().is_some_and(|known| known.insert(settings.namespace.clone()));
        let admission = if first && admission == Admission::Member { Admission::Fresh } else { admission };
        self.store.admit(settings, admission, set, self.clock.now_us())
    }
}

impl MemoryServer {
    fn new(index: usize) -> Self {
        let (connection, _) = watch::channel(Connection::Up { epoch: 0 });
        let process = Arc::new(Mutex::new(Process::new(index)));
        Self { label: format!("memory:{index}"), process, connection }
    }

    /// `SET key value NX PX ttl`, as a program without leases would take a lock: whether it was free. The key is the whole
    /// one, `lh:lock:name` by default.
    #[must_use]
    pub fn set_nx_px(&self, key: &str, value: &str, ttl: Duration) -> bool {
        let mut process = lock(&self.process);
        let now_us = process.clock.now_us();
        let free = process.store.get(key, now_us).is_none();
        if free {
            let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            process.store.set(key, Value::Text(value.to_owned()), Some(ttl_ms), now_us);
        }
        free
    }

    /// `SET key value`, with `PX ttl` if one is given: whatever stood there goes.
    pub fn set(&self, key: &str, value: &str, ttl: Option<Duration>) {
        let mut process = lock(&self.process);
        let now_us = process.clock.now_us();
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        process.store.set(key, Value::Text(value.to_owned()), ttl_ms, now_us);
    }

    /// `GET key`; nothing where another type than a text stands.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        let process = lock(&self.process);
        match process.store.get(key, process.clock.now_us()) {
            Some((Value::Text(text), _)) => Some(text.clone()),
            Some((Value::OtherType, _)) | None => None,
        }
    }

    /// `GETDEL key`: what stood there.
    pub fn del(&self, key: &str) -> Option<String> {
        let mut process = lock(&self.process);
        let now_us = process.clock.now_us();
        process.store.del(key, now_us).map(|value| value.to_string())
    }

    /// The keys of everything that stands there, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let process = lock(&self.process);
        process.store.iter(process.clock.now_us()).map(|(key, _, _)| key.to_owned()).collect()
    }

    /// Restarts it without its data: it forgets every vote, and clients quarantine it.
    pub fn restart_empty(&self) {
        let mut process = lock(&self.process);
        let incarnation = process.next_incarnation();
        process.store.restart_empty(incarnation);
        process.admitted = None;
        let next = process.next_epoch();
        drop(process);
        self.connection.send_modify(|connection| {
            if let Connection::Up { epoch } = connection {
                *epoch = next;
            }
        });
    }

    /// `FLUSHALL`: it forgets every vote, and clients quarantine it once they notice.
    pub fn flush(&self) {
        let mut process = lock(&self.process);
        process.store.flush();
        process.admitted = None;
    }

    /// Steps its clock: forwards, or backwards if negative. What it holds expires that much sooner, or later.
    pub fn step_clock(&self, step_ms: i64) {
        let clock = &mut lock(&self.process).clock;
        clock.set_us = clock.set_us.saturating_add_signed(step_ms.saturating_mul(1_000));
    }

    /// Breaks every client's connection to it.
    pub fn disconnect(&self) {
        self.connection.send_replace(Connection::Down("disconnected".into()));
    }

    /// Lets clients reach it again.
    pub fn reconnect(&self) {
        let epoch = lock(&self.process).next_epoch();
        self.connection.send_replace(Connection::Up { epoch });
    }
}

impl fmt::Debug for MemoryServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryServer").field("label", &self.label).finish_non_exhaustive()
    }
}

/// One client's view of one server.
struct MemoryEndpoint {
    server: MemoryServer,
    settings: Settings,
}

impl MemoryEndpoint {
    /// Does something at once, if the server can be reached.
    fn call<T>(&self, act: impl FnOnce(&mut Process) -> T) -> BoxFuture<'static, Result<T, CallError>>
    where
        T: Send + 'static,
    {
        let answer = match &*self.server.connection.borrow() {
            Connection::Up { .. } => Ok(act(&mut lock(&self.server.process))),
            Connection::Down(reason) => Err(CallError::Unknown(Arc::clone(reason))),
            Connection::Connecting => Err(CallError::Unknown("not connected yet".into())),
        };
        future::ready(answer).boxed()
    }
}

impl Endpoint for MemoryEndpoint {
    fn label(&self) -> &str {
        &self.server.label
    }

    fn connection(&self) -> watch::Receiver<Connection> {
        self.server.connection.subscribe()
    }

    fn run<'a>(
        &'a self,
        member: &'a str,
        operations: &'a [Operation],
        _timeout_ms: u32,
    ) -> BoxFuture<'a, Result<BatchReply, CallError>> {
        self.call(|process| {
            let now_us = process.clock.now_us();
            process.store.run(&self.settings, member, operations, now_us)
        })
    }

    fn admit<'a>(
        &'a self,
        admission: Admission,
        set: &'a str,
        _timeout_ms: u32,
    ) -> BoxFuture<'a, Result<AdmitReply, CallError>> {
        self.call(|process| process.admit(&self.settings, admission, set))
    }

    fn records(&self, _timeout_ms: u32) -> BoxFuture<'_, Result<Records, CallError>> {
        self.call(|process| {
            let now_us = process.clock.now_us();
            let text = |key: &str| process.store.get(key, now_us).map(|(value, _)| value.to_string());
            let locks = format!("{}:lock:", self.settings.namespace);
            let mut keys = process.store.iter(now_us).map(|(key, _, _)| key);
            Records {
                member: text(&self.settings.member_key()),
                quarantine: text(&self.settings.quarantine_key()),
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
}
