//! Faults of a scenario file on real servers: each happens when it should, and the referee sees what it does.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::fs;

use common::{Run, command, count, loadgen, passed_over};
use serde_json::Value;

const LOAD: &str = "--nodes 6 --warm-up 200ms --cool-down 300ms";

struct Played {
    run: Run,
    faults: Vec<Value>,
}

/// A run of this scenario.
fn played(lock: &str, scenario: &str, rest: &str) -> Played {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    fs::write(file.path(), scenario).unwrap();
    let run = Run::of(&format!("--lock {lock} --scenario {} {LOAD} {rest}", file.path().display()));
    run.assert_played();
    let lines = fs::read_to_string(run.folder().join("faults.jsonl")).unwrap();
    let faults = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Played { run, faults }
}

impl Played {
    /// That these faults happened, in this order, and not before their time.
    #[track_caller]
    fn assert_happened(&self, expected: &[(&str, &str)]) {
        let found: Vec<_> = self
            .faults
            .iter()
            .map(|line| (line["fault"].as_str().unwrap(), line["target"].as_str().unwrap()))
            .collect();
        assert_eq!(found, expected);
        for line in &self.faults {
            let time = |field: &str| line[field].as_f64().unwrap_or(f64::NAN);
            assert!(time("actual_start_ms") >= time("planned_start_ms"), "{line}");
            assert!(time("actual_end_ms") >= time("planned_end_ms"), "{line}");
            assert!(!line["detail"].as_str().unwrap().contains("failed"), "{line}");
        }
    }

    /// That the lock kept its promises, and that there was something to keep.
    #[track_caller]
    fn assert_kept(&self) {
        assert!(self.run.seen("exposure") > 0, "no hold met a fault");
        for promise in
            ["contract_overlaps", "stale_writes_accepted_fenced", "token_regressions", "token_duplicates"]
        {
            assert_eq!(self.run.seen(promise), 0, "{promise}");
        }
    }
}

#[test]
fn servers_hang_die_and_forget_while_the_quorum_goes_on() {
    let played = played(
        "quorum",
        r#"
        [[fault]]
        kind = "pause-endpoint"
        endpoints = [1]
        start = "500ms"
        length = "1s"
        [[fault]]
        kind = "kill-endpoint"
        endpoints = [2]
        data = "discard"
        start = "2s"
        length = "500ms"
        "#,
        "--rate 60 --keys 12 --hold 30ms --ttl 1s --duration 5s",
    );
    played.assert_happened(&[("pause-endpoint", "endpoint 1"), ("kill-endpoint", "endpoint 2")]);
    assert_eq!(played.faults[1]["detail"], "restarted without its data");
    played.assert_kept();
    let (granted, attempted) = (count(&played.run.json["granted"]), count(&played.run.json["attempted"]));
    assert!(granted * 10 >= attempted * 9, "{granted} of {attempted}: two of three are a majority");
}

#[test]
fn a_server_that_forgets_gives_the_naive_lock_to_two() {
    let played = played(
        "setnx",
        r#"
        [[fault]]
        kind = "flush"
        endpoints = [0]
        start = "500ms"
        every = "400ms"
        "#,
        "--rate 60 --hold 300ms --ttl 5s --duration 4s --keys 3 --wait 1s",
    );
    assert!(played.faults.len() >= 5, "{:?}", played.faults);
    assert!(played.run.seen("contract_overlaps") > 0);
    assert!(played.run.seen("foreign_releases") > 0);
}

#[test]
fn links_suffer_and_the_quorum_goes_on() {
    let played = played(
        "quorum",
        r#"
        [[fault]]
        kind = "partition"
        nodes = "0-2"
        endpoints = [0]
        start = "300ms"
        length = "1s"
        [[fault]]
        kind = "latency"
        endpoints = [1]
        delay = "uniform:5ms-20ms"
        way = "to-node"
        start = "1500ms"
        length = "600ms"
        [[fault]]
        kind = "lose-reply"
        endpoints = [2]
        share = 0.2
        start = "2300ms"
        length = "600ms"
        [[fault]]
        kind = "reset"
        endpoints = [0]
        start = "3s"
        [[fault]]
        kind = "half-open"
        nodes = "3-5"
        endpoints = [1]
        start = "3200ms"
        length = "700ms"
        "#,
        "--rate 60 --keys 12 --hold 30ms --ttl 1s --duration 5s",
    );
    played.assert_happened(&[
        ("partition", "nodes 0-2 and endpoint 0"),
        ("latency", "nodes 0-5 from endpoint 1"),
        ("lose-reply", "nodes 0-5 and endpoint 2"),
        ("reset", "nodes 0-5 and endpoint 0"),
        ("half-open", "nodes 3-5 and endpoint 1"),
    ]);
    played.assert_kept();
    assert!(played.run.stderr.contains("the proxy adds"), "{}", played.run.stderr);
    let (granted, attempted) = (count(&played.run.json["granted"]), count(&played.run.json["attempted"]));
    assert!(granted * 10 >= attempted * 9, "{granted} of {attempted}");
}

