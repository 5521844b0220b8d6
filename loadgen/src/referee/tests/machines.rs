//! Times from several machines: what their clocks leave open is said to be open.

use super::{grant, held};
use crate::referee::{Findings, GrantRecord, Machines, Referee, Write, grant_id};

const MARGIN_NS: u64 = 100;

/// Judged as two machines' grants: nodes with even numbers are on one of them.
fn judge(grants: &[GrantRecord]) -> Findings {
    let mut referee = Referee::of(Machines::sharing(2, MARGIN_NS));
    for &grant in grants {
        referee.grant(grant).unwrap();
    }
    referee.finish()
}

/// Contract overlaps found, and those that are left open.
fn overlaps(grants: &[GrantRecord]) -> (u64, u64) {
    let safety = judge(grants).safety;
    (safety.contract_overlaps.count, safety.undecided.unwrap().contract_overlaps.count)
}

#[test]
fn an_overlap_between_machines_must_be_longer_than_their_clocks_may_disagree() {
    assert_eq!(overlaps(&[held(1, 1_000, 2_000), held(2, 1_899, 3_000)]), (1, 0), "101 ns side by side");
    assert_eq!(overlaps(&[held(1, 1_000, 2_000), held(2, 1_900, 3_000)]), (0, 1), "100 ns: nobody knows");
    assert_eq!(overlaps(&[held(1, 1_000, 2_000), held(2, 2_099, 3_000)]), (0, 1), "99 ns after: nor here");
    assert_eq!(overlaps(&[held(1, 1_000, 2_000), held(2, 2_100, 3_000)]), (0, 0));
}

#[test]
fn on_one_machine_every_nanosecond_counts() {
    assert_eq!(overlaps(&[held(1, 1_000, 2_000), held(3, 1_999, 3_000)]), (1, 0));
    assert_eq!(overlaps(&[held(1, 1_000, 2_000), held(3, 2_000, 3_000)]), (0, 0));
}

#[test]
fn what_is_certain_hides_what_is_not_and_the_most_at_once_counts_only_the_certain() {
    let findings = judge(&[held(1, 1_000, 2_000), held(3, 1_000, 5_000), held(2, 1_950, 3_000)]);
    let safety = findings.safety;
    assert_eq!(safety.contract_overlaps.count, 2);
    assert_eq!(safety.contract_holders_max, 2);
    assert_eq!(safety.undecided.unwrap().contract_overlaps.count, 0);
}

#[test]
fn a_run_of_one_machine_leaves_nothing_open() {
    assert!(super::judge(&[held(1, 1_000, 2_000)]).safety.undecided.is_none());
}

#[test]
fn tokens_of_two_machines_are_out_of_order_only_beyond_the_margin() {
    let regressions = |node: u32, call_ns: u64| {
        let first = GrantRecord { token: Some(9), ..held(1, 1_000, 1_010) };
        let second = GrantRecord { token: Some(8), call_ns, ..held(node, 3_000, 3_010) };
        judge(&[first, second]).safety.token_regressions.unwrap().count
    };
    assert_eq!(regressions(2, 1_101), 1);
    assert_eq!(regressions(2, 1_100), 0, "called within the margin of the other's handing out");
    assert_eq!(regressions(3, 1_001), 1, "one clock: called after it");
    let twice = [
        GrantRecord { token: Some(9), ..grant(1, 1_000) },
        GrantRecord { token: Some(9), ..grant(2, 1_001) },
    ];
    assert_eq!(judge(&twice).safety.token_duplicates.unwrap().count, 1, "no clock is needed for that");
}

#[test]
fn a_write_is_stale_between_machines_only_beyond_the_margin() {
    let stale = |node: u32, granted_ns: u64, at_ns: u64| {
        let mut referee = Referee::of(Machines::sharing(2, MARGIN_NS));
        let write = |node, granted_ns, token| Write {
            key: 0,
            grant_id: grant_id(node, 0),
            granted_ns,
            token: Some(token),
            ordinal: 0,
        };
        referee.write(&write(1, 2_000, 9), 2_010).unwrap();
        referee.write(&write(node, granted_ns, 8), at_ns).unwrap();
        let safety = referee.finish().safety;
        assert_eq!(safety.stale_writes_accepted_fenced.unwrap().count, 0, "the fence needs no clock");
        safety.stale_writes_attempted.count
    };
    assert_eq!(stale(2, 1_899, 2_111), 1);
    assert_eq!(stale(2, 1_900, 2_111), 0, "who was granted first is open");
    assert_eq!(stale(2, 1_899, 2_110), 0, "who wrote first is open");
    assert_eq!(stale(3, 1_999, 2_011), 1, "one clock");
}
