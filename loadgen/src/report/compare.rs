//! Groups of runs side by side, on a terminal.

use serde_json::Value;
use thiserror::Error;

use super::comparison::{Group, Metric, REPEATS_FOR_A_CLAIM, counted, sentences};
use super::run_json::Run;
use super::summary::workload;
use super::table::{NOTHING, decimal, difference, ms, per_second, percent, row, table, whole};
use super::verdict::Exit;
use crate::measure::Latency;
use crate::referee::Count;

/// What two single runs can and cannot say.
const CAUTION: &str = "One run each: these are differences seen, not differences shown to last. \
                       A claim about speed takes at least five interleaved repeats.";

/// The same of a few runs.
const FEW: &str = "A claim about speed takes at least five interleaved repeats a side.";

/// Why two runs are not compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum CompareError {
    /// The figures of a run may not be used.
    #[error("run {run} is invalid and cannot be compared: {because}; repeat it", because = because.join("; "))]
    Invalid {
        /// Which: `A`, or `A2` where a group has several.
        run: String,
        /// What its own verdict says.
        because: Vec<String>,
    },
    /// A run did not reach its end.
    #[error("run {run} was interrupted and cannot be compared; repeat it")]
    Incomplete {
        /// Which: `A`, or `A2` where a group has several.
        run: String,
    },
    /// The runs did not do the same.
    #[error(
        "A and {run} are different workloads and cannot be compared: {differences}; repeat one with the other's settings",
        differences = differences.join(", ")
    )]
    DifferentWorkload {
        /// Which run differs from the first.
        run: String,
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

/// Whether the groups' runs can be compared at all.
fn check(groups: &[Group<'_>]) -> Result<(), CompareError> {
    let named = || {
        groups.iter().flat_map(|group| {
            let alone = group.runs.len() == 1;
            let name =
                move |at| if alone { group.letter.to_string() } else { format!("{}{at}", group.letter) };
            group.runs.iter().zip(1..).map(move |(run, at)| (name(at), *run))
        })
    };
    let Some((_, first)) = named().next() else { return Ok(()) };
    // Before whether they are valid: to repeat a run would not help here.
    for (name, run) in named() {
        let mut differences = workload_differences(first, run);
        differences.extend(shard_difference(first, run));
        if !differences.is_empty() {
            return Err(CompareError::DifferentWorkload { run: name, differences });
        }
    }
    for (name, run) in named() {
        if !run.valid {
            return Err(CompareError::Invalid { run: name, because: run.invalid_because.clone() });
        }
        if !run.complete {
            return Err(CompareError::Incomplete { run: name });
        }
    }
    Ok(())
}

/// The groups side by side and what they show, if they can be compared.
pub(crate) fn compare(groups: &[Group<'_>]) -> Result<String, CompareError> {
    check(groups)?;
    let mut text = match groups {
        [a, b] if a.runs.len() == 1 && b.runs.len() == 1 => side_by_side(a.runs[0], b.runs[0]),
        _ => repeats(groups),
    };
    if let Some((first, others)) = groups.split_first() {
        for group in others {
            for (_, sentence) in sentences(first, group) {
                text.push('\n');
                text.push_str(&sentence);
            }
            text.push('\n');
        }
    }
    Ok(text)
}

/// A row for each figure, a column for each group: the median, and from where to where its runs lie.
fn repeats(groups: &[Group<'_>]) -> String {
    let Some(first) = groups.first().and_then(|group| group.runs.first()) else { return String::new() };
    let mut table = table([""]);
    let heads = groups.iter().map(|group| format!("{}, {}", group.name(), group.size()));
    table.set_header(["median (least to most)".to_owned()].into_iter().chain(heads));
    for metric in &Metric::ALL {
        let cells = groups.iter().map(|group| cell(metric, group));
        table.add_row([metric.label.to_owned()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    let few = groups.iter().any(|group| group.runs.len() < REPEATS_FOR_A_CLAIM);
    let notes = notes(groups).into_iter().chain(few.then(|| FEW.to_owned()));
    format!("{}\n{table}\n\n{}\n", workload(first), notes.collect::<Vec<_>>().join("\n"))
}

fn cell(metric: &Metric, group: &Group<'_>) -> String {
    if let Some(count) = group.pooled(metric) {
        return counted(&count);
    }
    let (Some(values), Some(median)) = (group.values(metric), group.value(metric)) else {
        return NOTHING.to_owned();
    };
    let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(l, m), v| (l.min(*v), m.max(*v)));
    format!("{} ({} to {})", metric.show(median), metric.show(least), metric.show(most))
}

/// What does not stand in the way of a comparison and may yet explain it.
pub(crate) fn notes(groups: &[Group<'_>]) -> Vec<String> {
    let mut runs = groups.iter().flat_map(|group| group.runs.iter().copied());
    let Some(first) = runs.next() else { return Vec::new() };
    let mut notes: Vec<String> = runs.flat_map(|run| environment_note(first, run)).collect();
    let seeds = |group: &Group<'_>| {
        let mut seeds: Vec<u64> = group.runs.iter().map(|run| run.seed).collect();
        seeds.sort_unstable();
        seeds
    };
    if let [a, b] = groups
        && a.runs.len() == 1
        && b.runs.len() == 1
        && seeds(a) != seeds(b)
    {
        notes.push(format!("Other arrivals: seed {} against {}.", a.runs[0].seed, b.runs[0].seed));
    } else if groups.windows(2).any(|pair| seeds(&pair[0]) != seeds(&pair[1])) {
        notes.push("Other arrivals: the groups' runs were drawn from different seeds.".to_owned());
    }
    notes.sort();
    notes.dedup();
    notes
}

/// Two runs side by side, whatever they are: the caller answers for showing both.
pub(crate) fn side_by_side(a: &Run, b: &Run) -> String {
    let mut table = table(["", &format!("A: {}", a.lock), &format!("B: {}", b.lock), "B against A"]);
    for (name, value, number) in ROWS {
        let change = number.map_or_else(String::new, |number| difference(number(a), number(b)));
        table.add_row(row([(*name).to_owned(), value(a), value(b), change]));
    }
    let groups = [Group::new(0, vec![a]), Group::new(1, vec![b])];
    let notes: Vec<_> = notes(&groups).into_iter().chain([CAUTION.to_owned()]).collect();
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
    ("grants exposed to a fault", |run| counted_or(Some(&run.safety.exposure)), None),
    ("contract overlaps", |run| counted_or(Some(&run.safety.contract_overlaps)), None),
    ("double-acquisition rate", |run| rated(&run.safety.double_acquisition_rate), None),
    (
        "stale writes accepted, no fence",
        |run| counted_or(Some(&run.safety.stale_writes_accepted_unfenced)),
        None,
    ),
    (
        "stale writes accepted past the fence",
        |run| counted_or(run.safety.stale_writes_accepted_fenced.as_ref()),
        None,
    ),
];

fn acquire(run: &Run) -> &Latency {
    &run.latency_us.acquire
}

/// `3 of 1,000`; where nothing was seen, what that bounds.
fn counted_or(count: Option<&Count>) -> String {
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

/// What makes two workloads different ones, each with both values. Lock, seed, machine, and which shard of it, do not.
pub(crate) fn workload_differences(a: &Run, b: &Run) -> Vec<String> {
    let mut differences = Vec::new();
    let mut note = |name: &str, a: &Value, b: &Value| {
        if a != b {
            differences.push(format!("{name} ({})", apart(a, b)));
        }
    };
    note("scenario", &Value::from(a.scenario.as_str()), &Value::from(b.scenario.as_str()));
    note("nodes", &Value::from(a.nodes), &Value::from(b.nodes));
    // By way of JSON, so that a parameter that is added later cannot be forgotten here.
    let parameters = |run: &Run| serde_json::to_value(&run.parameters).unwrap_or_default();
    let (a, b) = (parameters(a), parameters(b));
    for (name, a, b) in differing_fields(&a, &b) {
        note(name, a, b);
    }
    differences
}

/// Whether they are other parts of it.
fn shard_difference(a: &Run, b: &Run) -> Option<String> {
    let shard = |run: &Run| run.shard.map_or_else(|| "none".to_owned(), |shard| shard.to_string());
    (a.shard != b.shard).then(|| format!("shard ({} against {})", shard(a), shard(b)))
}

/// The fields of `a` that `b` has not, or not so. Both are written by one type, so neither has fields of its own.
fn differing_fields<'v>(a: &'v Value, b: &'v Value) -> impl Iterator<Item = (&'v str, &'v Value, &'v Value)> {
    let fields = a.as_object().into_iter().flatten();
    let pairs = fields.map(|(name, a)| (name.as_str(), a, b.get(name).unwrap_or(&Value::Null)));
    pairs.filter(|(_, a, b)| a != b)
}

/// Both values, as far as they differ: of lists as long as each other the first place where they do, of objects the fields.
fn apart(a: &Value, b: &Value) -> String {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let first = a.iter().zip(b).enumerate().find(|(_, (a, b))| a != b);
            let told =
                |(at, (one, other))| format!("number {} of {}: {}", at + 1, a.len(), apart(one, other));
            first.map(told).unwrap_or_default()
        }
        (Value::Object(_), Value::Object(_)) => {
            let told = differing_fields(a, b).map(|(name, a, b)| format!("{name} {}", apart(a, b)));
            told.collect::<Vec<_>>().join(", ")
        }
        _ => format!("{} against {}", short(a), short(b)),
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("{} of them", items.len()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn environment_note(a: &Run, b: &Run) -> Option<String> {
    let environment = |run: &Run| serde_json::to_value(&run.environment).unwrap_or_default();
    let (a, b) = (environment(a), environment(b));
    let names: Vec<_> = differing_fields(&a, &b).map(|(name, ..)| name).collect();
    (!names.is_empty()).then(|| format!("Other environment: {}.", names.join(", ")))
}