#[test]
fn a_late_delete_of_a_healed_partition_is_somebody_elses_lock() {
    let played = played(
        "setnx",
        r#"
        [[fault]]
        kind = "partition"
        nodes = "0-2"
        endpoints = [0]
        start = "500ms"
        every = "1500ms"
        length = "800ms"
        "#,
        "--hold 100ms --ttl 400ms --duration 6s --keys 2 --wait 1s --rate 40",
    );
    assert!(played.run.seen("foreign_releases") + played.run.seen("acting_overlaps") > 0);
}

#[test]
fn the_published_lease_with_its_shadow_has_two_holders_when_one_sleeps() {
    let played = played(
        "lease",
        r#"
        [[fault]]
        kind = "pause-node"
        nodes = "0-2"
        every = "1500ms"
        length = "1s"
        pick = "spread"
        "#,
        "--rate 60 --hold 100ms --ttl 500ms --duration 6s --keys 4 --wait 1s",
    );
    assert!(played.run.seen("exposure") > 0, "no hold met a pause");
    assert!(played.run.seen("acting_overlaps") > 0);
}

/// PostgreSQL is not everywhere: where it is not, the run says how to get it.
#[test]
fn advisory_locks_outlive_a_sleeper_and_end_with_their_server() {
    let scenario = r#"
        [[fault]]
        kind = "pause-node"
        nodes = "0-1"
        every = "2s"
        length = "1s"
        pick = "spread"
        [[fault]]
        kind = "kill-endpoint"
        endpoints = [0]
        data = "keep"
        start = "3s"
        length = "300ms"
        "#;
    let results = tempfile::tempdir().unwrap();
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    fs::write(file.path(), scenario).unwrap();
    let args = format!(
        "run --json --lock postgres --scenario {} {LOAD} --rate 40 --hold 60ms --keys 6 --duration 6s --wait 1s",
        file.path().display()
    );
    let output = command(&args).arg("--out").arg(results.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("no initdb and postgres found") {
        assert_eq!(output.status.code(), Some(1));
        passed_over("PostgreSQL");
        return;
    }
    let run: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert!(count(&run["granted"]) > 50, "{stderr}");
    assert_eq!(count(&run["safety"]["foreign_releases"]["count"]), 0);
    assert!(count(&run["safety"]["unknown_outcomes"]["count"]) > 0, "its server was killed: {stderr}");
}

#[test]
fn the_scenarios_that_ship_are_listed_and_printed() {
    let listed = String::from_utf8(loadgen("scenarios").stdout).unwrap();
    for name in ["calm", "gc-pause", "restart-amnesia", "chaos"] {
        assert!(listed.contains(name), "{listed}");
        let printed = loadgen(&format!("scenarios {name}"));
        assert_eq!(printed.status.code(), Some(0));
        assert!(String::from_utf8(printed.stdout).unwrap().contains("about = "));
    }
    assert_eq!(loadgen("scenarios none-such").status.code(), Some(1));
}

#[test]
fn a_ramp_asks_for_more_and_a_node_that_rests_does_one_thing_at_a_time() {
    let run = Run::of(
        "--lock setnx --memory --nodes 4 --rate 20 --profile ramp:60 --keys 20 --warm-up 0s --duration 4s --cool-down 0s",
    );
    run.assert_played();
    let offered = run.json["offered_per_s"].as_f64().unwrap();
    assert!((30.0..50.0).contains(&offered), "{offered}: forty on average");
    let run = Run::of(
        "--lock setnx --memory --nodes 2 --rate 40 --think 50ms --keys 20 --warm-up 0s --duration 3s --cool-down 0s",
    );
    run.assert_played();
    let late = run.json["latency_us"]["due_to_sent"]["p50"].as_f64().unwrap();
    assert!(late > 100_000.0, "{late} us: what comes due while a node rests waits");
}
