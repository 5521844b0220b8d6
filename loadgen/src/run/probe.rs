//! Where a worker's nodes and locks write down how long things took.

use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::clock::now_ns;
use crate::locked;
use crate::measure::{Interval, Phase, Recorder};

/// Cheap to clone; all clones write into the same histograms.
#[derive(Clone)]
pub(crate) struct Probe(Arc<Mutex<Inner>>);

struct Inner {
    /// The part of the run that the figures are about, on the machine-wide clock.
    measured_ns: (u64, u64),
    recorder: Recorder,
    /// Due and sent times, kept only where a fault may have held the sender.
    sendings: Option<Vec<(u64, u64)>>,
    counts: SendCounts,
    renewals: RenewalCounts,
}

/// Arrivals of the measured part, so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCounts {
    /// Those whose acquisition was called.
    pub(crate) sent: u64,
    /// Those whose node had no room for them.
    pub(crate) not_sent: u64,
}

/// Renewals of the measured part, so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RenewalCounts {
    pub(crate) attempted: u64,
    pub(crate) succeeded: u64,
    /// Those that kept the lease alive by its shadow only.
    pub(crate) shadow: u64,
}

/// What was written down between two looks.
pub(crate) struct Taken {
    pub(crate) intervals: Vec<Interval>,
    pub(crate) sendings: Vec<(u64, u64)>,
    pub(crate) counts: SendCounts,
}

impl Probe {
    /// With `paused`, each sending is kept as it was.
    pub(crate) fn new(paused: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            measured_ns: (u64::MAX, u64::MAX),
            recorder: Recorder::new(u64::MAX),
            sendings: paused.then(Vec::new),
            counts: SendCounts::default(),
            renewals: RenewalCounts::default(),
        })))
    }

    /// From here on, what belongs to this stretch of time is written down.
    pub(crate) fn measure(&self, from_ns: u64, to_ns: u64) {
        let mut inner = self.inner();
        inner.measured_ns = (from_ns, to_ns);
        inner.recorder = Recorder::new(from_ns);
    }

    /// Something that took `length_ns` has just ended.
    pub(crate) fn record(&self, phase: Phase, length_ns: u64) {
        self.record_for(now_ns(), phase, length_ns);
    }

    /// A phase of an acquisition that was due at `due_ns`: it belongs to the figures if that does.
    pub(crate) fn record_for(&self, due_ns: u64, phase: Phase, length_ns: u64) {
        let mut inner = self.inner();
        if inner.measures(due_ns) {
            inner.recorder.record(phase, now_ns(), length_ns);
        }
    }

    /// An acquisition due at `due_ns` was called; its node was busy until `ready_ns`.
    pub(crate) fn sent(&self, due_ns: u64, call_ns: u64, ready_ns: u64) {
        let mut inner = self.inner();
        if !inner.measures(due_ns) {
            return;
        }
        let late_ns = call_ns.saturating_sub(due_ns);
        inner.counts.sent += 1;
        inner.recorder.record(Phase::DueToSent, call_ns, late_ns);
        match &mut inner.sendings {
            Some(sendings) => sendings.push((due_ns.max(ready_ns), call_ns)),
            None => {
                let lag_ns = call_ns.saturating_sub(due_ns.max(ready_ns));
                inner.recorder.record(Phase::SendLag, call_ns, lag_ns);
            }
        }
    }

    /// An arrival due at `due_ns` could not be handed to its node.
    pub(crate) fn not_sent(&self, due_ns: u64) {
        let mut inner = self.inner();
        inner.counts.not_sent += u64::from(inner.measures(due_ns));
    }

    /// A renewal was tried.
    pub(crate) fn renewal(&self, succeeded: bool, shadow: bool) {
        let mut inner = self.inner();
        if inner.measures(now_ns()) {
            inner.renewals.attempted += 1;
            inner.renewals.succeeded += u64::from(succeeded);
            inner.renewals.shadow += u64::from(succeeded && shadow);
        }
    }

    pub(crate) fn renewals(&self) -> RenewalCounts {
        self.inner().renewals
    }

    /// Takes the seconds that are over, and the counts so far.
    pub(crate) fn take(&self) -> Taken {
        let mut inner = self.inner();
        let intervals = inner.recorder.take_closed();
        inner.taken(intervals)
    }

    /// Takes all that is left; nothing is written down any more.
    pub(crate) fn finish(&self) -> Taken {
        let mut inner = self.inner();
        inner.measured_ns = (u64::MAX, u64::MAX);
        let recorder = std::mem::replace(&mut inner.recorder, Recorder::new(u64::MAX));
        inner.taken(recorder.finish())
    }

    /// A histogram that a panic left behind is no worse than one without it.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        locked(&self.0)
    }
}

impl Inner {
    fn measures(&self, at_ns: u64) -> bool {
        (self.measured_ns.0..self.measured_ns.1).contains(&at_ns)
    }

    fn taken(&mut self, intervals: Vec<Interval>) -> Taken {
        let sendings = self.sendings.as_mut().map(std::mem::take).unwrap_or_default();
        Taken { intervals, sendings, counts: self.counts }
    }
}
