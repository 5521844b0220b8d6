//! How a run goes, while it goes: one line that is rewritten on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use crate::clock::now_ns;
use crate::run::court::Court;
use crate::run::plan::Plan;

const PERIOD_TERMINAL: Duration = Duration::from_millis(500);
const PERIOD_PLAIN: Duration = Duration::from_secs(5);

/// Shows a run on standard error.
#[derive(Debug)]
pub(crate) struct Live {
    terminal: bool,
    start_ns: u64,
    measured_ns: (u64, u64),
    length_ns: u64,
    rate_per_s: f64,
}

impl Live {
    pub(crate) fn new(plan: &Plan, start_ns: u64) -> Self {
        Self {
            terminal: stderr().is_terminal(),
            start_ns,
            measured_ns: plan.load.measured_ns(),
            length_ns: plan.load.length_ns(),
            rate_per_s: plan.load.rate_per_s,
        }
    }

    pub(crate) fn period(&self) -> Duration {
        if self.terminal { PERIOD_TERMINAL } else { PERIOD_PLAIN }
    }

    pub(crate) fn show(&mut self, court: &Court) {
        let line = self.line(court, now_ns().saturating_sub(self.start_ns));
        let mut out = stderr().lock();
        // A terminal that has gone away must not end the run.
        let written = if self.terminal { write!(out, "\r{line}\x1b[K") } else { writeln!(out, "{line}") };
        written.and_then(|()| out.flush()).unwrap_or_default();
    }

    fn line(&self, court: &Court, since_ns: u64) -> String {
        let left_s = self.length_ns.saturating_sub(since_ns).div_ceil(1_000_000_000);
        if since_ns < self.measured_ns.0 {
            return format!("{left_s:>4} s left | warming up");
        }
        let seconds = (since_ns.min(self.measured_ns.1) - self.measured_ns.0) as f64 / 1e9;
        let (granted, glance) = (court.counts().granted, court.glance());
        let retries = glance.attempts.saturating_sub(court.counts().sent()) as f64 / granted.max(1) as f64;
        let (contract, acting) = court.overlaps();
        let mut line = format!(
            "{left_s:>4} s left | offered {:.0}/s, granted {:.0}/s | p99 {:.2} ms | {retries:.2} retries a grant \
             | overlaps {contract} by contract, {acting} acting",
            self.rate_per_s,
            granted as f64 / seconds.max(0.001),
            glance.acquire_p99_ns.unwrap_or(0) as f64 / 1e6,
        );
        for (name, count) in counted(&court.faults_active()) {
            line.push_str(&format!(" | {count} {name}"));
        }
        line
    }
}

fn counted<'n>(names: &[&'n str]) -> BTreeMap<&'n str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(*name).or_default() += 1;
    }
    counts
}

impl Drop for Live {
    /// What is printed next begins on a line of its own.
    fn drop(&mut self) {
        if self.terminal {
            writeln!(stderr().lock()).unwrap_or_default();
        }
    }
}
