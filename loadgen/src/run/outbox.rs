//! A worker's side of the link: many tasks report, one task writes, and writes to the resource come back confirmed.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::sync::{mpsc, oneshot};
use tokio_util::bytes::Bytes;

use crate::clock::now_ns;
use crate::run::link::{Frames, Report, WriteRequest, encode};

/// Reports waiting to be written; whoever brings one more waits.
const REPORTS_MAX: usize = 4_096;

/// The coordinator has gone; nothing that a worker does matters any more.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator has gone")]
pub(crate) struct Gone;

/// What the nodes of a worker report through.
pub(crate) struct Outbox {
    reports: mpsc::Sender<Report>,
    writes: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    next_write: AtomicU64,
    /// Call times of what is under way and not yet reported.
    calls: Mutex<BTreeSet<(u64, u64)>>,
    next_call: AtomicU64,
}

/// An acquisition under way. Until it is dropped, judgement waits for its report.
pub(crate) struct Call<'a> {
    outbox: &'a Outbox,
    key: (u64, u64),
}

impl Call<'_> {
    /// When it was called.
    pub(crate) fn ns(&self) -> u64 {
        self.key.0
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        locked(&self.outbox.calls).remove(&self.key);
    }
}

impl Outbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Report>) {
        let (reports, queue) = mpsc::channel(REPORTS_MAX);
        let outbox = Self {
            reports,
            writes: Mutex::default(),
            next_write: AtomicU64::new(0),
            calls: Mutex::default(),
            next_call: AtomicU64::new(0),
        };
        (outbox, queue)
    }

    pub(crate) async fn report(&self, report: Report) -> Result<(), Gone> {
        self.reports.send(report).await.map_err(|_| Gone)
    }

    /// Sends a write, and waits until it was judged.
    pub(crate) async fn write(&self, mut write: WriteRequest) -> Result<(), Gone> {
        write.write_id = self.next_write.fetch_add(1, Ordering::Relaxed);
        let (judged, judgement) = oneshot::channel();
        locked(&self.writes).insert(write.write_id, judged);
        self.report(Report::Write(write)).await?;
        judgement.await.map_err(|_| Gone)
    }

    /// A write was judged.
    pub(crate) fn written(&self, write_id: u64) {
        if let Some(judged) = locked(&self.writes).remove(&write_id) {
            // A holder whose task has ended does not need to know.
            judged.send(()).unwrap_or_default();
        }
    }

    /// Begins an acquisition now.
    pub(crate) fn call(&self) -> Call<'_> {
        let mut calls = locked(&self.calls);
        // Read under the lock: `low_ns` must not be given out between the reading and the insertion.
        let key = (now_ns(), self.next_call.fetch_add(1, Ordering::Relaxed));
        calls.insert(key);
        Call { outbox: self, key }
    }

    /// Nothing still to be reported was called before this.
    pub(crate) fn low_ns(&self) -> u64 {
        locked(&self.calls).first().map_or_else(now_ns, |call| call.0)
    }
}

/// Writes reports as they come, as many at a time as there are.
pub(crate) async fn post(
    mut queue: mpsc::Receiver<Report>,
    mut stream: SplitSink<Frames, Bytes>,
) -> io::Result<()> {
    const AT_ONCE: usize = 64;
    let mut reports = Vec::with_capacity(AT_ONCE);
    while queue.recv_many(&mut reports, AT_ONCE).await > 0 {
        for report in reports.drain(..) {
            stream.feed(encode(&report)?).await?;
        }
        stream.flush().await?;
    }
    stream.close().await
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_mark_waits_for_the_oldest_call() {
        let (outbox, _queue) = Outbox::new();
        let before_ns = now_ns();
        assert!(outbox.low_ns() >= before_ns, "nothing under way");
        let (first, second) = (outbox.call(), outbox.call());
        assert_eq!(outbox.low_ns(), first.ns());
        let second_ns = second.ns();
        drop(first);
        assert_eq!(outbox.low_ns(), second_ns);
        drop(second);
        assert!(outbox.low_ns() > second_ns);
    }

    #[tokio::test]
    async fn a_write_waits_for_its_own_confirmation() {
        let (outbox, mut queue) = Outbox::new();
        let write =
            || WriteRequest { write_id: 0, grant_id: 1, key: 2, granted_ns: 3, token: None, ordinal: 0 };
        let judge = async {
            let mut ids = Vec::new();
            while ids.len() < 2 {
                if let Some(Report::Write(write)) = queue.recv().await {
                    ids.push(write.write_id);
                }
            }
            assert_ne!(ids[0], ids[1]);
            outbox.written(ids[1]);
            outbox.written(ids[0]);
        };
        let (first, second, ()) = futures::join!(outbox.write(write()), outbox.write(write()), judge);
        assert!(first.is_ok() && second.is_ok());
        drop(queue);
        assert!(outbox.write(write()).await.is_err(), "nobody will ever judge it");
    }
}
