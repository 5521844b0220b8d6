use console::measure_text_width;

use super::block::{Styles, Subject};
use super::line::line;
use super::snapshot::{Rates, RunPhase, Snapshot};
use crate::referee::SoFar;
use crate::run::archive::Second;
use crate::run::plan::{LockKind, Plan};
use crate::run::waiting::Waiting;
use crate::scenario::{Load, Profile};
use crate::shards::Shard;

fn plan() -> Plan {
    let load = Load { profile: Profile::Ramp { to_per_s: 4_000.0 }, ..Load::default() };
    let (endpoints, routes, faults) = (Vec::new(), Vec::new(), Vec::new());
    Plan {
        scenario: "gc-pause".to_owned(),
        lock: LockKind::Quorum,
        endpoints,
        routes,
        load,
        faults,
        seed: 7,
        shard: Shard::WHOLE,
    }
}

/// A run that has gone on for 20 of its 33 seconds.
fn seen() -> Snapshot {
    let second = |number: u32| Second {
        number,
        sent: 3_000,
        granted: 2_900,
        acquire_p99_ns: (number != 5).then_some(if number == 9 { 80_000_000 } else { 10_000_000 }),
    };
    let seconds: Vec<Second> = (0..18).map(second).collect();
    Snapshot {
        since_ns: 20_000_000_000,
        left_ns: 13_000_000_000,
        phase: RunPhase::Measured,
        rates: Rates::over(&plan(), &seconds),
        sent: 50_000,
        not_sent: 0,
        granted: 49_000,
        failed: [("held", 1_200)].into(),
        attempts: 74_500,
        acquire_p99_us: Some(12_345.0),
        seconds,
        waiting: Waiting {
            count: 37,
            longest_ns: Some(1_200_000_000),
            names: vec![(3, 12), (0, 9)],
            nodes: vec![(5, 8)],
        },
        held: 4,
        faults: [("pause-node", vec!["node 3".to_owned(), "node 7".to_owned()])].into(),
        safety: SoFar { acting_overlaps: 12, stale_writes: 24, ..SoFar::default() },
    }
}

fn block(seen: &Snapshot, width: usize) -> Vec<String> {
    Subject::of(&plan()).block(seen, &Styles::coloured(false), width)
}

#[test]
fn everything_there_is_to_know_fits_eighty_columns() {
    let lines = block(&seen(), 79);
    for line in &lines {
        assert!(measure_text_width(line) <= 79 && !line.contains('…'), "{line}");
    }
    let text = lines.join("\n");
    for part in [
        "quorum under gc-pause, seed 7 ",
        "█░",
        " 13 s left",
        "3,000/s sent, 2,900/s granted",
        "10.00 ms now ▁▁▁▁▁ ▁▁▁█▁▁▁▁▁▁▁▁ worst 80.00; all 12.35",
        "0.50 a grant; 49,000 granted, 1,200 failed (held 1,200)",
        "37, longest 2 s; names 3×12 0×9; nodes 5×8; 4 held",
        "pause-node: node 3, node 7",
        "0 contract overlaps, 12 acting doubles, 24 stale writes",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn what_does_not_fit_is_cut_off_and_never_wrapped() {
    let mut seen = seen();
    seen.faults.insert("partition", (0..30).map(|node| format!("node {node} and endpoint 2")).collect());
    for width in [1, 10, 24, 40, 60, 79, 200] {
        let coloured = Subject::of(&plan()).block(&seen, &Styles::coloured(true), width);
        assert_eq!(coloured.len(), block(&seen, width).len());
        for line in coloured.iter().chain(&block(&seen, width)) {
            assert!(measure_text_width(line) <= width, "{width}: {line:?}");
        }
    }
}

#[test]
fn colours_say_what_is_grave_and_can_be_left_out() {
    let mut seen = seen();
    seen.safety.contract_overlaps = 1;
    let safety = |colours| {
        let lines = Subject::of(&plan()).block(&seen, &Styles::coloured(colours), 200);
        lines.last().cloned().unwrap_or_default()
    };
    assert!(safety(true).contains("\x1b[31m\x1b[1m1 contract overlaps"), "{:?}", safety(true));
    assert!(!safety(false).contains('\x1b'), "{:?}", safety(false));
}

#[test]
fn rates_are_those_of_the_last_whole_seconds_and_of_the_plan_in_them() {
    let rates = seen().rates.unwrap_or_else(|| panic!("seconds are over"));
    // Of 18 seconds the last is not whole; the middle of the five before it is 14.5 s into a ramp over 30 s.
    assert!((rates.offered_per_s - (2_000.0 + 2_000.0 * 14.5 / 30.0)).abs() < 1e-6, "{rates:?}");
    assert!((rates.sent_per_s - 3_000.0).abs() < 1e-6);
    assert_eq!(Rates::over(&plan(), &seen().seconds[..1]), None);

    let quarter = Plan { shard: Shard { number: 2, of: 4 }, ..plan() };
    let shared = Rates::over(&quarter, &seen().seconds).unwrap_or_else(|| panic!("seconds are over"));
    assert!(
        (shared.offered_per_s * 4.0 - rates.offered_per_s).abs() < 1e-6,
        "a quarter of the nodes: {shared:?}"
    );
}

#[test]
fn a_plain_line_says_the_same_in_short() {
    let text = line(&seen());
    assert!(!text.contains(['\x1b', '\n', '█']), "{text}");
    for part in [
        "  13 s left | offered 29",
        "37 wait",
        "0 contract overlaps, 12 acting doubles",
        "pause-node: node 3",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    let warming = Snapshot { left_ns: 32_500_000_000, ..Snapshot::default() };
    assert!(line(&warming).starts_with("  33 s left | warming up | 0 wait"), "{}", line(&warming));
}
