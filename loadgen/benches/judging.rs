//! What the referee and the histograms cost at 10,000 grants a second, in processor time of the very code that a run has
//! judged by: a minute of grants with two writes each, four phases recorded for each of them, and every second of
//! histograms packed, sent and merged, as fast as it goes.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "two rooms of a program, without the others"
)]

#[path = "../src/measure/mod.rs"]
mod measure;
#[path = "../src/referee/mod.rs"]
mod referee;

use measure::{Phase, Recorder, Timeline};
use referee::{GrantRecord, Referee, ReleaseOutcome, Write, grant_id};
use rustix::time::{ClockId, clock_gettime};

const SECONDS: u64 = 60;
const GRANTS_PER_S: u64 = 10_000;
const NODES: u64 = 40;
const KEYS: u64 = 200;
const SECOND_NS: u64 = 1_000_000_000;
/// A lease is held for 2 ms after 1 ms of asking.
const ASKED_NS: u64 = 1_000_000;
const HELD_NS: u64 = 2_000_000;

fn main() {
    println!(
        "{SECONDS} s of {GRANTS_PER_S} grants/s, {NODES} nodes, {KEYS} names; processor time of one thread"
    );
    let grants = || (0..SECONDS * GRANTS_PER_S).map(grant);

    let mut referee = Referee::new();
    let before_ns = cpu_ns();
    for (index, record) in (0_u64..).zip(grants()) {
        let GrantRecord { grant_id, key, granted_ns, token, .. } = record;
        let write = Write { key, grant_id, granted_ns, token, ordinal: 0 };
        referee.write(&write, granted_ns).unwrap();
        referee.write(&Write { ordinal: 1, ..write }, record.last_act_ns).unwrap();
        referee.grant(record).unwrap();
        // A run's horizon moves with the reports of its workers.
        if index % (GRANTS_PER_S / 10) == 0 {
            referee.advance(record.call_ns);
        }
    }
    let findings = referee.finish();
    let judged_ns = cpu_ns() - before_ns;
    assert_eq!(findings.safety.contract_overlaps.of, SECONDS * GRANTS_PER_S);
    assert_eq!(findings.safety.contract_overlaps.count, 0);

    let before_ns = cpu_ns();
    let mut recorder = Recorder::new(0);
    let mut intervals = Vec::new();
    for record in grants() {
        // Latencies that fill as much of a histogram as a busy run's.
        let spread_ns = record.grant_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        for phase in
            [Phase::DueToSent, Phase::SendLag, Phase::Acquire, Phase::Attempt, Phase::Hold, Phase::Release]
        {
            recorder.record(phase, record.last_act_ns, spread_ns >> (phase.index() % 4));
        }
        intervals.extend(recorder.take_closed());
    }
    intervals.extend(recorder.finish());
    let recorded_ns = cpu_ns() - before_ns;

    let before_ns = cpu_ns();
    let mut timeline = Timeline::default();
    for interval in &intervals {
        timeline.merge(interval.encode().unwrap()).unwrap();
    }
    let packed_ns = cpu_ns() - before_ns;
    assert_eq!(timeline.latency(Phase::Acquire).count, SECONDS * GRANTS_PER_S);

    for (what, ns) in [
        ("referee", judged_ns),
        ("recording six phases", recorded_ns),
        ("packing and merging", packed_ns),
        ("together", judged_ns + recorded_ns + packed_ns),
    ] {
        let per_grant_ns = ns as f64 / (SECONDS * GRANTS_PER_S) as f64;
        println!(
            "{what:<22} {per_grant_ns:>7.0} ns a grant, {:>5.2} % of a core at {GRANTS_PER_S} a second",
            ns as f64 / (SECONDS * SECOND_NS) as f64 * 100.0
        );
    }
}

/// The `index`th grant: names in turn, so that each is free when its turn comes.
fn grant(index: u64) -> GrantRecord {
    let call_ns = index * (SECOND_NS / GRANTS_PER_S);
    let granted_ns = call_ns + ASKED_NS;
    let node = small(index % NODES);
    GrantRecord {
        grant_id: grant_id(node, small(index / NODES)),
        node,
        key: small(index % KEYS),
        token: Some(index + 1),
        call_ns,
        granted_ns,
        valid_until_ns: Some(granted_ns + 5 * SECOND_NS),
        told_lost_ns: None,
        release_call_ns: Some(granted_ns + HELD_NS),
        release_done_ns: Some(granted_ns + HELD_NS + ASKED_NS),
        last_act_ns: granted_ns + HELD_NS,
        release: ReleaseOutcome::Clean,
        lost_false: false,
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap()
}

fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap() * SECOND_NS + u64::try_from(time.tv_nsec).unwrap()
}
