//! The process around a store: its clock, its connections, and what a test may do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::store::{Store, Value};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::endpoint::{Admission, CallError, Connection, Wake};
use crate::protocol::wire::AdmitReply;
use crate::protocol::{ClientId, Moment};
use crate::scripts::Settings;
use crate::sync::{AtomicBool, Mutex, Notify, lock};

/// One endpoint in memory, as an operator, another program, or misfortune would reach it. Clones are the same server.
///
/// Whatever is done to it lasts until it is taken back.
#[derive(Clone)]
pub struct MemoryServer {
    pub(super) label: String,
    pub(super) process: Arc<Mutex<Process>>,
    links: Arc<Mutex<Links>>,
    stop: Arc<Stop>,
    pub(super) clock: Clock,
    chance: Chance,
}

/// Each client's connection. One channel each: the receivers of one channel are woken in no order that a seed would fix.
struct Links {
    connection: Connection,
    clients: Vec<watch::Sender<Connection>>,
}

/// Whether a server stands still.
#[derive(Default)]
struct Stop {
    stopped: AtomicBool,
    resumed: Notify,
}

/// What a server held at one moment. It can be restarted with just that.
#[derive(Clone)]
pub struct Snapshot(Store);

/// What runs behind a server's address.
pub(super) struct Process {
    pub(super) store: Store,
    clock: ServerClock,
    /// The newest connection.
    epoch: u64,
    /// The newest incarnation of the store.
    incarnation: u64,
    /// In which namespaces it was admitted since it was born; `None` once it may have forgotten something.
    admitted: Option<BTreeSet<String>>,
    /// The way to it.
    network: Network,
    /// Why it refuses everything.
    refusal: Option<Arc<str>>,
    /// Clients that listen for hand-overs.
    listeners: BTreeMap<ClientId, mpsc::Sender<Wake>>,
}

/// Words that may wait to be read by one client. More are lost, as on a connection that breaks.
const WAKES_LEN_MAX: usize = 4_096;

/// A clock that runs at a pace of its own and can be stepped.
struct ServerClock {
    clock: Clock,
    /// When it was last set or its pace changed, and what it said then.
    set_at: Moment,
    set_us: u64,
    rate_ppm: i32,
}

#[derive(Clone, Default)]
struct Network {
    /// There and back, in microseconds: the shortest and the longest.
    latency_us: (u64, u64),
    requests_lost_percent: u8,
    answers_lost_percent: u8,
}

/// How one call will fare on its way.
pub(super) struct Passage {
    pub(super) there: Duration,
    pub(super) back: Duration,
    pub(super) request_lost: bool,
    pub(super) answer_lost: bool,
    /// Which process it was sent to.
    pub(super) incarnation: u64,
}

impl Passage {
    /// Whether the call is over before anything else can happen.
    pub(super) const fn is_immediate(&self) -> bool {
        self.there.is_zero() && self.back.is_zero() && !self.request_lost && !self.answer_lost
    }
}

impl ServerClock {
    fn now_us(&self) -> u64 {
        let elapsed_us = self.clock.now().ns_since(self.set_at) / 1_000;
        let gained_us = i128::from(elapsed_us) * i128::from(self.rate_ppm) / 1_000_000;
        let gained_us = i64::try_from(gained_us).unwrap_or(i64::MAX);
        self.set_us.saturating_add(elapsed_us).saturating_add_signed(gained_us)
    }

    fn set(&mut self, now_us: u64, rate_ppm: i32) {
        (self.set_at, self.set_us, self.rate_ppm) = (self.clock.now(), now_us, rate_ppm);
    }
}

impl Process {
    fn new(index: usize, clock: &Clock) -> Self {
        // Distinct from every other server's of the set, for as many restarts as anybody will live to see.
        let incarnation = ((index as u64) << 48) + 1;
        let (set_at, set_us) = (clock.now(), clock.wall_us());
        Self {
            store: Store::new(incarnation),
            clock: ServerClock { clock: clock.clone(), set_at, set_us, rate_ppm: 0 },
            epoch: 0,
            incarnation,
            admitted: Some(BTreeSet::new()),
            network: Network::default(),
            refusal: None,
            listeners: BTreeMap::new(),
        }
    }

    /// What the server's clock says.
    pub(super) fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    pub(super) const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Carries a call out, unless it refuses all.
    pub(super) fn execute<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Result<T, CallError> {
        match &self.refusal {
            Some(reason) => Err(CallError::Refused(Arc::clone(reason))),
            None => {
                let outcome = act(self);
                self.ring();
                Ok(outcome)
            }
        }
    }

