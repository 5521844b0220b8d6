//! Many seeds at once, and what they came to.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::referee::{Counts, Violation};
use crate::sabotage::Control;
use crate::world::{Options, simulate};

/// Which seeds to play, and until when.
#[derive(Clone, Copy)]
pub struct Swarm<'a> {
    /// The first seed; the others follow it.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// No further seed begins after this time.
    pub time: Option<Duration>,
    /// Seeds played at once, each by a thread of its own.
    pub threads: usize,
    /// What a seed's plan is.
    pub draw: &'a (dyn Fn(u64) -> Plan + Sync),
    /// A rule that is broken on purpose.
    pub sabotage: Option<Control>,
    /// Whether to end at the first seed that fails.
    pub until_found: bool,
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// What was found wrong.
    pub violations: Vec<Violation>,
}

/// What a swarm came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Seeds played.
    pub seeds: u64,
    /// The sums of their counts.
    pub counts: Counts,
    /// The seeds that failed, in order; of very many, some.
    pub failures: Vec<Failure>,
    /// How many failed.
    pub failed: u64,
    /// How long it took.
    pub took: Duration,
}

/// Failures of which the findings are kept.
const FAILURES_MAX: usize = 100;

impl fmt::Debug for Swarm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, seeds, sabotage, .. } = self;
        f.debug_struct("Swarm")
            .field("first", first)
            .field("seeds", seeds)
            .field("sabotage", sabotage)
            .finish_non_exhaustive()
    }
}

impl Swarm<'_> {
    /// Plays the seeds.
    #[must_use]
    pub fn play(&self) -> Report {
        let began = Instant::now();
        let next = AtomicU64::new(0);
        let found = AtomicBool::new(false);
        let report = Mutex::new(Report::default());
        let work = || {
            while !found.load(Ordering::Relaxed) && self.time.is_none_or(|time| began.elapsed() < time) {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= self.seeds {
                    return;
                }
                let seed = self.first.wrapping_add(place);
                let plan = (self.draw)(seed);
                let outcome = simulate(&plan, Options { trace: false, sabotage: self.sabotage });
                let mut report = crate::lock(&report);
                report.seeds += 1;
                report.counts += &outcome.counts;
                if !outcome.violations.is_empty() {
                    report.failed += 1;
                    if report.failures.len() < FAILURES_MAX {
                        report.failures.push(Failure { seed, violations: outcome.violations });
                    }
                    found.store(self.until_found, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        let mut report = report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        report.failures.sort_by_key(|failure| failure.seed);
        report.took = began.elapsed();
        report
    }
}
