use super::{grant, held, judge};
use crate::referee::GrantRecord;
use crate::referee::violations::{Violation, ViolationKind};

/// Valid for 10 ns, acted upon until 30.
fn sleeper() -> GrantRecord {
    GrantRecord { valid_until_ns: Some(10), last_act_ns: 30, ..grant(1, 0) }
}

#[test]
fn one_after_the_other_is_no_overlap() {
    let safety = judge(&[held(1, 0, 10), held(2, 11, 20)]).safety;
    assert_eq!((safety.contract_overlaps.count, safety.contract_overlaps.of), (0, 2));
    assert_eq!((safety.acting_overlaps.count, safety.acting_overlaps.of), (0, 2));
    assert_eq!((safety.contract_holders_max, safety.acting_holders_max), (1, 1));
    assert!(safety.broken_promises().is_empty());
}

#[test]
fn a_contract_ends_where_the_next_may_begin() {
    // Half-open: the deadline itself is no longer part of the promise, the instant of an act is part of the acting.
    let until_release = judge(&[held(1, 0, 10), held(2, 10, 20)]).safety;
    assert_eq!(until_release.contract_overlaps.count, 0);
    assert_eq!(until_release.acting_overlaps.count, 1);
    let one_early = judge(&[held(1, 0, 10), held(2, 9, 20)]).safety;
    assert_eq!(one_early.contract_overlaps.count, 1);
}

#[test]
fn a_grant_into_a_valid_lease_breaks_the_contract() {
    let findings = judge(&[held(1, 0, 100), held(2, 40, 60)]);
    assert_eq!(findings.safety.contract_overlaps.count, 1);
    assert_eq!(findings.safety.contract_holders_max, 2);
    assert_eq!(findings.safety.contract_overlap_us.count, 1);
    assert_eq!(
        findings.safety.broken_promises(),
        ["1 grants while another lease on the name was still valid (of 2)"]
    );
    let expected = Violation {
        kind: ViolationKind::ContractOverlap,
        key: 0,
        at_ns: 40,
        length_ns: Some(20),
        grant_id: 2,
        other_grant_id: Some(1),
    };
    assert_eq!(findings.violations.violations.first(), Some(&expected));
    assert_eq!(findings.violations.grants.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(findings.violations.grants.get(&2), Some(&held(2, 40, 60)));
}

#[test]
fn a_sleeper_is_a_hazard_and_no_broken_contract() {
    let findings = judge(&[sleeper(), held(2, 20, 25)]);
    assert_eq!(findings.safety.contract_overlaps.count, 0);
    assert_eq!(findings.safety.acting_overlaps.count, 1);
    assert_eq!(findings.safety.double_acquisition_rate.rate, Some(0.5));
    assert_eq!(findings.violations.seen.get(&ViolationKind::ActingOverlap), Some(&1));
    assert!(findings.safety.broken_promises().is_empty(), "acting is not promised");
    assert_eq!(findings.safety.late_notice_us.count, 1, "it acted 20 ns after its deadline");
}

#[test]
fn acting_until_the_deadline_is_not_late() {
    let punctual = GrantRecord { valid_until_ns: Some(30), last_act_ns: 30, ..grant(1, 0) };
    assert_eq!(judge(&[punctual]).safety.late_notice_us.count, 0);
}

#[test]
fn each_end_of_a_contract_ends_it() {
    let by_deadline = GrantRecord { valid_until_ns: Some(10), ..grant(1, 0) };
    let by_notice = GrantRecord { valid_until_ns: Some(90), told_lost_ns: Some(10), ..grant(1, 0) };
    let by_release = GrantRecord { valid_until_ns: Some(90), ..held(1, 0, 10) };
    for ended in [by_deadline, by_notice, by_release] {
        assert_eq!(judge(&[ended, held(2, 10, 20)]).safety.contract_overlaps.count, 0, "{ended:?}");
        assert_eq!(judge(&[ended, held(2, 9, 20)]).safety.contract_overlaps.count, 1, "{ended:?}");
    }
    let believes_on = grant(1, 0);
    assert_eq!(judge(&[believes_on, held(2, 1_000_000, 1_000_001)]).safety.contract_overlaps.count, 1);
}

#[test]
fn a_lease_over_before_it_is_handed_out_promises_nothing() {
    let stillborn = GrantRecord { valid_until_ns: Some(5), ..grant(1, 5) };
    let safety = judge(&[stillborn, held(2, 5, 6)]).safety;
    assert_eq!((safety.contract_overlaps.count, safety.contract_holders_max), (0, 1));
}

#[test]
fn the_longest_belief_counts_not_the_last() {
    // The second ends before the third begins; the first does not.
    let safety = judge(&[held(1, 0, 100), held(2, 10, 20), held(3, 50, 60)]).safety;
    assert_eq!(safety.contract_overlaps.count, 2);
    assert_eq!(safety.contract_holders_max, 2);
    let all_at_once = judge(&[held(1, 0, 100), held(2, 10, 70), held(3, 50, 60)]).safety;
    assert_eq!((all_at_once.contract_holders_max, all_at_once.acting_holders_max), (3, 3));
}

#[test]
fn names_do_not_meddle() {
    let other_name = GrantRecord { key: 1, ..held(2, 40, 60) };
    let safety = judge(&[held(1, 0, 100), other_name]).safety;
    assert_eq!((safety.contract_overlaps.count, safety.acting_overlaps.count), (0, 0));
}

#[test]
fn a_short_later_overlap_is_as_long_as_the_shorter() {
    let lengths = judge(&[held(1, 0, 10_000_000), held(2, 4_000_000, 5_000_000)]).safety.contract_overlap_us;
    let max_us = lengths.max.unwrap();
    assert!((999.0..=1_001.0).contains(&max_us), "{max_us}");
}

#[test]
fn of_several_others_the_one_that_stays_longest_is_named() {
    let findings = judge(&[held(1, 0, 100), held(2, 10, 70), held(3, 50, 90)]);
    let third = findings.violations.violations.iter().find(|found| found.grant_id == 3).unwrap();
    assert_eq!((third.other_grant_id, third.length_ns), (Some(1), Some(40)));
}
