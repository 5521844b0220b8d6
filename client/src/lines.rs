//! Who waits in this process, for which name: one line a name, of which only the first asks the endpoints, in the name of
//! the whole client.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::chance::Chance;
use crate::lock;
use crate::protocol::operation::Reply;
use crate::protocol::{EndpointId, EndpointSet, LeaseName, Moment, Quorum, Waiting};

/// Waiters in one line of one process. Who comes when it is full polls beside it.
const LINE_LEN_MAX: usize = 16_384;

/// The lines of one client.
pub(crate) struct Lines {
    chance: Chance,
    table: Mutex<Table>,
    /// Whether wake-ups are listened for. Until a client meets with a lock that is held, waiting costs it nothing.
    open: AtomicBool,
}

#[derive(Default)]
struct Table {
    lines: BTreeMap<LeaseName, VecDeque<Arc<Place>>>,
    /// Endpoints whose wake-ups reach this client.
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

    /// Whether whoever asks for a lease must stand in line first, so that no wake-up finds nobody.
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

    /// Leaves a line. Says whether nobody is left in it.
    pub(crate) fn leave(&self, name: &LeaseName, place: &Arc<Place>) -> bool {
        let mut table = lock(&self.table);
        let Some(line) = table.lines.get_mut(name) else {
            return true;
        };
        let was_first = line.front().is_some_and(|first| Arc::ptr_eq(first, place));
        if was_first {
            line.pop_front();
        } else {
            line.retain(|other| !Arc::ptr_eq(other, place));
        }
        let Some(first) = line.front().map(Arc::clone) else {
            table.lines.remove(name);
            return true;
        };
        drop(table);
        if was_first {
            lock(&first.state).first = true;
            first.moved.notify_one();
        }
        false
    }

    /// An endpoint says that it is this client's turn for a name. Says whether anybody waits for it.
    pub(crate) fn wake(&self, now: Moment, name: &LeaseName, endpoint: EndpointId) -> bool {
        let first = lock(&self.table).lines.get(name).and_then(|line| line.front().map(Arc::clone));
        first.is_some_and(|first| {
            first.wake(now, endpoint);
            true
        })
    }

    /// The wake-ups of an endpoint reach this client from here on, or do so no longer. Some may have been missed.
    pub(crate) fn hear(&self, now: Moment, endpoint: EndpointId, heard: bool) {
        let firsts: Vec<Arc<Place>> = {
            let mut table = lock(&self.table);
            if heard {
                table.heard.insert(endpoint);
            } else {
                table.heard.remove(endpoint);
            }
            table.lines.values().filter_map(|line| line.front().map(Arc::clone)).collect()
        };
        firsts.iter().for_each(|first| first.wake(now, endpoint));
    }

    /// Endpoints whose wake-ups reach this client.
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

    /// It tries.
    pub(crate) fn start(&self) {
        lock(&self.state).machine.handle_start();
    }

    /// It tried, and this is what each endpoint said.
    pub(crate) fn refused(&self, now: Moment, replies: &[Option<Reply>], heard: EndpointSet) {
        lock(&self.state).machine.handle_refusal(now, replies, heard);
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
