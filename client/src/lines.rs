//! Who waits in this process, for which name: one line a name, of which only the first asks the endpoints, in the name of
//! the whole client.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::attempt::Run;
use crate::chance::Chance;
use crate::protocol::operation::{HandOver, Reply};
use crate::protocol::{EndpointId, EndpointSet, LeaseName, Moment, OwnerId, Quorum, Waiting};
use crate::sync::{AtomicBool, Mutex, Notify, lock};

/// Waiters in one line of one process. Who comes when it is full polls beside it.
const LINE_LEN_MAX: usize = 16_384;

/// The lines of one client.
pub(crate) struct Lines {
    chance: Chance,
    table: Mutex<Table>,
    /// Whether hand-overs are listened for. Until a client meets with a lock that is held, waiting costs it nothing.
    open: AtomicBool,
}

#[derive(Default)]
struct Table {
    lines: BTreeMap<LeaseName, VecDeque<Arc<Place>>>,
    /// Attempts that may be given a lock.
    runs: HashMap<OwnerId, Weak<Run>>,
    /// Endpoints whose words reach this client.
    heard: EndpointSet,
}

/// A place in one of them.
pub(crate) struct Place {
    state: Mutex<State>,
    /// Told when the place has become the first, when it is woken, and at the end of the client.
    moved: Notify,
}

struct State {
    machine: Waiting,
    /// Whether nobody is before it.
    first: bool,
}

impl Lines {
    pub(crate) fn new(chance: &Chance) -> Self {
        Self { chance: chance.clone(), table: Mutex::default(), open: AtomicBool::new(false) }
    }

    /// Whether whoever asks for a lease must stand in line first, so that its client asks for one of them at a time.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Opens the lines. Says whether they were closed before.
    pub(crate) fn open(&self) -> bool {
        !self.open.swap(true, Ordering::AcqRel)
    }

    /// Stands at the end of a line; beside it if it is full.
    pub(crate) fn enter(&self, name: &LeaseName, quorum: Quorum) -> Arc<Place> {
        let mut table = lock(&self.table);
        let line = table.lines.entry(name.clone()).or_default();
        let full = line.len() >= LINE_LEN_MAX;
        let machine = Waiting::new(quorum, self.chance.bits());
        let state = State { machine, first: line.is_empty() || full };
        let place = Arc::new(Place { state: Mutex::new(state), moved: Notify::new() });
        if !full {
            line.push_back(Arc::clone(&place));
        }
        place
    }

    /// Leaves a line.
    pub(crate) fn leave(&self, name: &LeaseName, place: &Arc<Place>) {
        let mut table = lock(&self.table);
        let Some(line) = table.lines.get_mut(name) else { return };
        let was_first = line.front().is_some_and(|first| Arc::ptr_eq(first, place));
        if was_first {
            line.pop_front();
        } else {
            line.retain(|other| !Arc::ptr_eq(other, place));
        }
        let Some(first) = line.front().map(Arc::clone) else {
            table.lines.remove(name);
            return;
        };
        drop(table);
        if was_first {
            lock(&first.state).first = true;
            first.moved.notify_one();
        }
    }

    /// An attempt may be given a lock from here on.
    pub(crate) fn remember(&self, owner: OwnerId, run: &Arc<Run>) {
        lock(&self.table).runs.insert(owner, Arc::downgrade(run));
    }

    /// It is over.
    pub(crate) fn forget(&self, owner: OwnerId) {
        lock(&self.table).runs.remove(&owner);
    }

    /// An endpoint gave a lock to an attempt. It counts as its vote if it is known to be from there; else it is cause to ask.
    /// Of an attempt that is over nothing stands anywhere, or will not for long.
    pub(crate) fn hand_over(&self, now: Moment, endpoint: EndpointId, word: &HandOver, known: bool) {
        let (run, first) = {
            let table = lock(&self.table);
            let first = table.lines.get(&word.name).and_then(|line| line.front().map(Arc::clone));
            (table.runs.get(&word.owner).and_then(Weak::upgrade), first)
        };
        let Some(run) = run else { return };
        if known {
            run.handed_over(endpoint, word);
        }
        if let Some(first) = first {
            first.wake(now, endpoint);
        }
    }

    /// The words of an endpoint reach this client from here on, or do so no longer. Some may have been missed.
    pub(crate) fn hear(&self, now: Moment, endpoint: EndpointId, is_heard: bool) {
        let (firsts, runs, heard) = {
            let mut table = lock(&self.table);
            if is_heard {
                table.heard.insert(endpoint);
            } else {
                table.heard.remove(endpoint);
            }
            let firsts: Vec<_> =
                table.lines.values().filter_map(|line| line.front().map(Arc::clone)).collect();
            let runs: Vec<_> = table.runs.values().filter_map(Weak::upgrade).collect();
            (firsts, runs, table.heard)
        };
        runs.iter().for_each(|run| run.heard(heard));
        firsts.iter().for_each(|first| first.wake(now, endpoint));
    }

    /// Endpoints whose words reach this client.
    pub(crate) fn heard(&self) -> EndpointSet {
        lock(&self.table).heard
    }

    /// Lets everybody look up: the client is being shut down.
    pub(crate) fn disturb(&self) {
        let table = lock(&self.table);
        table.lines.values().flatten().for_each(|place| place.moved.notify_one());
    }
}

impl Place {
    /// When it should try; `None` while others are before it.
    pub(crate) fn try_at(&self) -> Option<Moment> {
        let state = lock(&self.state);
        state.first.then(|| state.machine.poll_timeout())
    }

    /// It asks.
    pub(crate) fn start(&self) {
        lock(&self.state).machine.handle_start();
    }

    /// It is in line on endpoints, and this is what each of them said.
    pub(crate) fn in_line(&self, now: Moment, replies: &[Option<Reply>], ttl_ms: u32) {
        lock(&self.state).machine.handle_in_line(now, replies, ttl_ms);
    }

    /// It asked in vain.
    pub(crate) fn failed(&self, now: Moment) {
        lock(&self.state).machine.handle_failure(now);
    }

    /// Waits until something about it has changed since the last time.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    fn wake(&self, now: Moment, endpoint: EndpointId) {
        lock(&self.state).machine.handle_wake(now, endpoint);
        self.moved.notify_one();
    }
}
