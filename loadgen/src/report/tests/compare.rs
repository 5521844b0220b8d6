use super::{run, safety};
use crate::report::compare::{CompareError, compare};
use crate::report::run_json::Run;
use crate::report::verdict::Exit;

/// The same load on the naive lock.
fn naive() -> Run {
    let mut naive = run();
    naive.lock = "setnx".to_owned();
    naive.achieved_per_s = 1_000.0;
    naive.safety = safety(None);
    naive.latency_us.acquire.p50 = naive.latency_us.acquire.p50.map(|p50| p50 / 2.0);
    naive
}

/// The cells of the row that begins with `name`.
fn cells(table: &str, name: &str) -> Vec<String> {
    let line = table
        .lines()
        .find(|line| line.starts_with(&format!("| {name} ")))
        .unwrap_or_else(|| panic!("{table}"));
    line.split('|').map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).skip(1).collect()
}

#[test]
fn two_locks_stand_side_by_side() {
    let text = compare(&run(), &naive()).unwrap();
    assert!(
        text.starts_with("gc-pause: 40 nodes, 200 names (zipf:1.0), 2000.0/s poisson for 30 s"),
        "{text}"
    );
    assert!(text.contains(" A: quorum |"), "{text}");
    assert!(text.contains(" B: setnx |"), "{text}");
    assert_eq!(cells(&text, "grants"), ["59,961 of 60,000", "59,961 of 60,000", "+0.0 %"]);
    assert_eq!(cells(&text, "achieved rate"), ["1998.7/s", "1000.0/s", "-50.0 %"]);
    assert_eq!(cells(&text, "acquire p50, ms").last().unwrap(), "-50.0 %");
    assert_eq!(cells(&text, "retries per grant"), ["0.420", "0.420", "+0.0 %"]);
    assert_eq!(cells(&text, "contract overlaps"), ["0 of 2 (< 100.00 %)", "0 of 2 (< 100.00 %)"]);
    assert_eq!(cells(&text, "double-acquisition rate")[0], "50.00 % (< 97.47 %)");
    assert_eq!(cells(&text, "stale writes accepted, no fence"), ["1 of 3", "1 of 3"]);
    assert_eq!(cells(&text, "stale writes accepted past the fence"), ["0 of 3 (< 100.00 %)", "no tokens"]);
    assert!(text.contains("not differences shown to last"), "two runs prove no difference: {text}");
}

#[test]
fn a_percentile_that_is_not_given_is_not_invented() {
    let mut few = naive();
    few.latency_us.acquire.p999 = None;
    let cells = cells(&compare(&run(), &few).unwrap(), "acquire p99.9, ms");
    assert_eq!(&cells[1..], ["-", "-"]);
}

#[test]
fn invalid_and_interrupted_runs_are_refused() {
    let mut invalid = run();
    (invalid.valid, invalid.invalid_because) =
        (false, vec!["sent late".to_owned(), "sent too few".to_owned()]);
    let error = compare(&run(), &invalid).unwrap_err();
    assert_eq!(
        error.to_string(),
        "run B is invalid and cannot be compared: sent late; sent too few; repeat it"
    );
    assert_eq!(error.exit(), Exit::Invalid);

    let mut interrupted = run();
    interrupted.complete = false;
    let error = compare(&interrupted, &run()).unwrap_err();
    assert_eq!(error, CompareError::Incomplete { run: 'A' });
    assert_eq!(error.exit(), Exit::Invalid);
}

#[test]
fn different_workloads_are_refused_by_what_differs() {
    let mut other = run();
    other.nodes = 20;
    other.scenario = "calm".to_owned();
    other.parameters.rate_per_s = 500.0;
    other.parameters.skew = "uniform".to_owned();
    other.parameters.faults.pop();
    let error = compare(&run(), &other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "A and B are different workloads and cannot be compared: scenario (gc-pause against calm), \
         nodes (40 against 20), faults (2 of them against 1 of them), rate_per_s (2000.0 against 500.0), \
         skew (zipf:1.0 against uniform); repeat one with the other's settings"
    );
    assert_eq!(error.exit(), Exit::Usage);
}

#[test]
fn each_parameter_identifies_the_workload() {
    let changes: [fn(&mut Run); 12] = [
        |run| run.parameters.profile.push('x'),
        |run| run.parameters.think_us += 1,
        |run| run.parameters.duration_ms += 1,
        |run| run.parameters.warm_up_ms += 1,
        |run| run.parameters.cool_down_ms += 1,
        |run| run.parameters.keys += 1,
        |run| run.parameters.arrivals.push('x'),
        |run| run.parameters.hold_us += 1,
        |run| run.parameters.wait_ms += 1,
        |run| run.parameters.ttl_ms += 1,
        |run| run.parameters.faults[0].length_ms += 1,
        |run| run.parameters.rate_per_s += 0.5,
    ];
    for change in changes {
        let mut other = run();
        change(&mut other);
        let error = compare(&run(), &other).unwrap_err();
        assert!(
            matches!(&error, CompareError::DifferentWorkload { differences } if differences.len() == 1),
            "{error}"
        );
    }
}

#[test]
fn another_seed_and_another_machine_are_noted() {
    let mut elsewhere = run();
    elsewhere.seed = 8;
    elsewhere.environment.cores = 64;
    elsewhere.environment.commit = None;
    let text = compare(&run(), &elsewhere).unwrap();
    assert!(text.contains("Other arrivals: seed 7 against 8."), "{text}");
    assert!(text.contains("Other environment: commit, cores."), "{text}");
    assert!(!compare(&run(), &run()).unwrap().contains("Other "));
}
