//! What is written is read back by others' rules, and what is refused is refused by name.

mod compare;
mod environment;
mod folder;
mod formats;
mod headline;
mod html;
mod run_json;
mod summary;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::run_json::{
    Contention, Environment, LatencyTable, Parameters, PlannedFault, Renewals, Run, SCHEMA, Server, Usage,
};
use crate::measure::{Phase, Recorder, Slack, Timeline};
use crate::referee::{GrantRecord, Referee, ReleaseOutcome, Safety, Write};

/// 2026-11-22 12:21:53.25 UTC.
fn started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_350_113_250)
}

/// Three seconds of acquisitions from 0.1 ms to 1 s, and a hold each.
fn timeline() -> Timeline {
    let mut recorder = Recorder::new(0);
    for sample in 0..30_000_u64 {
        let at_ns = sample * 100_000;
        recorder.record(Phase::Acquire, at_ns, 100_000 + sample * sample);
        recorder.record(Phase::Hold, at_ns, 2_000_000);
    }
    let mut timeline = Timeline::default();
    for interval in recorder.finish() {
        timeline.merge(interval.encode().unwrap()).unwrap();
    }
    timeline
}

/// Findings of a run in which a sleeper's write met a later grant.
fn safety(token: Option<u64>) -> Safety {
    let mut referee = Referee::new();
    referee.fault_begun(Some(&[1]), 5);
    let write = Write { key: 0, grant_id: 1, granted_ns: 0, token, ordinal: 0 };
    referee.write(&write, 1).unwrap();
    let later_token = token.map(|token| token + 1);
    referee.write(&Write { grant_id: 2, granted_ns: 20, token: later_token, ..write }, 21).unwrap();
    referee.write(&Write { ordinal: 1, ..write }, 30).unwrap();
    let sleeper = GrantRecord {
        grant_id: 1,
        node: 1,
        key: 0,
        token,
        call_ns: 0,
        granted_ns: 0,
        valid_until_ns: Some(10),
        told_lost_ns: None,
        release_call_ns: None,
        release_done_ns: None,
        last_act_ns: 30,
        release: ReleaseOutcome::NotCalled,
        lost_false: false,
    };
    let later = GrantRecord {
        grant_id: 2,
        node: 2,
        token: later_token,
        call_ns: 20,
        granted_ns: 20,
        valid_until_ns: Some(100),
        last_act_ns: 25,
        ..sleeper
    };
    for grant in [sleeper, later] {
        referee.grant(grant).unwrap();
    }
    referee.finish().safety
}

fn pause(target: &str, at_ms: u64, length_ms: u64) -> PlannedFault {
    let (fault, target, detail) = ("pause-node".to_owned(), target.to_owned(), String::new());
    PlannedFault { fault, target, detail, at_ms, length_ms }
}

/// A valid run of the quorum lock.
fn run() -> Run {
    let timeline = timeline();
    Run {
        schema: SCHEMA,
        command: "loadgen run --seed 7".to_owned(),
        started: super::rfc3339(started()),
        scenario: "gc-pause".to_owned(),
        lock: "quorum".to_owned(),
        nodes: 40,
        seed: 7,
        parameters: Parameters {
            rate_per_s: 2_000.0,
            duration_ms: 30_000,
            warm_up_ms: 2_000,
            cool_down_ms: 1_000,
            keys: 200,
            skew: "zipf:1.0".to_owned(),
            arrivals: "poisson".to_owned(),
            hold_us: 2_000,
            wait_ms: 2_000,
            ttl_ms: 5_000,
            profile: "constant".to_owned(),
            think_us: 0,
            faults: vec![pause("node 3", 4_000, 6_500), pause("node 9", 12_000, 7_000)],
            faults_simulated: false,
        },
        environment: Environment {
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            dirty: Some(false),
            compiler: "rustc 1.95.0".to_owned(),
            profile: "release".to_owned(),
            cpu: None,
            cores: 2,
            kernel: "Linux 6.18.0".to_owned(),
            real_time: Some(true),
            server: Some(Server {
                version: "redis 7.0.15".to_owned(),
                settings: BTreeMap::from([("appendonly".to_owned(), "no".to_owned())]),
            }),
        },
        valid: true,
        invalid_because: Vec::new(),
        complete: true,
        offered_per_s: 2_000.0,
        achieved_per_s: 1_998.7,
        attempted: 60_000,
        granted: 59_961,
        failed: BTreeMap::from([
            ("held".to_owned(), 30),
            ("no_quorum".to_owned(), 9),
            ("shutdown".to_owned(), 0),
        ]),
        late_by_fault: 12,
        latency_us: LatencyTable {
            acquire: timeline.latency(Phase::Acquire),
            hold: timeline.latency(Phase::Hold),
            ..LatencyTable::default()
        },
        contention: Contention {
            retries_per_grant: Some(0.42),
            waiting_max: 17,
            jain_fairness: Some(0.997),
            ..Contention::default()
        },
        renewals: Renewals {
            attempted: 8,
            succeeded: 6,
            success_rate: Some(0.75),
            slack_us: Slack { min: Some(2_400_000.0), count: 6, ..Slack::default() },
            limited: Some(0),
            shadow: 0,
        },
        safety: safety(Some(100)),
        usage: Usage { client_cpu_s: 21.5, server_cpu_s: Some(9.25), client_rss_mib: 180.0 },
        shard: None,
        merged: None,
    }
}
