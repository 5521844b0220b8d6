//! Merges the workers' histograms on a thread of its own: unpacking them takes longer than a fault should be late.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use crate::locked;
use crate::measure::{CodecError, EncodedInterval, Phase, PhaseSet, Timeline, percentile_us};
use crate::run::priority::step_back;

/// So many of the last seconds are at hand for who watches.
const SECONDS_MAX: usize = 30;

/// Takes what comes and merges it in time.
#[derive(Debug)]
pub(crate) struct Archive {
    intervals: Sender<EncodedInterval>,
    timeline: Arc<Mutex<Timeline>>,
    /// Apart from the timeline, so that a look at it waits for no merging.
    glance: Arc<Mutex<Glance>>,
    thread: JoinHandle<Result<(), CodecError>>,
}

/// What a look at a run under way shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Glance {
    /// The 99th percentile of acquisitions so far; nothing before there are enough of them.
    pub(crate) acquire_p99_us: Option<f64>,
    /// Attempts so far.
    pub(crate) attempts: u64,
    /// The last seconds, the oldest first. The newest may not be complete.
    pub(crate) seconds: Vec<Second>,
}

/// One second of the measured part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    /// Which one, from 0.
    pub(crate) number: u32,
    /// Acquisitions that were sent in it.
    pub(crate) sent: u64,
    /// Acquisitions that were granted in it.
    pub(crate) granted: u64,
    /// The 99th percentile of those; nothing where there are none.
    pub(crate) acquire_p99_ns: Option<u64>,
}

/// The histograms of a run under way, for as long as it is.
pub(crate) struct Histograms(Weak<Mutex<Timeline>>);

impl Histograms {
    /// A copy of all phases so far; waits for merging, so it is not for the coordinator.
    pub(crate) fn totals(&self) -> Option<PhaseSet> {
        self.0.upgrade().map(|timeline| locked(&timeline).totals().clone())
    }
}

impl Archive {
    pub(crate) fn open() -> io::Result<Self> {
        let (intervals, queue) = channel();
        let (timeline, glance) = (Arc::<Mutex<Timeline>>::default(), Arc::<Mutex<Glance>>::default());
        let (inner, seen) = (Arc::clone(&timeline), Arc::clone(&glance));
        let thread = std::thread::Builder::new()
            .name("archive".to_owned())
            .spawn(move || merge(&queue, &inner, &seen))?;
        Ok(Self { intervals, timeline, glance, thread })
    }

    /// The queue is bounded by what workers record: a few messages a second each.
    pub(crate) fn add(&self, interval: EncodedInterval) {
        // A thread that has stopped has a reason, which `close` brings to light.
        self.intervals.send(interval).unwrap_or_default();
    }

    pub(crate) fn glance(&self) -> Glance {
        locked(&self.glance).clone()
    }

    /// Must be gone when the archive is closed.
    pub(crate) fn histograms(&self) -> Histograms {
        Histograms(Arc::downgrade(&self.timeline))
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

fn merge(
    queue: &Receiver<EncodedInterval>,
    timeline: &Mutex<Timeline>,
    glance: &Mutex<Glance>,
) -> Result<(), CodecError> {
    step_back();
    let mut seconds = BTreeMap::new();
    while let Ok(first) = queue.recv() {
        let mut timeline = locked(timeline);
        let mut changed = BTreeSet::new();
        for interval in std::iter::once(first).chain(queue.try_iter()) {
            changed.insert(interval.second);
            timeline.merge(interval)?;
        }
        for number in changed {
            seconds.insert(number, Second::of(&timeline, number)?);
        }
        while seconds.len() > SECONDS_MAX {
            seconds.pop_first();
        }
        let totals = timeline.totals();
        let seen = Glance {
            acquire_p99_us: totals.get(Phase::Acquire).and_then(|acquire| percentile_us(acquire, 0.99)),
            attempts: totals.get(Phase::Attempt).map_or(0, |attempt| attempt.len()),
            seconds: seconds.values().copied().collect(),
        };
        *locked(glance) = seen;
    }
    Ok(())
}

impl Second {
    fn of(timeline: &Timeline, number: u32) -> Result<Self, CodecError> {
        let of = |phase| timeline.second(number, phase).transpose();
        let acquire = of(Phase::Acquire)?;
        Ok(Self {
            number,
            sent: of(Phase::DueToSent)?.map_or(0, |sent| sent.len()),
            granted: acquire.as_ref().map_or(0, |acquire| acquire.len()),
            acquire_p99_ns: acquire.map(|acquire| acquire.value_at_quantile(0.99)),
        })
    }
}
