//! The queue before one endpoint. Requests that wait travel together; [`courier`](crate::courier) takes them there.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Clock;
use crate::protocol::Moment;
use crate::protocol::operation::{Action, Operation, Reply, Request, Round};
use crate::protocol::quorum::EndpointId;
use crate::protocol::wire::BATCH_LEN_MAX;
use crate::sync::{Mutex, Notify, lock};

/// Requests that may wait for one endpoint. Beyond it they are answered "not sent".
const QUEUE_LEN_MAX: usize = 65_536;

/// Whoever asks, and is told the answer.
pub(crate) trait Party: Send + Sync {
    /// Whether a request that has not been sent yet still serves.
    fn wants(&self, request: &Request) -> bool;

    /// Takes the answer to a request. Every request that was pushed gets exactly one.
    fn deliver(self: Arc<Self>, request: &Request, reply: Reply);
}

/// A request on its way.
pub(crate) struct Entry {
    pub(crate) party: Arc<dyn Party>,
    pub(crate) round: Round,
    pub(crate) operation: Operation,
    /// Until when it may wait to be sent.
    pub(crate) expires: Moment,
    /// How long its answer may take once it is sent.
    pub(crate) timeout_ms: u32,
}

/// The queue before one endpoint.
pub(crate) struct Dispatcher {
    id: EndpointId,
    clock: Clock,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    closed: bool,
}

impl Dispatcher {
    pub(crate) fn new(id: EndpointId, clock: &Clock) -> Self {
        Self { id, clock: clock.clone(), queue: Mutex::default(), filled: Notify::new() }
    }

    pub(crate) const fn id(&self) -> EndpointId {
        self.id
    }

    /// Puts a request at the end of the queue. A full or closed queue answers at once.
    pub(crate) fn push(&self, entry: Entry) {
        let refusal = {
            let mut queue = lock(&self.queue);
            if queue.closed {
                "the client is shut down"
            } else if queue.entries.len() >= QUEUE_LEN_MAX {
                "its queue is full"
            } else {
                queue.entries.push_back(entry);
                drop(queue);
                self.filled.notify_one();
                return;
            }
        };
        self.deliver(entry, Reply::NotSent(refusal.into()));
    }

    /// Accepts nothing more. What waits is still sent.
    pub(crate) fn close(&self) {
        lock(&self.queue).closed = true;
        self.filled.notify_one();
    }

    /// Waits until something may have been pushed, or the queue closed, since the last look.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Fills a batch from the queue with requests that still serve. `None` once it is closed and both are empty.
    pub(crate) fn collect(&self, batch: &mut Vec<Entry>) -> Option<()> {
        loop {
            let mut queue = lock(&self.queue);
            let count = queue.entries.len().min(BATCH_LEN_MAX.saturating_sub(batch.len()));
            if count == 0 {
                return (!queue.closed || !batch.is_empty()).then_some(());
            }
            batch.extend(queue.entries.drain(..count));
            drop(queue);
            self.drop_unwanted(batch);
        }
    }

    /// Drops from a batch what nobody waits for any more: its round was decided without this endpoint, or it waited so long
    /// that it is about nothing.
    pub(crate) fn drop_unwanted(&self, batch: &mut Vec<Entry>) {
        let now = self.clock.now();
        // What a release is about may outlive it: a shadow, or a lock that was extended by what was sent before.
        let outlived = |entry: &Entry| entry.expires <= now && entry.operation.action != Action::Release;
        for entry in batch.extract_if(.., |entry| outlived(entry) || !entry.party.wants(&self.request(entry)))
        {
            self.deliver(entry, Reply::NotSent("nobody waits for it any more".into()));
        }
    }

    /// Hands an answer to whoever asked.
    pub(crate) fn deliver(&self, entry: Entry, reply: Reply) {
        let request = self.request(&entry);
        entry.party.deliver(&request, reply);
    }

    fn request(&self, entry: &Entry) -> Request {
        Request { endpoint: self.id, round: entry.round, action: entry.operation.action }
    }
}
