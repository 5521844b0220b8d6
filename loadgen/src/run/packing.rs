//! Packs a worker's histograms on a thread of its own that steps back: a second's take a millisecond, and the sending
//! cannot wait for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::measure::Interval;
use crate::run::link::{Progress, Report};
use crate::run::outbox::Outbox;
use crate::run::priority::step_back;
use crate::run::probe::Taken;
use crate::run::waiting::Waiting;

/// What is to be packed.
pub(crate) struct Parcel {
    pub(crate) taken: Taken,
    /// Nothing still to be reported was called before this: read before anything else, because what ends while the
    /// histograms are packed is reported before them.
    pub(crate) low_ns: u64,
    /// Who waited then.
    pub(crate) waiting: Waiting,
}

/// The thread that packs.
pub(crate) struct Packing {
    parcels: Sender<Parcel>,
    thread: JoinHandle<io::Result<()>>,
}

impl Packing {
    pub(crate) fn start(outbox: Arc<Outbox>) -> io::Result<Self> {
        let (parcels, queue) = channel();
        let thread =
            std::thread::Builder::new().name("packing".to_owned()).spawn(move || pack(&queue, &outbox))?;
        Ok(Self { parcels, thread })
    }

    /// The queue is bounded by what a worker measures: a parcel a second.
    pub(crate) fn add(&self, parcel: Parcel) {
        // A thread that has stopped has a reason, which `finish` brings to light.
        self.parcels.send(parcel).unwrap_or_default();
    }

    /// Waits until everything is packed and reported.
    pub(crate) async fn finish(self) -> io::Result<()> {
        drop(self.parcels);
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        ended.map_err(|_| io::Error::other("the thread that packs histograms panicked"))?
    }
}

fn pack(queue: &Receiver<Parcel>, outbox: &Outbox) -> io::Result<()> {
    step_back();
    while let Ok(Parcel { taken, low_ns, waiting }) = queue.recv() {
        let intervals: Result<Vec<_>, _> = taken.intervals.iter().map(Interval::encode).collect();
        let progress = Progress {
            intervals: intervals.map_err(io::Error::other)?,
            sendings: taken.sendings,
            sent: taken.counts.sent,
            not_sent: taken.counts.not_sent,
            low_ns,
            waiting,
        };
        outbox.report_blocking(Report::Progress(progress)).map_err(io::Error::other)?;
    }
    Ok(())
}
