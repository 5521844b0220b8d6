//! What surrounds the counts: exposure, unknown outcomes, limits of what is kept, and contention.

use super::{grant, held, judge};
use crate::referee::violations::ViolationKind;
use crate::referee::{Failure, GrantRecord, LateRecord, Referee, ReleaseOutcome, Watermarks};

fn failure(node: u32, call_ns: u64, end_ns: u64) -> Failure {
    Failure { node, key: 0, call_ns, end_ns, unknown: false }
}

#[test]
fn exposed_are_the_holds_that_met_a_fault() {
    let mut referee = Referee::new();
    let pause = referee.fault_begun(Some(&[1]), 100);
    referee.fault_ended(pause, 200);
    referee.fault_begun(None, 1_000);
    let on = |grant_id: u32, node: u32, granted_ns: u64, last_act_ns: u64| GrantRecord {
        node,
        key: grant_id,
        ..held(grant_id, granted_ns, last_act_ns)
    };
    let before = on(10, 1, 0, 99);
    let into = on(11, 1, 50, 100);
    let across = on(12, 1, 50, 500);
    let out_of = on(13, 1, 200, 300);
    let after = on(14, 1, 201, 300);
    let other_node = on(15, 2, 50, 500);
    let still_active = on(16, 2, 1_500, 1_600);
    for grant in [before, into, across, out_of, after, other_node, still_active] {
        referee.grant(grant).unwrap();
    }
    let exposure = referee.finish().safety.exposure;
    assert_eq!((exposure.count, exposure.of), (4, 7), "into, across, out_of, still_active");
}

#[test]
fn a_lease_counts_as_held_until_its_deadline() {
    let mut referee = Referee::new();
    referee.fault_begun(None, 50);
    referee.grant(GrantRecord { valid_until_ns: Some(60), ..grant(1, 0) }).unwrap();
    referee.grant(GrantRecord { valid_until_ns: Some(40), key: 1, ..grant(2, 0) }).unwrap();
    assert_eq!(referee.finish().safety.exposure.count, 1);
}

#[test]
fn unknown_outcomes_are_neither_grants_nor_failures() {
    let mut referee = Referee::new();
    referee.failure(&failure(1, 0, 1)).unwrap();
    referee.failure(&Failure { unknown: true, ..failure(1, 0, 1) }).unwrap();
    referee.grant(GrantRecord { release: ReleaseOutcome::Unknown, ..held(1, 2, 3) }).unwrap();
    let unknown = referee.finish().safety.unknown_outcomes;
    assert_eq!((unknown.count, unknown.of), (2, 4), "two failures, one grant, one release");
}

#[test]
fn a_foreign_release_is_caught() {
    let findings = judge(&[GrantRecord { release: ReleaseOutcome::Foreign, ..held(1, 2, 3) }, held(2, 4, 5)]);
    assert_eq!((findings.safety.foreign_releases.count, findings.safety.foreign_releases.of), (1, 2));
    assert_eq!(findings.safety.broken_promises(), ["1 releases of somebody else's lock (of 2)"]);
    assert_eq!(findings.violations.violations.first().unwrap().kind, ViolationKind::ForeignRelease);
}

#[test]
fn false_losses_are_counted_among_the_losses() {
    let told = GrantRecord { told_lost_ns: Some(5), ..grant(1, 0) };
    let wrongly = GrantRecord { lost_false: true, ..GrantRecord { key: 1, ..told } };
    let safety = judge(&[told, GrantRecord { grant_id: 2, ..wrongly }, held(3, 6, 7)]).safety;
    assert_eq!((safety.lost_false.count, safety.lost_false.of), (1, 2));
}

