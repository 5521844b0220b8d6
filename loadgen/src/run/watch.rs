//! How a run is to be watched.

use std::fmt::Arguments;
use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::cli::WatchArgs;

/// What the command line says about it.
#[derive(Debug)]
pub(crate) struct Watch {
    quiet: bool,
    /// Kept over all runs of a command: who scrapes between two of them waits for the next.
    metrics: Option<TcpListener>,
}

/// Nobody could watch it there.
#[derive(Debug, thiserror::Error)]
#[error("--metrics {address}: {because}; name another address, or port 0 for a free one")]
pub(crate) struct WatchError {
    address: SocketAddr,
    because: io::Error,
}

impl Watch {
    pub(crate) fn new(args: &WatchArgs) -> Result<Self, WatchError> {
        let listen = |address| TcpListener::bind(address).map_err(|because| WatchError { address, because });
        let watch = Self { quiet: args.quiet, metrics: args.metrics.map(listen).transpose()? };
        if let Some(address) = watch.metrics.as_ref().and_then(|listener| listener.local_addr().ok()) {
            watch.tell(format_args!("metrics at    http://{address}/metrics"));
        }
        Ok(watch)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Where Prometheus asks.
    pub(crate) fn metrics(&self) -> Option<&TcpListener> {
        self.metrics.as_ref()
    }

    /// Says something that is no warning, unless nothing is to be said.
    pub(crate) fn tell(&self, text: Arguments<'_>) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}
