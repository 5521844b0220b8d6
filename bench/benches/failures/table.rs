//! The rows as tables for people and as JSON for everything else.

use std::fmt;

use leasehold_bench::machine::Machine;
use leasehold_bench::report::Spread;
use serde::Serialize;

use crate::scene::Sample;

/// The failing p99 is to be at most so many times the healthy one, and so much more.
const RATIO_MAX: f64 = 2.0;
const EXTRA_US_MAX: f64 = 1_000.0;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Version of this document.
    pub(crate) schema: u32,
    /// Start, UTC.
    pub(crate) started: String,
    pub(crate) machine: Machine,
    pub(crate) sample_s: f64,
    pub(crate) settle_s: f64,
    pub(crate) one: Vec<OneRow>,
    pub(crate) two: Vec<TwoRow>,
}

/// What befell one endpoint.
#[derive(Debug, Serialize)]
pub(crate) struct OneRow {
    pub(crate) failure: &'static str,
    pub(crate) samples: Vec<OneSample>,
}

#[derive(Debug, Serialize)]
pub(crate) struct OneSample {
    pub(crate) healthy: Sample,
    pub(crate) failing: Sample,
    /// Leases that were held all the time, and how many of them were lost.
    pub(crate) held: usize,
    pub(crate) lost: usize,
}

/// What befell two.
#[derive(Debug, Serialize)]
pub(crate) struct TwoRow {
    pub(crate) failure: &'static str,
    pub(crate) samples: Vec<TwoSample>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TwoSample {
    /// How long each attempt took until it was refused for want of a quorum.
    pub(crate) refused_ms: Vec<f64>,
    /// Leases that were held, all of which ended.
    pub(crate) held: usize,
    /// How long after its deadline a holder was told, at most; zero if before.
    pub(crate) told_late_us: f64,
    /// From the endpoints' return to the first grant.
    pub(crate) recovered_ms: f64,
}

impl OneRow {
    pub(crate) const fn new(failure: &'static str) -> Self {
        Self { failure, samples: Vec::new() }
    }

    fn median(&self, of: impl Fn(&OneSample) -> f64) -> f64 {
        Spread::of(self.samples.iter().map(of)).map_or(f64::NAN, |spread| spread.median)
    }

    fn total(&self, of: impl Fn(&OneSample) -> u64) -> u64 {
        self.samples.iter().map(of).sum()
    }
}

impl TwoRow {
    pub(crate) const fn new(failure: &'static str) -> Self {
        Self { failure, samples: Vec::new() }
    }
}

impl fmt::Display for OneRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let healthy = self.median(|sample| sample.healthy.acquire_p99_us);
        let failing = self.median(|sample| sample.failing.acquire_p99_us);
        let ratio = self.median(|sample| sample.failing.acquire_p99_us / sample.healthy.acquire_p99_us);
        let within = |sample: &OneSample| {
            sample.failing.acquire_p99_us <= RATIO_MAX * sample.healthy.acquire_p99_us + EXTRA_US_MAX
        };
        let count = self.samples.iter().filter(|sample| within(sample)).count();
        write!(
            f,
            "| {} | {:.2} | {:.2} | {ratio:.2} | {count} of {} | {:.2} / {:.2} | {} | {} | {} of {} |",
            self.failure,
            healthy / 1e3,
            failing / 1e3,
            self.samples.len(),
            self.median(|sample| sample.healthy.release_p99_us) / 1e3,
            self.median(|sample| sample.failing.release_p99_us) / 1e3,
            self.total(|sample| sample.failing.grants),
            self.total(|sample| sample.failing.failed),
            self.total(|sample| sample.lost as u64),
            self.total(|sample| sample.held as u64),
        )
    }
}

impl fmt::Display for TwoRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |of: fn(&TwoSample) -> Vec<f64>| Spread::of(self.samples.iter().flat_map(of));
        let blank = Spread { min: f64::NAN, median: f64::NAN, max: f64::NAN };
        let refused = all(|sample| sample.refused_ms.clone()).unwrap_or(blank);
        let late = all(|sample| vec![sample.told_late_us]).unwrap_or(blank);
        let recovered = all(|sample| vec![sample.recovered_ms]).unwrap_or(blank);
        let held: usize = self.samples.iter().map(|sample| sample.held).sum();
        write!(
            f,
            "| {} | {:.2} | {:.1} | {held} of {held} | {:.1} | {:.0} |",
            self.failure,
            refused.median,
            refused.max,
            late.max / 1e3,
            recovered.median
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, machine, sample_s, settle_s, one, two, .. } = self;
        writeln!(f, "{started}: {machine}; three servers and one client on it\n")?;
        writeln!(
            f,
            "Eight tasks take and give back free leases, with a pause of 3 ms each, while 50 leases are held. Samples of {sample_s} s, \
             healthy and then, {settle_s} s after it happened, failing; each pair on new servers. p99 in ms, medians of the samples.\n"
        )?;
        writeln!(
            f,
            "| one of three | acquire p99 healthy | failing | ratio | within 2 x + 1 ms | release p99 healthy / failing | grants | refused | leases lost |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for row in one {
            writeln!(f, "{row}")?;
        }
        writeln!(
            f,
            "\n| two of three | `NoQuorum` after, median, ms | at most | leases over | told after the deadline by, ms | first grant once back after, ms |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in two {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}