    /// Lets a client listen for hand-overs, while it can reach the server.
    pub(super) fn listen(&mut self, client: ClientId, connected: bool) -> mpsc::Receiver<Wake> {
        let (sender, receiver) = mpsc::channel(WAKES_LEN_MAX);
        if connected {
            self.store.listen(client);
            // An empty channel has room for one.
            drop(sender.try_send(Wake::Heard));
        }
        self.listeners.insert(client, sender);
        receiver
    }

    /// Listeners have a connection, and hear from here on.
    fn connect_listeners(&mut self) {
        self.listeners.retain(|_, listener| !listener.is_closed());
        for (client, listener) in &self.listeners {
            self.store.listen(*client);
            // Where the channel is full, there is other news to read.
            drop(listener.try_send(Wake::Heard));
        }
    }

    /// Listeners have none, and hear nothing.
    fn disconnect_listeners(&mut self) {
        for (client, listener) in &self.listeners {
            self.store.stop_listening(*client);
            drop(listener.try_send(Wake::Unheard));
        }
    }

    /// Tells clients what they were given. Whoever no longer listens is struck off.
    fn ring(&mut self) {
        while let Some(word) = self.store.poll_hand_over() {
            let client = word.owner.client();
            let said = self.listeners.get(&client).map(|listener| listener.try_send(Wake::HandedOver(word)));
            if matches!(said, None | Some(Err(TrySendError::Closed(_)))) {
                self.listeners.remove(&client);
                self.store.stop_listening(client);
            }
        }
    }

    /// Born empty, and never restarted or flushed since: a client's first admission forgets nothing.
    pub(super) fn admit(&mut self, settings: &Settings, admission: Admission, set: &str) -> AdmitReply {
        let first = self.admitted.as_mut().is_some_and(|known| known.insert(settings.namespace.clone()));
        let admission = if first && admission == Admission::Member { Admission::Fresh } else { admission };
        self.store.admit(settings, admission, set, self.now_us())
    }

    fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }
}

impl MemoryServer {
    pub(super) fn start(index: usize, clock: &Clock, chance: &Chance) -> Self {
        Self {
            label: format!("memory:{index}"),
            process: Arc::new(Mutex::new(Process::new(index, clock))),
            links: Arc::new(Mutex::new(Links {
                connection: Connection::Up { epoch: 0 },
                clients: Vec::new(),
            })),
            stop: Arc::default(),
            clock: clock.clone(),
            chance: chance.clone(),
        }
    }

    /// A client's connection to it.
    pub(super) fn link(&self) -> watch::Receiver<Connection> {
        let mut links = lock(&self.links);
        links.clients.retain(|client| !client.is_closed());
        let (client, receiver) = watch::channel(links.connection.clone());
        links.clients.push(client);
        receiver
    }

    fn set_connection(&self, change: impl FnOnce(&Connection) -> Connection) {
        let mut links = lock(&self.links);
        links.connection = change(&links.connection);
        for client in &links.clients {
            client.send_replace(links.connection.clone());
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(lock(&self.links).connection, Connection::Up { .. })
    }

    pub(super) fn is_hung(&self) -> bool {
        self.stop.stopped.load(Ordering::Acquire)
    }

    /// Waits while it stands still.
    pub(super) async fn resumed(&self) {
        loop {
            let mut resumed = std::pin::pin!(self.stop.resumed.notified());
            resumed.as_mut().enable();
            if !self.is_hung() {
                return;
            }
            resumed.await;
        }
    }

    /// Draws how a call that is sent now will fare.
    pub(super) fn passage(&self) -> Passage {
        let process = lock(&self.process);
        let Network { latency_us, requests_lost_percent, answers_lost_percent } = process.network;
        let happens = |percent: u8| percent > 0 && self.chance.between(1, 100) <= percent.into();
        let latency_us = self.chance.between(latency_us.0, latency_us.1);
        let there = Duration::from_micros(latency_us / 2);
        Passage {
            there,
            back: Duration::from_micros(latency_us) - there,
            request_lost: happens(requests_lost_percent),
            answer_lost: happens(answers_lost_percent),
            incarnation: process.incarnation,
        }
    }

    // What another program does.

    /// `SET key value NX PX ttl`, as a program without leases would take a lock: whether it was free. The key is the whole
    /// one, `lh:lock:name` by default.
    #[must_use]
    pub fn set_nx_px(&self, key: &str, value: &str, ttl: Duration) -> bool {
        let free = self.get(key).is_none();
        if free {
            self.set(key, value, Some(ttl));
        }
        free
    }

    /// `SET key value`, with `PX ttl` if one is given: whatever stood there goes.
    pub fn set(&self, key: &str, value: &str, ttl: Option<Duration>) {
        let mut process = lock(&self.process);
        let now_us = process.now_us();
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        process.store.set(key, Value::Text(value.to_owned()), ttl_ms, now_us);
    }

    /// `GET key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        let process = lock(&self.process);
        process.store.get(key, process.now_us()).map(|(value, _)| value.to_string())
    }

