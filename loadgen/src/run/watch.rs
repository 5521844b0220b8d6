//! How a run is to be watched.

use std::fmt::Arguments;

use crate::cli::WatchArgs;

/// What the command line says about it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    quiet: bool,
}

impl Watch {
    pub(crate) fn new(args: &WatchArgs) -> Self {
        Self { quiet: args.quiet }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says something that is no warning, unless nothing is to be said.
    pub(crate) fn tell(&self, text: Arguments<'_>) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}
