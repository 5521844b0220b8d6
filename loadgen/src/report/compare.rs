//! Two runs side by side.

use serde_json::Value;
use thiserror::Error;

use super::run_json::Run;
use super::summary::workload;
use super::table::{decimal, difference, ms, per_second, percent, row, table, whole};
use super::verdict::Exit;
use crate::measure::Latency;
use crate::referee::Count;

/// What two single runs can and cannot say.
const CAUTION: &str = "One run each: these are differences seen, not differences shown to last. \
                       A claim about speed takes at least five interleaved repeats.";

/// Why two runs are not compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum CompareError {
    /// The figures of a run may not be used.
    #[error("run {run} is invalid and cannot be compared: {because}; repeat it", because = because.join("; "))]
    Invalid {
        /// Which: `A` or `B`.
        run: char,
        /// What its own verdict says.
        because: Vec<String>,
    },
    /// A run did not reach its end.
    #[error("run {run} was interrupted and cannot be compared; repeat it")]
    Incomplete {
        /// Which: `A` or `B`.
        run: char,
    },
    /// The runs did not do the same.
    #[error(
        "A and B are different workloads and cannot be compared: {differences}; repeat one with the other's settings",
        differences = differences.join(", ")
    )]
    DifferentWorkload {
        /// What differs, each with both values.
        differences: Vec<String>,
    },
}

impl CompareError {
    /// The answer to the caller.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Invalid { .. } | Self::Incomplete { .. } => Exit::Invalid,
            Self::DifferentWorkload { .. } => Exit::Usage,
        }
    }
}

/// Two runs side by side, if they can be compared.
pub(crate) fn compare(a: &Run, b: &Run) -> Result<String, CompareError> {
    for (name, run) in [('A', a), ('B', b)] {
        if !run.valid {
            return Err(CompareError::Invalid { run: name, because: run.invalid_because.clone() });
        }
        if !run.complete {
            return Err(CompareError::Incomplete { run: name });
        }
    }
    let differences = workload_differences(a, b);
    if differences.is_empty() {
        Ok(side_by_side(a, b))
    } else {
        Err(CompareError::DifferentWorkload { differences })
    }
}

/// Two runs side by side, whatever they are: the caller answers for showing both.
pub(crate) fn side_by_side(a: &Run, b: &Run) -> String {
    let mut table = table(["", &format!("A: {}", a.lock), &format!("B: {}", b.lock), "B against A"]);
    for (name, value, number) in ROWS {
        let change = number.map_or_else(String::new, |number| difference(number(a), number(b)));
        table.add_row(row([(*name).to_owned(), value(a), value(b), change]));
    }
    let notes: Vec<_> = side_notes(a, b).into_iter().chain([CAUTION.to_owned()]).collect();
    format!("{}\n{table}\n\n{}\n", workload(a), notes.join("\n"))
}

/// A row's name, its text for a run, and the number that two runs may differ by.
type Row = (&'static str, fn(&Run) -> String, Option<fn(&Run) -> Option<f64>>);

const ROWS: &[Row] = &[
    (
        "grants",
        |run| format!("{} of {}", whole(run.granted), whole(run.attempted)),
        Some(|run| Some(run.granted as f64)),
    ),
    ("achieved rate", |run| per_second(run.achieved_per_s), Some(|run| Some(run.achieved_per_s))),
    ("acquire p50, ms", |run| ms(acquire(run).p50), Some(|run| acquire(run).p50)),
    ("acquire p99, ms", |run| ms(acquire(run).p99), Some(|run| acquire(run).p99)),
    ("acquire p99.9, ms", |run| ms(acquire(run).p999), Some(|run| acquire(run).p999)),
    (
        "retries per grant",
        |run| run.contention.retries_per_grant.map_or_else(String::new, decimal),
        Some(|run| run.contention.retries_per_grant),
    ),
    ("grants exposed to a fault", |run| counted(Some(&run.safety.exposure)), None),
    ("contract overlaps", |run| counted(Some(&run.safety.contract_overlaps)), None),
    ("double-acquisition rate", |run| rated(&run.safety.double_acquisition_rate), None),
    (
        "stale writes accepted, no fence",
        |run| counted(Some(&run.safety.stale_writes_accepted_unfenced)),
        None,
    ),
    (
        "stale writes accepted past the fence",
        |run| counted(run.safety.stale_writes_accepted_fenced.as_ref()),
        None,
    ),
];

fn acquire(run: &Run) -> &Latency {
    &run.latency_us.acquire
}

/// `3 of 1,000`; where nothing was seen, what that bounds.
fn counted(count: Option<&Count>) -> String {
    match count {
        None => "no tokens".to_owned(),
        Some(Count { count: 0, of, upper_95: Some(bound), .. }) => {
            format!("0 of {} (< {})", whole(*of), percent(Some(*bound)))
        }
        Some(Count { count, of, .. }) => format!("{} of {}", whole(*count), whole(*of)),
    }
}

fn rated(count: &Count) -> String {
    let Count { rate, upper_95, .. } = count;
    format!("{} (< {})", percent(*rate), percent(*upper_95))
}

/// What makes two workloads different ones, each with both values. Lock, seed and machine do not.
fn workload_differences(a: &Run, b: &Run) -> Vec<String> {
    let mut differences = Vec::new();
    let mut note = |name: &str, a: &Value, b: &Value| {
        if a != b {
            differences.push(format!("{name} ({} against {})", short(a), short(b)));
        }
    };
    note("scenario", &Value::from(a.scenario.as_str()), &Value::from(b.scenario.as_str()));
    note("nodes", &Value::from(a.nodes), &Value::from(b.nodes));
    // By way of JSON, so that a parameter that is added later cannot be forgotten here.
    let parameters = |run: &Run| serde_json::to_value(&run.parameters).unwrap_or_default();
    let (a, b) = (parameters(a), parameters(b));
    for (name, value) in a.as_object().into_iter().flatten() {
        note(name, value, b.get(name).unwrap_or(&Value::Null));
    }
    differences
}

fn short(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("{} of them", items.len()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What does not stand in the way of a comparison and may yet explain it.
fn side_notes(a: &Run, b: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    if a.seed != b.seed {
        notes.push(format!("Other arrivals: seed {} against {}.", a.seed, b.seed));
    }
    let environment = |run: &Run| serde_json::to_value(&run.environment).unwrap_or_default();
    let (a, b) = (environment(a), environment(b));
    let differing = a.as_object().into_iter().flatten().filter(|&(name, value)| b.get(name) != Some(value));
    let names: Vec<_> = differing.map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        notes.push(format!("Other environment: {}.", names.join(", ")));
    }
    notes
}
