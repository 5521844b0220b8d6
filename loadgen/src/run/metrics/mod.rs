//! Figures of a run under way, for Prometheus to scrape.
//!
//! - `families`: what there is, by Prometheus's conventions. `server`: where it is had.

mod families;
mod server;

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::locked;
use crate::run::archive::Histograms;
use crate::run::live::Snapshot;
use crate::run::plan::Plan;
use families::{Subject, exposition};
use server::Server;

/// Serves `/metrics` until it is dropped.
pub(crate) struct Metrics {
    latest: Arc<Mutex<Arc<Snapshot>>>,
    _server: Server,
}

impl Metrics {
    pub(crate) fn start(listener: &TcpListener, plan: &Plan, histograms: Histograms) -> io::Result<Self> {
        let latest = Arc::<Mutex<Arc<Snapshot>>>::default();
        let (subject, shared) = (Subject::of(plan), Arc::clone(&latest));
        let page = move || {
            let seen = Arc::clone(&locked(&shared));
            exposition(&subject, &seen, &histograms.totals().unwrap_or_default()).map_err(io::Error::other)
        };
        Ok(Self { latest, _server: Server::start(listener, page)? })
    }

    /// What the next scrape tells.
    pub(crate) fn show(&self, snapshot: Snapshot) {
        *locked(&self.latest) = Arc::new(snapshot);
    }
}
