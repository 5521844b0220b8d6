use super::{grant, judge};
use crate::referee::violations::ViolationKind;
use crate::referee::{GrantRecord, Referee};

fn tokened(grant_id: u32, call_ns: u64, granted_ns: u64, token: u64) -> GrantRecord {
    GrantRecord {
        token: Some(token),
        call_ns,
        valid_until_ns: Some(granted_ns),
        ..grant(grant_id, granted_ns)
    }
}

fn faults(grants: &[GrantRecord]) -> (u64, u64) {
    let safety = judge(grants).safety;
    let count = |counted: Option<crate::referee::Count>| counted.unwrap().count;
    (count(safety.token_regressions), count(safety.token_duplicates))
}

#[test]
fn growing_tokens_are_fine() {
    assert_eq!(faults(&[tokened(1, 0, 1, 5), tokened(2, 2, 3, 6), tokened(3, 4, 5, 90)]), (0, 0));
}

#[test]
fn a_smaller_token_after_a_larger_is_a_regression() {
    let findings = judge(&[tokened(1, 0, 1, 6), tokened(2, 2, 3, 5)]);
    assert_eq!(findings.safety.token_regressions.clone().unwrap().count, 1);
    assert_eq!(findings.safety.broken_promises(), ["1 tokens smaller than one handed out before (of 2)"]);
    let violation = findings.violations.violations.first().unwrap();
    assert_eq!((violation.kind, violation.grant_id), (ViolationKind::TokenRegression, 2));
    assert_eq!((violation.other_grant_id, violation.at_ns), (Some(1), 3));
    assert_eq!(findings.violations.grants.len(), 2);
}

#[test]
fn concurrent_acquisitions_may_get_tokens_in_any_order() {
    // The second was called before the first was handed out, be it by a hair.
    assert_eq!(faults(&[tokened(1, 0, 2, 6), tokened(2, 2, 3, 5)]), (0, 0));
    assert_eq!(faults(&[tokened(1, 0, 2, 6), tokened(2, 3, 4, 5)]), (1, 0));
}

#[test]
fn a_regression_is_seen_past_smaller_tokens_in_between() {
    assert_eq!(faults(&[tokened(1, 0, 1, 9), tokened(2, 0, 5, 3), tokened(3, 6, 7, 4)]), (1, 0));
}

#[test]
fn a_token_given_twice_is_a_duplicate() {
    assert_eq!(faults(&[tokened(1, 0, 1, 5), tokened(2, 2, 3, 5)]), (0, 1), "one after the other");
    assert_eq!(faults(&[tokened(1, 0, 4, 5), tokened(2, 0, 5, 5)]), (0, 1), "at once");
    assert_eq!(
        faults(&[tokened(1, 0, 4, 5), tokened(2, 0, 5, 6), tokened(3, 1, 6, 5)]),
        (0, 1),
        "past another"
    );
}

#[test]
fn a_duplicate_that_was_overtaken_is_a_regression() {
    assert_eq!(faults(&[tokened(1, 0, 1, 5), tokened(2, 2, 3, 6), tokened(3, 4, 5, 5)]), (1, 0));
}

#[test]
fn names_have_tokens_of_their_own() {
    let other_name = GrantRecord { key: 1, ..tokened(2, 2, 3, 5) };
    assert_eq!(faults(&[tokened(1, 0, 1, 5), other_name]), (0, 0));
}

#[test]
fn without_tokens_there_is_nothing_to_say() {
    let safety = judge(&[grant(1, 0)]).safety;
    assert_eq!((safety.token_regressions, safety.token_duplicates), (None, None));
}

#[test]
fn a_forgotten_token_still_convicts() {
    for (reused, expected) in [(7, (0, 1)), (6, (1, 0))] {
        let mut referee = Referee::new();
        for (id, token) in (0..10_u32).zip([1, 2, 3, 4, 5, 7, 6, 6, 6, 6]).take(6) {
            let at_ns = u64::from(id) * 10;
            referee.grant(tokened(id, at_ns, at_ns + 1, token)).unwrap();
            referee.advance(at_ns + 5);
        }
        referee.grant(tokened(99, 1_000, 1_001, reused)).unwrap();
        let safety = referee.finish().safety;
        assert_eq!(
            (safety.token_regressions.unwrap().count, safety.token_duplicates.unwrap().count),
            expected
        );
    }
}
