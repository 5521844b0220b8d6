//! A worker's side of the link: many tasks report, one task writes. Nobody waits for an answer.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::bytes::Bytes;

use crate::clock::now_ns;
use crate::locked;
use crate::run::link::{Frames, Report, encode};
use crate::run::waiting::Waiter;

/// Reports waiting to be written; whoever brings one more waits.
const REPORTS_MAX: usize = 16_384;
/// From one writing to the next. The coordinator judges by the times in the reports and not by those of their arrival,
/// and each time that it is woken costs the sending a turn on the processor.
const POST_EVERY: Duration = Duration::from_millis(20);

/// The coordinator has gone; nothing that a worker does matters any more.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator has gone")]
pub(crate) struct Gone;

/// What the nodes of a worker report through.
pub(crate) struct Outbox {
    reports: mpsc::Sender<Report>,
    /// What is under way and not yet reported, by call time; each with who waits, until nobody does.
    calls: Mutex<BTreeMap<(u64, u64), Option<Waiter>>>,
    next_call: AtomicU64,
}

/// An acquisition under way. Until it is dropped, judgement waits for its report.
pub(crate) struct Call<'a> {
    outbox: &'a Outbox,
    id: (u64, u64),
}

impl Call<'_> {
    /// When it was called.
    pub(crate) fn ns(&self) -> u64 {
        self.id.0
    }

    /// The lock has answered: nobody waits any more.
    pub(crate) fn answered(&self) {
        if let Some(waiter) = locked(&self.outbox.calls).get_mut(&self.id) {
            *waiter = None;
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        locked(&self.outbox.calls).remove(&self.id);
    }
}

impl Outbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Report>) {
        let (reports, queue) = mpsc::channel(REPORTS_MAX);
        let outbox = Self { reports, calls: Mutex::default(), next_call: AtomicU64::new(0) };
        (outbox, queue)
    }

    pub(crate) async fn report(&self, report: Report) -> Result<(), Gone> {
        self.reports.send(report).await.map_err(|_| Gone)
    }

    /// The same, for a thread that is no task.
    pub(crate) fn report_blocking(&self, report: Report) -> Result<(), Gone> {
        self.reports.blocking_send(report).map_err(|_| Gone)
    }

    /// Begins an acquisition of `key` by `node` now.
    pub(crate) fn call(&self, node: u32, key: u32) -> Call<'_> {
        let mut calls = locked(&self.calls);
        // Read under the lock: `low_ns` must not be given out between the reading and the insertion.
        let call_ns = now_ns();
        let id = (call_ns, self.next_call.fetch_add(1, Ordering::Relaxed));
        calls.insert(id, Some(Waiter { node, key, call_ns }));
        Call { outbox: self, id }
    }

    /// Nothing still to be reported was called before this.
    pub(crate) fn low_ns(&self) -> u64 {
        locked(&self.calls).first_key_value().map_or_else(now_ns, |(call, _)| call.0)
    }

    /// Who waits for a lock now, the longest first.
    pub(crate) fn waiters(&self) -> Vec<Waiter> {
        locked(&self.calls).values().flatten().copied().collect()
    }
}

/// Writes reports until there will be no more, now and then as many as there are.
pub(crate) async fn post(
    mut queue: mpsc::Receiver<Report>,
    mut stream: SplitSink<Frames, Bytes>,
) -> io::Result<()> {
    let mut reports = Vec::new();
    while queue.recv_many(&mut reports, REPORTS_MAX).await > 0 {
        for report in reports.drain(..) {
            stream.feed(encode(&report)?).await?;
        }
        stream.flush().await?;
        if !queue.is_closed() {
            sleep(POST_EVERY).await;
        }
    }
    stream.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_mark_waits_for_the_oldest_call() {
        let (outbox, _queue) = Outbox::new();
        let before_ns = now_ns();
        assert!(outbox.low_ns() >= before_ns, "nothing under way");
        let (first, second) = (outbox.call(0, 7), outbox.call(0, 8));
        assert_eq!(outbox.low_ns(), first.ns());
        first.answered();
        assert_eq!(outbox.low_ns(), first.ns(), "answered is not yet reported");
        assert_eq!(outbox.waiters().iter().map(|waiter| waiter.key).collect::<Vec<_>>(), [8]);
        let second_ns = second.ns();
        drop(first);
        assert_eq!(outbox.low_ns(), second_ns);
        drop(second);
        assert!(outbox.low_ns() > second_ns);
    }
}