    /// `GETDEL key`: what stood there.
    pub fn del(&self, key: &str) -> Option<String> {
        let mut process = lock(&self.process);
        let now_us = process.now_us();
        process.store.del(key, now_us).map(|value| value.to_string())
    }

    /// The keys of everything that stands there, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let process = lock(&self.process);
        process.store.iter(process.now_us()).map(|(key, _, _)| key.to_owned()).collect()
    }

    // The network.

    /// How long a call takes from now on, there and back: each a time between these, half of it before the server acts. At
    /// the start, no time at all.
    ///
    /// Calls of one client to one server stay in order, as on a connection.
    pub fn set_latency(&self, latency: RangeInclusive<Duration>) {
        let us = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        lock(&self.process).network.latency_us = (us(latency.start()), us(latency.end()));
    }

    /// Loses so many of a hundred requests before they arrive: nothing is done, and nobody is told.
    pub fn lose_requests(&self, percent: u8) {
        lock(&self.process).network.requests_lost_percent = percent;
    }

    /// Loses so many of a hundred answers: what was asked has been done, and nobody is told.
    pub fn lose_answers(&self, percent: u8) {
        lock(&self.process).network.answers_lost_percent = percent;
    }

    /// Breaks every client's connection to it. What has been sent may still be carried out.
    pub fn disconnect(&self) {
        lock(&self.process).disconnect_listeners();
        self.set_connection(|_| Connection::Down("disconnected".into()));
    }

    /// Lets clients reach it again.
    pub fn reconnect(&self) {
        let epoch = {
            let mut process = lock(&self.process);
            process.connect_listeners();
            process.next_epoch()
        };
        self.set_connection(|_| Connection::Up { epoch });
    }

    // The process.

    /// Stops it, connections and all, as `SIGSTOP` does: it answers nothing more. What has been sent, and what is sent
    /// meanwhile, it carries out when it goes on.
    pub fn hang(&self) {
        self.stop.stopped.store(true, Ordering::Release);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.stop.stopped.store(false, Ordering::Release);
        self.stop.resumed.notify_waiters();
    }

    /// Makes it refuse everything in these words, as a server does that is out of memory, loading or read-only. Nothing is
    /// done then.
    pub fn refuse(&self, reason: &str) {
        lock(&self.process).refusal = Some(reason.into());
    }

    /// Makes it accept what it is asked again.
    pub fn accept(&self) {
        lock(&self.process).refusal = None;
    }

    /// Restarts it with all its data. Clients cannot know that it is all, and quarantine it.
    pub fn restart(&self) {
        self.restart_as(Store::restart);
    }

    /// Restarts it without its data: it forgets every vote, and clients quarantine it.
    pub fn restart_empty(&self) {
        self.restart_as(Store::restart_empty);
    }

    /// Restarts it with the data of an earlier moment: it forgets every vote since, and clients quarantine it.
    pub fn restart_from(&self, earlier: &Snapshot) {
        self.restart_as(|store, incarnation| store.restart_from(&earlier.0, incarnation));
    }

    /// What it holds now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(lock(&self.process).store.clone())
    }

    /// `FLUSHALL`: it forgets every vote, and clients quarantine it once they notice, which is before its next one.
    pub fn flush(&self) {
        let mut process = lock(&self.process);
        process.store.flush();
        process.admitted = None;
    }

    /// Another process takes its place. What was on its way to the old one is lost with it.
    fn restart_as(&self, restart: impl FnOnce(&mut Store, u64)) {
        let next = {
            let mut process = lock(&self.process);
            process.incarnation += 1;
            let incarnation = process.incarnation;
            restart(&mut process.store, incarnation);
            process.admitted = None;
            if self.is_connected() {
                process.connect_listeners();
            }
            process.next_epoch()
        };
        self.resume();
        self.set_connection(|connection| match connection {
            Connection::Up { .. } => Connection::Up { epoch: next },
            other => other.clone(),
        });
    }

    // Its clock.

    /// Steps its clock: forwards, or backwards if negative. What it holds expires that much sooner, or later.
    pub fn step_clock(&self, step_ms: i64) {
        let mut process = lock(&self.process);
        let now_us = process.now_us();
        process.store.expire(now_us);
        let rate_ppm = process.clock.rate_ppm;
        process.clock.set(now_us.saturating_add_signed(step_ms.saturating_mul(1_000)), rate_ppm);
    }

    /// Lets its clock run so much too fast, or too slow if negative, in millionths.
    pub fn run_clock(&self, rate_ppm: i32) {
        let clock = &mut lock(&self.process).clock;
        clock.set(clock.now_us(), rate_ppm);
    }
}

impl fmt::Debug for MemoryServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryServer").field("label", &self.label).finish_non_exhaustive()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
