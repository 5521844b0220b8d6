//! Every lock under pauses of its holders: the referee finds what there is to find, and nothing where there is nothing.

mod common;

use common::{Run, count};

/// Pauses of a second, twice the TTL: some thirty of them meet a hold, and half of those names are asked for meanwhile.
const PAUSES: &str = "--nodes 8 --rate 30 --keys 12 --hold 200ms --ttl 500ms --wait 1s \
                      --pause-nodes 6 --pause-every 1500ms --pause-for 1s \
                      --warm-up 200ms --duration 8s --cool-down 300ms";

#[test]
fn the_naive_lock_has_two_holders_when_one_sleeps_past_its_ttl() {
    let run = Run::of(&format!("--lock setnx {PAUSES}"));
    run.assert_played();
    assert!(run.seen("exposure") > 0, "no hold met a pause");
    assert!(run.seen("acting_overlaps") > 0);
    assert!(run.seen("stale_writes_accepted_unfenced") > 0);
    assert_eq!(
        run.json["safety"]["stale_writes_accepted_fenced"],
        serde_json::Value::Null,
        "it has no tokens"
    );
    assert!(run.json["latency_us"]["attempt"]["count"].as_u64() > run.json["attempted"].as_u64());
    assert!(count(&run.json["late_by_fault"]) > 0);
}

#[test]
fn the_quorum_lock_keeps_its_promises_while_holders_sleep() {
    let run = Run::of(&format!("--lock quorum {PAUSES}"));
    run.assert_played();
    assert!(run.seen("exposure") > 0, "no hold met a pause");
    assert!(run.seen("stale_writes_attempted") > 0, "no sleeper woke up and wrote");
    for promise in [
        "contract_overlaps",
        "stale_writes_accepted_fenced",
        "token_regressions",
        "token_duplicates",
        "foreign_releases",
    ] {
        assert_eq!(run.seen(promise), 0, "{promise}");
    }
    assert!(count(&run.json["latency_us"]["loss_notice"]["count"]) > 0, "sleepers are told when they wake");
    assert!(count(&run.json["safety"]["late_notice_us"]["count"]) > 0, "and have written by then");
}

#[test]
fn the_peer_crate_is_driven_as_well() {
    let run = Run::of(&format!("--lock redlock {PAUSES}"));
    run.assert_played();
    assert_eq!(run.seen("contract_overlaps"), 0);
    assert!(run.seen("acting_overlaps") > 0);
}

#[test]
fn without_a_lock_the_referee_finds_overlaps_by_every_measure() {
    let run = Run::of("--lock none --nodes 8 --rate 200 --keys 4 --hold 20ms --warm-up 0s --duration 3s");
    run.assert_played();
    let grants = count(&run.json["granted"]);
    assert!(run.seen("contract_overlaps") > grants / 4);
    assert!(run.seen("acting_overlaps") > grants / 4);
    assert!(run.seen("stale_writes_attempted") > 0);
    assert!(run.seen("lost_updates_unfenced") > grants / 10);
}

#[test]
fn in_memory_the_same_is_seen_with_simulated_pauses() {
    let quorum = Run::of(&format!("--lock quorum --memory {PAUSES}"));
    quorum.assert_played();
    assert_eq!(quorum.json["parameters"]["faults_simulated"], true);
    assert_eq!(quorum.seen("contract_overlaps"), 0);
    assert_eq!(quorum.seen("stale_writes_accepted_fenced"), 0);
    assert!(quorum.seen("stale_writes_attempted") > 0);
    let naive = Run::of(&format!("--lock setnx --memory {PAUSES}"));
    naive.assert_played();
    assert!(naive.seen("acting_overlaps") > 0);
}
