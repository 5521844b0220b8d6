//! A run's figures as Prometheus knows them: counters end in `_total`, times are in seconds.

use hdrhistogram::Histogram;
use prometheus::proto::{Bucket, Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Error, TextEncoder};

use crate::locks::Failure;
use crate::measure::{Phase, PhaseSet};
use crate::run::live::Snapshot;
use crate::run::plan::Plan;

/// Upper bounds of a histogram's buckets, in microseconds.
const BOUNDS_US: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// What is the same all through a run.
pub(super) struct Subject {
    labels: Vec<LabelPair>,
    /// Every kind of fault that the plan has, sorted.
    kinds: Vec<&'static str>,
}

impl Subject {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut kinds: Vec<_> = plan.planned_faults().iter().map(|fault| fault.action.name()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let labels = vec![
            label("lock", &plan.lock.to_string()),
            label("scenario", &plan.scenario),
            label("seed", &plan.seed.to_string()),
            label("nodes", &plan.load.nodes.to_string()),
        ];
        Self { labels, kinds }
    }
}

/// Everything, in the text format.
pub(super) fn exposition(subject: &Subject, seen: &Snapshot, totals: &PhaseSet) -> Result<String, Error> {
    let mut families = about_the_run(subject, seen);
    families.extend(about_the_load(seen));
    families.extend(about_safety(seen));
    families.extend(Phase::ALL.into_iter().map(|phase| about_a_phase(phase, totals.get(phase))));
    TextEncoder::new().encode_to_string(&families)
}

fn about_the_run(subject: &Subject, seen: &Snapshot) -> Vec<MetricFamily> {
    let length_ns = seen.since_ns.saturating_add(seen.left_ns).max(1);
    let faults = subject.kinds.iter().map(|&kind| {
        let count = seen.faults.get(kind).map_or(0, Vec::len);
        (vec![label("kind", kind)], count as f64)
    });
    let mut families = vec![
        gauges("loadgen_run_info", "Which run this is.", [(subject.labels.clone(), 1.0)]),
        gauge(
            "loadgen_progress_ratio",
            "Part of the run that is over.",
            seen.since_ns as f64 / length_ns as f64,
        ),
        gauge("loadgen_left_seconds", "Time until the last arrival.", seen.left_ns as f64 / 1e9),
    ];
    // A family without a member is none.
    if !subject.kinds.is_empty() {
        families.push(gauges("loadgen_faults_active", "Faults that last now, by kind.", faults));
    }
    families
}

fn about_the_load(seen: &Snapshot) -> Vec<MetricFamily> {
    let longest_ns = seen.waiting.longest_ns.unwrap_or(0);
    let failures = Failure::ALL.map(|failure| {
        let count = seen.failed.get(failure.name()).copied().unwrap_or(0);
        (vec![label("reason", failure.name())], count)
    });
    vec![
        gauge(
            "loadgen_offered_per_second",
            "Acquisitions due per second by the plan, over the last whole seconds.",
            seen.rates.map_or(0.0, |rates| rates.offered_per_s),
        ),
        counter("loadgen_sent_total", "Acquisitions called in the measured part.", seen.sent),
        counter(
            "loadgen_not_sent_total",
            "Acquisitions that came due in the measured part while their node had no room for them.",
            seen.not_sent,
        ),
        counter("loadgen_grants_total", "Leases granted in the measured part.", seen.granted),
        counter(
            "loadgen_attempts_total",
            "Attempts in the measured part; an acquisition may take several.",
            seen.attempts,
        ),
        counters(
            "loadgen_failures_total",
            "Acquisitions of the measured part that won nothing, by reason.",
            failures,
        ),
        gauge("loadgen_waiting", "Acquisitions that the lock has not answered.", seen.waiting.count as f64),
        gauge(
            "loadgen_waiting_longest_seconds",
            "How long the first of those has waited.",
            longest_ns as f64 / 1e9,
        ),
        gauge("loadgen_held", "Leases granted and not yet over.", seen.held as f64),
    ]
}

fn about_safety(seen: &Snapshot) -> Vec<MetricFamily> {
    let found = &seen.safety;
    vec![
        counter(
            "loadgen_contract_overlaps_total",
            "Grants while another lease on the name was valid by its holder's own word.",
            found.contract_overlaps,
        ),
        counter(
            "loadgen_acting_overlaps_total",
            "Grants while another holder of the name was still acting.",
            found.acting_overlaps,
        ),
        counter("loadgen_stale_writes_total", "Writes by superseded holders.", found.stale_writes),
        counter(
            "loadgen_stale_writes_past_fence_total",
            "Writes by superseded holders that a fence lets pass.",
            found.stale_writes_past_fence,
        ),
        counter(
            "loadgen_token_regressions_total",
            "Grants with a smaller token than one handed out before.",
            found.token_regressions,
        ),
        counter(
            "loadgen_token_duplicates_total",
            "Grants with a token that another grant of the name carries.",
            found.token_duplicates,
        ),
        counter(
            "loadgen_foreign_releases_total",
            "Releases that removed somebody else's lock.",
            found.foreign_releases,
        ),
    ]
}

