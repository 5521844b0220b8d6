//! Groups of runs against each other: figures, intervals, and a verdict in sentences.
//!
//! # Layout
//!
//! - `metric`: what runs are compared by. `statistics`: what a few runs say about a difference.
//! - `threshold`: what must not be found. This file: groups, and sentences about them.

mod metric;
mod statistics;
mod threshold;

pub(crate) use metric::{Figure, Metric};
pub(crate) use threshold::Threshold;

use super::run_json::Run;
use super::table::{percent, whole};
use crate::referee::Count;
use statistics::{median, shift};

/// So many repeats a side make a claim about speed.
pub(crate) const REPEATS_FOR_A_CLAIM: usize = 5;

/// Runs that are repeats of each other.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    /// `A`, `B` and on.
    pub(crate) letter: char,
    /// What is common to its runs: their lock.
    pub(crate) label: String,
    pub(crate) runs: Vec<&'a Run>,
}

/// What a difference is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its interval leaves out zero.
    Shown,
    /// It is smaller than the runs' own scatter.
    Noise,
    /// Seen, but there are too few runs to tell it from noise.
    Seen,
}

/// By how much one group differs from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Difference {
    /// As a part of the first group's value.
    pub(crate) change: f64,
    /// Holds the true change at least 95 times in a hundred.
    pub(crate) interval: Option<(f64, f64)>,
    pub(crate) standing: Standing,
}

impl<'a> Group<'a> {
    /// Groups by lock, in the order in which the locks come.
    pub(crate) fn by_lock(runs: impl IntoIterator<Item = &'a Run>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for run in runs {
            match groups.iter_mut().find(|group| group.label == run.lock) {
                Some(group) => group.runs.push(run),
                None => groups.push(Self::new(groups.len(), vec![run])),
            }
        }
        groups
    }

    /// The `at`th group.
    pub(crate) fn new(at: usize, runs: Vec<&'a Run>) -> Self {
        let letter = u8::try_from(at).ok().and_then(|at| u8::checked_add(b'A', at)).map_or('?', char::from);
        let mut locks: Vec<&str> = runs.iter().map(|run| run.lock.as_str()).collect();
        locks.dedup();
        Self { letter, label: locks.join("+"), runs }
    }

    /// `A (quorum)`.
    pub(crate) fn name(&self) -> String {
        format!("{} ({})", self.letter, self.label)
    }

    /// `1 run`, `5 runs`.
    pub(crate) fn size(&self) -> String {
        let count = self.runs.len();
        format!("{count} run{}", if count == 1 { "" } else { "s" })
    }

    /// The values of its runs; nothing if one of them has none, because a median over the lucky ones would mislead.
    pub(crate) fn values(&self, metric: &Metric) -> Option<Vec<f64>> {
        self.runs.iter().map(|run| metric.of(run)).collect()
    }

    /// One value for all: the pooled rate of what is counted, else the runs' median.
    pub(crate) fn value(&self, metric: &Metric) -> Option<f64> {
        match metric.figure {
            Figure::Counted(_) => self.pooled(metric)?.rate,
            Figure::Measured(_) => median(&self.values(metric)?),
        }
    }

    /// What was counted, over all its runs.
    pub(crate) fn pooled(&self, metric: &Metric) -> Option<Count> {
        metric.pooled(self.runs.iter().copied())
    }
}

/// By how much `b` differs from `a`; nothing where one of them has no value or is not above zero.
pub(crate) fn difference(metric: &Metric, a: &Group<'_>, b: &Group<'_>) -> Option<Difference> {
    // Ratios, so in logarithms: twice as slow and twice as fast are the same distance.
    let logs = |group: &Group<'_>| -> Option<Vec<f64>> {
        group.values(metric)?.into_iter().map(|value| (value > 0.0).then(|| value.ln())).collect()
    };
    let shift = shift(&logs(a)?, &logs(b)?)?;
    let standing = match shift.interval {
        Some((low, high)) if low > 0.0 || high < 0.0 => Standing::Shown,
        Some(_) => Standing::Noise,
        None if a.runs.len() > 1 && b.runs.len() > 1 && !shift.apart => Standing::Noise,
        None => Standing::Seen,
    };
    Some(Difference {
        change: shift.estimate.exp_m1(),
        interval: shift.interval.map(|(low, high)| (low.exp_m1(), high.exp_m1())),
        standing,
    })
}

/// What `b` shows beside `a`, a sentence for each figure that says something: what was counted first, for speed matters
/// only where that is in order.
pub(crate) fn sentences(a: &Group<'_>, b: &Group<'_>) -> Vec<(Option<Standing>, String)> {
    let (counted, measured): (Vec<_>, Vec<_>) =
        Metric::ALL.iter().partition(|metric| matches!(metric.figure, Figure::Counted(_)));
    let all = counted.into_iter().chain(measured).filter_map(|metric| sentence(metric, a, b));
    // What is only seen has one sentence together: each by itself would weigh as much as what is shown.
    let (seen, mut told): (Vec<_>, Vec<_>) = all.partition(|(standing, _)| *standing == Some(Standing::Seen));
    if !seen.is_empty() {
        let seen = seen.into_iter().map(|(_, figure)| figure).collect::<Vec<_>>().join(", ");
        let text = format!("Seen in {}, with too few runs to tell it from noise: {seen}.", b.name());
        told.push((Some(Standing::Seen), text));
    }
    told
}

/// A sentence; of what is only seen, the figure alone.
fn sentence(metric: &Metric, a: &Group<'_>, b: &Group<'_>) -> Option<(Option<Standing>, String)> {
    if let (Some(of_a), Some(of_b)) = (a.pooled(metric), b.pooled(metric)) {
        let text = format!(
            "{}: {} in {}, {} in {}.",
            metric.label,
            counted(&of_a),
            a.name(),
            counted(&of_b),
            b.name()
        );
        return Some((None, text));
    }
    let difference = difference(metric, a, b)?;
    let change = signed(difference.change);
    let interval = difference.interval.map(|(low, high)| format!("{} to {}", signed(low), signed(high)));
    let label = metric.label;
    let name = b.name();
    let text = match (difference.standing, interval) {
        (Standing::Shown, Some(interval)) => {
            let more = if difference.change > 0.0 { "more" } else { "less" };
            let size = difference.change.abs() * 100.0;
            format!("{label}: {name} has {size:.1} % {more} than {} (95 % interval {interval}).", a.name())
        }
        (Standing::Noise, Some(interval)) => {
            format!("{label}: noise; whatever {name} changes lies within {interval}.")
        }
        (Standing::Noise, None) => format!("{label}: noise; the runs of both overlap (seen: {change})."),
        (_, _) => format!("{label} {change}"),
    };
    Some((Some(difference.standing), text))
}

/// `3 of 1,000 (0.300 %)`; where nothing was seen, what that bounds.
pub(crate) fn counted(count: &Count) -> String {
    match count {
        Count { count: 0, of, upper_95, .. } => {
            format!("0 of {} (95 % bound {})", whole(*of), percent(*upper_95))
        }
        Count { count, of, rate, .. } => format!("{} of {} ({})", whole(*count), whole(*of), percent(*rate)),
    }
}

/// A part of one as a change in per cent.
pub(crate) fn signed(change: f64) -> String {
    format!("{:+.1} %", change * 100.0)
}
