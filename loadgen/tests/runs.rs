//! What a run is drawn from, and what it leaves.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::fs;

use common::{Run, count, loadgen};

const LOAD: &str = "--nodes 5 --rate 150 --keys 20 --warm-up 200ms --duration 2s --cool-down 200ms";

#[test]
fn a_seed_gives_every_lock_the_same_arrivals() {
    let none = Run::of(&format!("--lock none --seed 7 {LOAD}"));
    let memory = Run::of(&format!("--lock setnx --memory --seed 7 {LOAD}"));
    let other = Run::of(&format!("--lock none --seed 8 {LOAD}"));
    none.assert_played();
    memory.assert_played();
    assert_eq!(none.json["offered_per_s"], memory.json["offered_per_s"]);
    assert_eq!(none.json["attempted"], memory.json["attempted"]);
    assert_ne!(none.json["offered_per_s"], other.json["offered_per_s"]);
    assert_eq!(
        count(&none.json["attempted"]) as f64,
        none.json["offered_per_s"].as_f64().unwrap_or_default() * 2.0,
        "all that was due in two seconds was sent"
    );
}

#[test]
fn a_run_leaves_its_folder_whole() {
    let run = Run::of(&format!(
        "--lock setnx --memory --seed 7 {LOAD} --pause-nodes 1 --pause-every 800ms --pause-for 200ms"
    ));
    run.assert_played();
    let folder = run.folder();
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    assert!(name.ends_with("-pauses-setnx-7"), "{name}");
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("run.json")).ok().as_ref(), Some(&run.json));
    assert!(read("intervals.hlog").contains("HISTF"));
    assert!(read("acquire.hgrm").contains("#[Mean"));
    assert!(read("violations.json").starts_with('{'));
    let faults: Vec<serde_json::Value> =
        read("faults.jsonl").lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let pauses = run.json["parameters"]["faults"].as_array().map_or(0, Vec::len);
    assert!(pauses > 0);
    assert_eq!(faults.len(), pauses);
    for fault in &faults {
        let time = |field: &str| fault[field].as_f64().unwrap_or(f64::NAN);
        assert!((time("actual_start_ms") - time("planned_start_ms")).abs() < 100.0, "{fault}");
        assert!(time("actual_end_ms") - time("actual_start_ms") > 150.0, "{fault}");
    }
}

#[test]
fn a_run_that_nobody_watches_goes_on_to_its_end_and_says_only_where_its_results_are() {
    // Longer than a run waits for its last leases.
    let run = Run::of(
        "--quiet --lock setnx --memory --nodes 4 --rate 50 --keys 40 --wait 100ms --warm-up 0s --duration 6s",
    );
    run.assert_played();
    assert_eq!(run.json["latency_us"]["acquire"]["count"], run.json["granted"]);
    assert_eq!(run.json["attempted"], run.json["latency_us"]["due_to_sent"]["count"]);
    assert!(run.stderr.starts_with("results in ") && run.stderr.lines().count() == 1, "{}", run.stderr);
}

#[test]
fn a_missed_threshold_is_said_and_too_few_samples_keep_none() {
    // A busy machine may make a run invalid, which is 4 and says more; what was missed is told in any case.
    let load = "--lock setnx --memory --nodes 5 --keys 20 --warm-up 0s --duration 2s --cool-down 0s";
    let missed = |rest: &str| {
        let run = Run::of(&format!("{load} {rest}"));
        let missed = run.stderr.contains("MISSED");
        let codes = if missed { [2, 4] } else { [0, 4] };
        assert!(codes.contains(&run.code), "exit {}: {}", run.code, run.stderr);
        missed
    };
    assert!(missed("--rate 20 --max-p99 10s"), "forty samples show no p99");
    assert!(missed("--rate 600 --max-p99 1us"));
    assert!(!missed("--rate 600 --max-p99 10s"));
}

#[test]
fn two_runs_are_compared_and_other_workloads_refused() {
    let a = Run::of(&format!("--lock setnx --memory {LOAD}"));
    let b = Run::of(&format!("--lock quorum --memory {LOAD}"));
    let other = Run::of(&format!("--lock quorum --memory --hold 3ms {LOAD}"));
    let compare =
        |a: &Run, b: &Run| loadgen(&format!("compare {} {}", a.folder().display(), b.folder().display()));
    // A busy machine may make any of them invalid; that they are different workloads is found first.
    assert_eq!(compare(&a, &other).status.code(), Some(1));
    let compared = compare(&a, &b);
    if a.code == 0 && b.code == 0 {
        assert_eq!(compared.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&compared.stdout).contains("double-acquisition rate"));
    } else {
        assert_eq!(compared.status.code(), Some(4), "an invalid run is compared with nothing");
    }
}