#[test]
fn of_many_violations_all_are_counted_and_some_are_kept() {
    let many: Vec<_> = (0..1_000).map(|id| held(id, u64::from(id), 10_000)).collect();
    let findings = judge(&many);
    assert_eq!(findings.safety.contract_overlaps.count, 999);
    assert_eq!(findings.violations.seen.get(&ViolationKind::ContractOverlap), Some(&999));
    let kept =
        findings.violations.violations.iter().filter(|found| found.kind == ViolationKind::ContractOverlap);
    assert_eq!(kept.count(), 100);
    assert!(findings.violations.grants.len() <= 400, "{}", findings.violations.grants.len());
}

#[test]
fn a_record_behind_the_horizon_is_refused_aloud() {
    let mut referee = Referee::new();
    referee.advance(100);
    let late = LateRecord { node: 1, call_ns: 99, horizon_ns: 100 };
    assert_eq!(referee.grant(held(1, 99, 120)), Err(late));
    assert_eq!(referee.failure(&failure(1, 99, 120)), Err(late));
    assert_eq!(referee.grant(held(1, 100, 120)), Ok(()));
    assert_eq!(referee.finish().safety.contract_overlaps.of, 1);
}

#[test]
fn the_horizon_waits_for_the_slowest_worker() {
    let mut watermarks = Watermarks::default();
    assert_eq!(watermarks.horizon_ns(), None);
    watermarks.report(1, 50);
    watermarks.report(2, 90);
    assert_eq!(watermarks.horizon_ns(), Some(50));
    watermarks.report(1, 200);
    watermarks.report(2, 80);
    assert_eq!(watermarks.horizon_ns(), Some(90), "a worker that vouched for 90 has vouched for 80");
    watermarks.finish(2);
    assert_eq!(watermarks.horizon_ns(), Some(200));
}

#[test]
fn a_handover_is_measured_where_somebody_waited() {
    let waited = GrantRecord { call_ns: 5_000_000, ..held(2, 11_000_000, 20_000_000) };
    let came_later = held(3, 30_000_000, 40_000_000);
    let handoff = judge(&[held(1, 0, 10_000_000), waited, came_later]).handoff_us;
    assert_eq!(handoff.count, 1);
    assert!((999.0..=1_001.0).contains(&handoff.max.unwrap()));
}

#[test]
fn waiting_counts_those_that_won_nothing_too() {
    let mut referee = Referee::new();
    referee.grant(GrantRecord { call_ns: 0, ..held(1, 10, 20) }).unwrap();
    referee.failure(&failure(2, 5, 15)).unwrap();
    referee.failure(&failure(3, 9, 10)).unwrap();
    referee.failure(&Failure { key: 1, ..failure(4, 9, 10) }).unwrap();
    referee.failure(&failure(5, 10, 11)).unwrap();
    assert_eq!(referee.finish().waiting_max, 3);
}

#[test]
fn fairness_is_jains_index() {
    assert_eq!(judge(&[]).jain_fairness, None);
    assert_eq!(judge(&[held(1, 0, 1), held(2, 2, 3)]).jain_fairness, Some(1.0));
    let mut referee = Referee::new();
    referee.grant(held(1, 0, 1)).unwrap();
    for node in [2, 3, 4] {
        referee.failure(&failure(node, 0, 1)).unwrap();
    }
    assert_eq!(referee.finish().jain_fairness, Some(0.25), "one of four gets everything");
}

#[test]
fn a_long_run_needs_no_more_memory_than_what_is_held_at_once() {
    let mut referee = Referee::new();
    let mut retained_max = 0;
    for id in 0..20_000_u32 {
        let granted_ns = u64::from(id) * 10;
        let token = Some(u64::from(id));
        referee.grant(GrantRecord { token, key: id % 4, ..held(id, granted_ns, granted_ns + 35) }).unwrap();
        referee.advance(granted_ns + 10);
        retained_max = retained_max.max(referee.retained());
    }
    assert!(retained_max <= 4 * 8, "{retained_max} retained");
    assert_eq!(referee.finish().safety.contract_overlaps.of, 20_000);
}
