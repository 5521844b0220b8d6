use hdrhistogram::Histogram;

use super::{run, safety};
use crate::measure::new_histogram;
use crate::referee::Count;
use crate::report::verdict::{Exit, Punctuality};

/// A thousand samples of one length.
fn all(ns: u64) -> Histogram<u64> {
    let mut histogram = new_histogram();
    histogram.saturating_record_n(ns, 1_000);
    histogram
}

fn objections(due: u64, sent: u64, lag_ns: u64, acquire_ns: u64) -> Vec<String> {
    Punctuality { due, sent, send_lag: &all(lag_ns), acquire: &all(acquire_ns) }.objections()
}

#[test]
fn a_punctual_sender_is_not_objected_to() {
    assert!(objections(1_000, 1_000, 50_000, 800_000).is_empty());
    assert!(objections(0, 0, 0, 0).is_empty());
}

#[test]
fn lateness_counts_over_half_a_millisecond_and_a_tenth_of_the_latency() {
    assert!(
        objections(1_000, 1_000, 400_000, 800_000).is_empty(),
        "half the latency, and still the machine's noise"
    );
    assert!(
        objections(1_000, 1_000, 900_000, 20_000_000).is_empty(),
        "over half a millisecond, and yet small"
    );
    let late = objections(1_000, 1_000, 900_000, 5_000_000);
    assert_eq!(late.len(), 1);
    assert!(late[0].starts_with("acquisitions were sent late: p99 of due-to-sent is 0.90"), "{late:?}");
}

#[test]
fn lateness_is_judged_at_the_99th_percentile() {
    let mut lag = all(10_000);
    lag.saturating_record_n(50_000_000, 9);
    let acquire = all(1_000_000);
    let judged =
        |lag: &Histogram<u64>| Punctuality { due: 1, sent: 1, send_lag: lag, acquire: &acquire }.objections();
    assert!(judged(&lag).is_empty(), "9 of 1,009");
    lag.saturating_record_n(50_000_000, 9);
    assert_eq!(judged(&lag).len(), 1, "18 of 1,018");
}

#[test]
fn a_hundredth_of_the_load_may_be_missing_and_no_more() {
    assert!(objections(1_000, 990, 0, 1_000_000).is_empty());
    let short = objections(1_000, 989, 0, 1_000_000);
    assert_eq!(short, ["only 989 of 1000 due acquisitions were sent, less than 99 %; lower the rate"]);
    assert_eq!(objections(1_000, 0, 900_000, 0).len(), 2, "each objection is made");
}

#[test]
fn the_answers_are_the_documented_numbers() {
    let codes =
        [Exit::Fine, Exit::Usage, Exit::ThresholdMissed, Exit::SafetyViolated, Exit::Invalid].map(Exit::code);
    assert_eq!(codes, [0, 1, 2, 3, 4]);
}

#[test]
fn a_broken_promise_is_said_before_all_else() {
    let fine = run();
    assert_eq!(Exit::of(&fine, true, false), Exit::Fine, "a sleeper that is fenced off breaks no promise");
    assert_eq!(Exit::of(&fine, true, true), Exit::ThresholdMissed);

    let mut invalid = run();
    invalid.valid = false;
    assert_eq!(Exit::of(&invalid, true, true), Exit::Invalid, "an invalid run misses no threshold");

    let mut broken = run();
    broken.safety.contract_overlaps = Count::new(1, 2);
    assert_eq!(Exit::of(&broken, true, true), Exit::SafetyViolated);
    assert_eq!(Exit::of(&broken, false, false), Exit::Fine, "not by a lock that promises nothing");
    broken.valid = false;
    assert_eq!(Exit::of(&broken, true, true), Exit::SafetyViolated);
    assert_eq!(Exit::of(&broken, false, true), Exit::Invalid);
}

#[test]
fn each_promise_counts() {
    let broken = Count::new(1, 2);
    let cases: [fn(&mut crate::referee::Safety, Count); 5] = [
        |safety, count| safety.contract_overlaps = count,
        |safety, count| safety.stale_writes_accepted_fenced = Some(count),
        |safety, count| safety.token_regressions = Some(count),
        |safety, count| safety.token_duplicates = Some(count),
        |safety, count| safety.foreign_releases = count,
    ];
    for break_it in cases {
        let mut run = run();
        break_it(&mut run.safety, broken.clone());
        assert_eq!(Exit::of(&run, true, false), Exit::SafetyViolated);
    }
    let mut run = run();
    run.safety = safety(None);
    assert_eq!(Exit::of(&run, true, false), Exit::Fine);
}

#[test]
fn of_several_runs_the_worst_is_said() {
    assert_eq!(Exit::worst([]), Exit::Fine);
    assert_eq!(Exit::worst([Exit::Fine, Exit::Invalid, Exit::ThresholdMissed]), Exit::Invalid);
    assert_eq!(Exit::worst([Exit::Invalid, Exit::SafetyViolated, Exit::Fine]), Exit::SafetyViolated);
}
