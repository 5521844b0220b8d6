//! The lock of etcd, on real members; passed over where there is no etcd.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::fs;

use common::{command, count, passed_over};
use serde_json::Value;

/// A run, or nothing where etcd is not installed.
fn run(args: &str) -> Option<(Value, String)> {
    let results = tempfile::tempdir().unwrap();
    let output =
        command(&format!("run --json --lock etcd {args}")).arg("--out").arg(results.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.contains("no etcd found") {
        assert_eq!(output.status.code(), Some(1));
        passed_over("etcd");
        return None;
    }
    let run = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert!(stderr.contains("etcd lock on three of etcd "), "{stderr}");
    Some((run, stderr))
}

#[track_caller]
fn keeps_its_promises(run: &Value) {
    for promise in
        ["contract_overlaps", "stale_writes_accepted_fenced", "token_regressions", "token_duplicates"]
    {
        assert_eq!(count(&run["safety"][promise]["count"]), 0, "{promise}");
    }
}

#[test]
fn holders_take_turns_and_a_session_that_slept_too_long_is_over() {
    // Longer than the shortest session of whole seconds.
    let Some((run, stderr)) =
        run("--nodes 6 --rate 25 --keys 3 --hold 100ms --ttl 1s --wait 1s --warm-up 200ms --duration 8s \
         --pause-nodes 2 --pause-every 4s --pause-for 2500ms")
    else {
        return;
    };
    assert!(count(&run["granted"]) > 30, "{stderr}");
    assert!(count(&run["renewals"]["succeeded"]) > 10, "sessions are kept alive: {run}");
    keeps_its_promises(&run);
    assert!(run["environment"]["server"]["version"].as_str().unwrap().starts_with("etcd "), "{run}");
}

#[test]
fn two_of_three_members_are_enough_whatever_befalls_the_third() {
    let scenario = r#"
        [[fault]]
        kind = "kill-endpoint"
        endpoints = [0]
        data = "discard"
        start = "1s"
        length = "500ms"
        [[fault]]
        kind = "partition"
        nodes = "0-2"
        endpoints = [1]
        start = "7s"
        length = "1s"
        "#;
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    fs::write(file.path(), scenario).unwrap();
    let load = "--nodes 6 --rate 25 --keys 12 --hold 40ms --ttl 2s --wait 1s --warm-up 200ms --duration 9s";
    let Some((run, stderr)) = run(&format!("--scenario {} {load}", file.path().display())) else { return };
    assert!(count(&run["granted"]) > 50, "{stderr}");
    keeps_its_promises(&run);
    for reason in run["invalid_because"].as_array().unwrap() {
        assert!(!reason.as_str().unwrap().contains("failed"), "the member came back: {reason}");
    }
}

#[test]
fn members_are_named_by_their_urls() {
    let output = common::loadgen("run --lock etcd --endpoints redis://127.0.0.1:1");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("redis://127.0.0.1:1 is no member of etcd; write http://host:port"), "{stderr}");
}
