//! What runs are compared by.

use std::fmt;
use std::str::FromStr;

use super::super::run_json::Run;
use super::super::table::{decimal, ms, per_second, percent};
use crate::referee::Count;

/// One figure of a run.
#[derive(Clone, Copy)]
pub(crate) struct Metric {
    /// As `--fail-if` calls it.
    pub(crate) name: &'static str,
    /// As people read it.
    pub(crate) label: &'static str,
    pub(crate) unit: Unit,
    pub(crate) figure: Figure,
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds, shown as milliseconds.
    Time,
    /// Per second.
    Rate,
    /// A share of one.
    Share,
    /// Seconds of a processor.
    Processor,
    /// Just a number.
    Plain,
}

/// Where it comes from.
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    /// A number of each run; nothing where a run has too few samples for it.
    Measured(fn(&Run) -> Option<f64>),
    /// Some of many, which are pooled over runs; nothing for a lock of which it cannot be asked.
    Counted(fn(&Run) -> Option<&Count>),
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// No figure that runs are compared by.
#[derive(Debug, thiserror::Error)]
#[error("there is no figure {0:?}; there are {names}", names = Metric::ALL.map(|metric| metric.name).join(", "))]
pub(crate) struct UnknownMetric(String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        let named = Self::ALL.into_iter().find(|metric| metric.name == name);
        named.ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}

impl Metric {
    pub(crate) const ALL: [Self; 13] = [
        Self::measured("p50", "acquire p50", Unit::Time, |run| run.latency_us.acquire.p50),
        Self::measured("p90", "acquire p90", Unit::Time, |run| run.latency_us.acquire.p90),
        Self::measured("p99", "acquire p99", Unit::Time, |run| run.latency_us.acquire.p99),
        Self::measured("p999", "acquire p99.9", Unit::Time, |run| run.latency_us.acquire.p999),
        Self::measured("rate", "achieved rate", Unit::Rate, |run| Some(run.achieved_per_s)),
        Self::measured("retries", "retries per grant", Unit::Plain, |run| run.contention.retries_per_grant),
        Self::measured("handoff_p50", "hand-over p50", Unit::Time, |run| run.contention.handoff_us.p50),
        Self::measured("client_cpu", "processor time of nodes", Unit::Processor, |run| {
            Some(run.usage.client_cpu_s)
        }),
        Self::measured("server_cpu", "processor time of servers", Unit::Processor, |run| {
            run.usage.server_cpu_s
        }),
        Self::counted("contract_overlaps", "contract overlaps", |run| Some(&run.safety.contract_overlaps)),
        Self::counted("double_acquisition", "double acquisitions", |run| {
            Some(&run.safety.double_acquisition_rate)
        }),
        Self::counted("stale_writes", "stale writes accepted without a fence", |run| {
            Some(&run.safety.stale_writes_accepted_unfenced)
        }),
        Self::counted("stale_writes_fenced", "stale writes accepted past the fence", |run| {
            run.safety.stale_writes_accepted_fenced.as_ref()
        }),
    ];

    const fn measured(
        name: &'static str,
        label: &'static str,
        unit: Unit,
        figure: fn(&Run) -> Option<f64>,
    ) -> Self {
        Self { name, label, unit, figure: Figure::Measured(figure) }
    }

    const fn counted(name: &'static str, label: &'static str, figure: fn(&Run) -> Option<&Count>) -> Self {
        Self { name, label, unit: Unit::Share, figure: Figure::Counted(figure) }
    }

    /// The figure of one run.
    pub(crate) fn of(&self, run: &Run) -> Option<f64> {
        match self.figure {
            Figure::Measured(figure) => figure(run),
            Figure::Counted(figure) => figure(run)?.rate,
        }
    }

    /// The count over several runs; nothing for a figure that is not counted.
    pub(crate) fn pooled<'a>(&self, runs: impl IntoIterator<Item = &'a Run>) -> Option<Count> {
        let Figure::Counted(figure) = self.figure else { return None };
        let mut pooled: Option<(u64, u64)> = None;
        for count in runs.into_iter().filter_map(figure) {
            let (seen, of) = pooled.unwrap_or_default();
            pooled = Some((seen + count.count, of + count.of));
        }
        pooled.map(|(seen, of)| Count::new(seen, of))
    }

    /// A value in words.
    pub(crate) fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Time => format!("{} ms", ms(Some(value))),
            Unit::Rate => per_second(value),
            Unit::Share => percent(Some(value)),
            Unit::Processor => format!("{} s", decimal(value)),
            Unit::Plain => decimal(value),
        }
    }
}