fn about_a_phase(phase: Phase, lengths: Option<&Histogram<u64>>) -> MetricFamily {
    let mut buckets: Vec<Bucket> = Vec::with_capacity(BOUNDS_US.len());
    let (mut count, mut sum_s) = (0, 0.0);
    let mut values = lengths.into_iter().flat_map(Histogram::iter_recorded).peekable();
    let mut take = |bound_ns: u64| {
        while let Some(value) = values.next_if(|value| value.value_iterated_to() <= bound_ns) {
            count += value.count_at_value();
            sum_s += value.value_iterated_to() as f64 / 1e9 * value.count_at_value() as f64;
        }
        (count, sum_s)
    };
    for bound_us in BOUNDS_US {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound_us as f64 / 1e6);
        bucket.set_cumulative_count(take(bound_us * 1_000).0);
        buckets.push(bucket);
    }
    let (count, sum_s) = take(u64::MAX);
    let mut histogram = prometheus::proto::Histogram::default();
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum_s);
    histogram.set_bucket(buckets);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let name = format!("loadgen_{}_seconds", phase.name());
    family(&name, help(phase), MetricType::HISTOGRAM, vec![metric])
}

const fn help(phase: Phase) -> &'static str {
    match phase {
        Phase::DueToSent => "From the time an acquisition was due to the time it was sent.",
        Phase::SendLag => "The same, without arrivals whose node a fault was holding.",
        Phase::Acquire => "From the time an acquisition was due to the lease in hand.",
        Phase::Attempt => "One attempt, won or lost.",
        Phase::FirstToDeciding => "Within an attempt, from the first reply to the one that decided.",
        Phase::Hold => "From the lease in hand to the call of release.",
        Phase::Renew => "One renewal.",
        Phase::RenewalSlack => "What was left until the old deadline when a renewal was done.",
        Phase::Release => "From the call of release to its return.",
        Phase::LossNotice => "From the deadline to the notice of the loss.",
    }
}

fn counter(name: &str, help: &str, count: u64) -> MetricFamily {
    counters(name, help, [(Vec::new(), count)])
}

fn counters(
    name: &str,
    help: &str,
    members: impl IntoIterator<Item = (Vec<LabelPair>, u64)>,
) -> MetricFamily {
    let members = members.into_iter().map(|(labels, count)| {
        let mut counter = Counter::default();
        counter.set_value(count as f64);
        let mut metric = Metric::from_label(labels);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, members.collect())
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    gauges(name, help, [(Vec::new(), value)])
}

fn gauges(name: &str, help: &str, members: impl IntoIterator<Item = (Vec<LabelPair>, f64)>) -> MetricFamily {
    let members = members.into_iter().map(|(labels, value)| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(labels);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, members.collect())
}

fn family(name: &str, help: &str, kind: MetricType, members: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(members);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_a_histogram_in_seconds() {
        let mut totals = PhaseSet::default();
        for length_ns in [90_000, 900_000, 2_000_000, 45_000_000_000] {
            totals.record(Phase::Acquire, length_ns);
        }
        let subject = Subject { labels: Vec::new(), kinds: vec!["flush"] };
        let text =
            exposition(&subject, &Snapshot::default(), &totals).unwrap_or_else(|error| panic!("{error}"));
        for line in [
            "# TYPE loadgen_acquire_seconds histogram",
            "loadgen_acquire_seconds_bucket{le=\"0.0001\"} 1",
            "loadgen_acquire_seconds_bucket{le=\"0.0005\"} 1",
            "loadgen_acquire_seconds_bucket{le=\"0.001\"} 2",
            "loadgen_acquire_seconds_bucket{le=\"30\"} 3",
            "loadgen_acquire_seconds_bucket{le=\"+Inf\"} 4",
            "loadgen_acquire_seconds_count 4",
            "loadgen_renew_seconds_count 0",
            "loadgen_faults_active{kind=\"flush\"} 0",
            "loadgen_failures_total{reason=\"held\"} 0",
            "loadgen_contract_overlaps_total 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is missing:\n{text}");
        }
        let sum = text.lines().find_map(|line| line.strip_prefix("loadgen_acquire_seconds_sum "));
        let sum_s: f64 = sum.and_then(|sum| sum.parse().ok()).unwrap_or(f64::NAN);
        assert!((sum_s - 45.003).abs() < 0.045, "{sum_s}");
    }
}
