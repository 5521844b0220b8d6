//! All locks of a suite side by side: medians over the repeats, sums of what the referee counted.

use crate::referee::Count;
use crate::report::{Run, table};
use crate::run::plan::LockKind;

/// A row's name, and its text for the runs of one lock.
type Row = (&'static str, fn(&[&Run]) -> String);

const ROWS: [Row; 12] = [
    ("repeats, of them invalid", |runs| {
        format!("{}, {}", runs.len(), runs.iter().filter(|run| !run.valid).count())
    }),
    ("granted", |runs| {
        let sum = |of: fn(&Run) -> u64| runs.iter().map(|run| of(run)).sum::<u64>();
        format!("{} of {}", table::whole(sum(|run| run.granted)), table::whole(sum(|run| run.attempted)))
    }),
    ("acquire p50, ms", |runs| middle(runs, |run| run.latency_us.acquire.p50)),
    ("acquire p99, ms", |runs| middle(runs, |run| run.latency_us.acquire.p99)),
    ("acquire max, ms", |runs| middle(runs, |run| run.latency_us.acquire.max)),
    ("exposed to a fault", |runs| counted(runs, |run| Some(&run.safety.exposure))),
    ("contract overlaps", |runs| counted(runs, |run| Some(&run.safety.contract_overlaps))),
    ("double acquisitions", |runs| counted(runs, |run| Some(&run.safety.double_acquisition_rate))),
    ("stale writes, no fence", |runs| counted(runs, |run| Some(&run.safety.stale_writes_accepted_unfenced))),
    ("stale past the fence", |runs| counted(runs, |run| run.safety.stale_writes_accepted_fenced.as_ref())),
    ("foreign releases", |runs| counted(runs, |run| Some(&run.safety.foreign_releases))),
    ("unknown outcomes", |runs| counted(runs, |run| Some(&run.safety.unknown_outcomes))),
];

pub(super) fn side_by_side(locks: &[LockKind], runs: &[Run]) -> String {
    let of_lock = |lock: &LockKind| {
        let name = lock.to_string();
        runs.iter().filter(|run| run.lock == name).collect::<Vec<_>>()
    };
    let columns: Vec<(String, Vec<&Run>)> = locks
        .iter()
        .map(|lock| (lock.to_string(), of_lock(lock)))
        .filter(|(_, runs)| !runs.is_empty())
        .collect();
    let heads: Vec<&str> = [""].into_iter().chain(columns.iter().map(|(name, _)| name.as_str())).collect();
    let mut shown = table::table(heads);
    for (name, text) in ROWS {
        let cells = columns.iter().map(|(_, runs)| text(runs));
        shown.add_row(table::row([name.to_owned()].into_iter().chain(cells)));
    }
    let workload = runs.first().map_or_else(String::new, crate::report::workload);
    format!("{workload}\n{shown}\n{}", invalid(runs))
}

/// The median over the repeats.
fn middle(runs: &[&Run], of: fn(&Run) -> Option<f64>) -> String {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| of(run)).collect();
    values.sort_by(f64::total_cmp);
    table::ms(values.get(values.len() / 2).copied())
}

/// A sum over the repeats, with its rate, or the bound that a zero comes to.
fn counted(runs: &[&Run], of: fn(&Run) -> Option<&Count>) -> String {
    let counts: Option<Vec<&Count>> = runs.iter().map(|run| of(run)).collect();
    let Some(counts) = counts else { return "no tokens".to_owned() };
    let sum =
        Count::new(counts.iter().map(|count| count.count).sum(), counts.iter().map(|count| count.of).sum());
    match sum.count {
        0 => format!("0 of {} (< {})", table::whole(sum.of), table::percent(sum.upper_95)),
        count => format!("{} ({})", table::whole(count), table::percent(sum.rate)),
    }
}

fn invalid(runs: &[Run]) -> String {
    let objections = runs.iter().flat_map(|run| {
        run.invalid_because
            .iter()
            .map(|reason| format!("INVALID, {} with seed {}: {reason}\n", run.lock, run.seed))
    });
    objections.collect()
}
