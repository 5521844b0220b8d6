//! How a run goes, while it goes: a block of lines that is redrawn on a terminal, one plain line now and then elsewhere.
//!
//! The coordinator hands over what it knows and goes on; `painter` prints it on a thread of its own, so that a terminal
//! which stands still holds up nothing.
//!
//! # Layout
//!
//! - `snapshot`: what is known at one moment.
//! - `block`, `line`: what is shown of it on a terminal and elsewhere.
//! - `painter`: the thread that shows it.

mod block;
mod line;
mod painter;
mod snapshot;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use tokio::time::sleep;

use crate::run::archive::Histograms;
use crate::run::court::Court;
use crate::run::metrics::Metrics;
use crate::run::plan::Plan;
use crate::run::watch::Watch;
use painter::Painter;
pub(crate) use snapshot::Snapshot;

/// From one look at the run to the next.
const PERIOD: Duration = Duration::from_millis(500);

/// Shows a run on standard error, and to Prometheus.
pub(crate) struct Live<'p> {
    plan: &'p Plan,
    start_ns: u64,
    painter: Option<Painter>,
    metrics: Option<Metrics>,
}

impl<'p> Live<'p> {
    /// Shows it to whoever wants to see it.
    pub(crate) fn new(
        plan: &'p Plan,
        start_ns: u64,
        watch: &Watch,
        histograms: Histograms,
    ) -> io::Result<Self> {
        let listener = watch.metrics();
        let metrics = listener.map(|listener| Metrics::start(listener, plan, histograms)).transpose()?;
        let painter = if watch.is_quiet() { None } else { Some(Painter::start(plan)?) };
        Ok(Self { plan, start_ns, painter, metrics })
    }

    /// Shows it until it is dropped.
    pub(crate) async fn show(&self, court: &RefCell<Court>) {
        if self.painter.is_none() && self.metrics.is_none() {
            return;
        }
        loop {
            sleep(PERIOD).await;
            let snapshot = Snapshot::of(self.plan, &court.borrow(), self.start_ns);
            if let Some(metrics) = &self.metrics {
                metrics.show(snapshot.clone());
            }
            if let Some(painter) = &self.painter {
                painter.show(snapshot);
            }
        }
    }
}
