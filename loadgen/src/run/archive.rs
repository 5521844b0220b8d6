//! Merges the workers' histograms on a thread of its own: unpacking them takes longer than a fault should be late.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::measure::{CodecError, EncodedInterval, Phase, Timeline};
use crate::run::priority::step_back;

/// Takes what comes and merges it in time.
#[derive(Debug)]
pub(crate) struct Archive {
    intervals: Sender<EncodedInterval>,
    timeline: Arc<Mutex<Timeline>>,
    thread: JoinHandle<Result<(), CodecError>>,
}

/// What a look at a run under way shows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Glance {
    /// The 99th percentile of acquisitions so far; nothing before the first.
    pub(crate) acquire_p99_ns: Option<u64>,
    /// Attempts so far.
    pub(crate) attempts: u64,
}

impl Archive {
    pub(crate) fn open() -> io::Result<Self> {
        let (intervals, queue) = channel();
        let timeline = Arc::new(Mutex::new(Timeline::default()));
        let inner = Arc::clone(&timeline);
        let thread =
            std::thread::Builder::new().name("archive".to_owned()).spawn(move || merge(&queue, &inner))?;
        Ok(Self { intervals, timeline, thread })
    }

    /// The queue is bounded by what workers record: a few messages a second each.
    pub(crate) fn add(&self, interval: EncodedInterval) {
        // A thread that has stopped has a reason, which `close` brings to light.
        self.intervals.send(interval).unwrap_or_default();
    }

    pub(crate) fn glance(&self) -> Glance {
        let timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        Glance {
            acquire_p99_ns: timeline.totals().get(Phase::Acquire).map(|h| h.value_at_quantile(0.99)),
            attempts: timeline.totals().get(Phase::Attempt).map_or(0, |h| h.len()),
        }
    }

    /// Waits until everything is merged.
    pub(crate) fn close(self) -> Result<Timeline, ArchiveError> {
        drop(self.intervals);
        self.thread.join().map_err(|_| ArchiveError::Panicked)??;
        let timeline = Arc::into_inner(self.timeline).ok_or(ArchiveError::Panicked)?;
        Ok(timeline.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why the histograms are not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("the thread that merges histograms has ended early")]
    Panicked,
}

fn merge(queue: &Receiver<EncodedInterval>, timeline: &Mutex<Timeline>) -> Result<(), CodecError> {
    step_back();
    while let Ok(interval) = queue.recv() {
        timeline.lock().unwrap_or_else(PoisonError::into_inner).merge(interval)?;
    }
    Ok(())
}
