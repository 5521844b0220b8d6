use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::run;
use crate::report::read::{ReadError, read_run};
use crate::report::run_json::Run;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_run_comes_back_as_it_was() {
    let run = run();
    let text = serde_json::to_string_pretty(&run).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    assert_eq!(serde_json::to_string_pretty(&serde_json::from_str::<Run>(&text).unwrap()).unwrap(), text);
}

#[test]
fn the_fields_are_those_that_scripts_rely_on() {
    let value = serde_json::to_value(run()).unwrap();
    for path in [
        "/schema",
        "/command",
        "/scenario",
        "/lock",
        "/nodes",
        "/seed",
        "/environment/commit",
        "/environment/dirty",
        "/environment/compiler",
        "/environment/cpu",
        "/environment/cores",
        "/environment/kernel",
        "/environment/server/version",
        "/environment/server/settings",
        "/valid",
        "/invalid_because",
        "/complete",
        "/offered_per_s",
        "/achieved_per_s",
        "/attempted",
        "/granted",
        "/failed/no_quorum",
        "/late_by_fault",
        "/contention/retries_per_grant",
        "/contention/waiting_max",
        "/contention/jain_fairness",
        "/contention/handoff_us/p99",
        "/renewals/attempted",
        "/renewals/succeeded",
        "/renewals/success_rate",
        "/renewals/slack_us/min",
        "/renewals/limited",
        "/renewals/shadow",
        "/safety/late_notice_us/p999",
        "/usage/client_cpu_s",
        "/usage/server_cpu_s",
        "/usage/client_rss_mib",
    ] {
        assert!(value.pointer(path).is_some(), "{path}");
    }
    for phase in ["due_to_sent", "acquire", "attempt", "hold", "renew", "release", "loss_notice"] {
        let latency = value.pointer(&format!("/latency_us/{phase}")).unwrap();
        assert_eq!(keys(latency), ["count", "max", "p50", "p90", "p99", "p999"], "{phase}");
    }
    for count in [
        "contract_overlaps",
        "acting_overlaps",
        "stale_writes_attempted",
        "stale_writes_accepted_unfenced",
        "stale_writes_accepted_fenced",
        "token_regressions",
        "token_duplicates",
        "double_acquisition_rate",
        "lost_false",
        "unknown_outcomes",
        "foreign_releases",
    ] {
        let count = value.pointer(&format!("/safety/{count}")).unwrap();
        assert_eq!(keys(count), ["count", "of", "rate", "upper_95"], "{count}");
    }
}

#[test]
fn the_order_of_fields_is_stable() {
    let text = serde_json::to_string(&run()).unwrap();
    let position = |field: &str| text.find(&format!("\"{field}\":")).unwrap();
    let order = ["schema", "command", "scenario", "environment", "valid", "latency_us", "safety", "usage"];
    assert!(order.windows(2).all(|pair| position(pair[0]) < position(pair[1])), "{text}");
}

#[test]
fn what_is_not_known_is_not_read() {
    for path in
        ["", "/parameters", "/environment", "/latency_us/hold", "/safety", "/safety/exposure", "/usage"]
    {
        let mut value = serde_json::to_value(run()).unwrap();
        value.pointer_mut(path).unwrap().as_object_mut().unwrap().insert("novelty".to_owned(), json!(1));
        let error = serde_json::from_value::<Run>(value).unwrap_err().to_string();
        assert!(error.contains("novelty"), "{path}: {error}");
    }
}

#[test]
fn a_run_is_read_from_its_folder_or_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.json");
    std::fs::write(&file, serde_json::to_vec(&run()).unwrap()).unwrap();
    assert_eq!(read_run(folder.path()).unwrap(), run());
    assert_eq!(read_run(&file).unwrap(), run());
}

#[test]
fn a_file_that_is_no_run_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.json");
    assert!(matches!(read_run(folder.path()), Err(ReadError::Io { .. })));
    assert!(matches!(read_run(Path::new("no/such/run")), Err(ReadError::Io { .. })));
    std::fs::write(&file, "{").unwrap();
    assert!(matches!(read_run(&file), Err(ReadError::Json { .. })));
    std::fs::write(&file, r#"{"schema": 1, "lock": "quorum"}"#).unwrap();
    let error = read_run(&file).unwrap_err().to_string();
    assert!(error.contains("run.json is not a run: missing field"), "{error}");
    std::fs::write(&file, r#"{"schema": 2, "novelty": true}"#).unwrap();
    let error = read_run(&file).unwrap_err().to_string();
    assert!(error.contains("has schema 2, and this program reads schema 1"), "{error}");
}

proptest! {
    /// Numbers come back to the last bit, and with them every comparison of a run with itself.
    #[test]
    fn numbers_come_back_to_the_last_bit(
        rate in prop::num::f64::NORMAL,
        share in prop::option::of(prop::num::f64::POSITIVE),
        seed in any::<u64>(),
    ) {
        let mut run = run();
        (run.achieved_per_s, run.contention.jain_fairness, run.seed) = (rate, share, seed);
        prop_assert_eq!(serde_json::from_str::<Run>(&serde_json::to_string(&run).unwrap()).unwrap(), run);
    }
}
