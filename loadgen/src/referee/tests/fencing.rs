//! Whole histories of a lock that is broken on purpose: a referee that does not light up is worth nothing.

use super::{grant, held};
use crate::referee::{Findings, GrantRecord, Referee, ReleaseOutcome, Write};

/// Ten holders in a row, each of which sleeps through its deadline and wakes while the next one is at work.
fn sleepers(token_of: fn(u64) -> Option<u64>) -> Findings {
    let mut referee = Referee::new();
    let write = |referee: &mut Referee, grant: &GrantRecord, ordinal: u32, at_ns: u64| {
        let GrantRecord { key, grant_id, granted_ns, token, .. } = *grant;
        referee.write(&Write { key, grant_id, granted_ns, token, ordinal }, at_ns).unwrap();
    };
    let grants: Vec<_> = (0..10_u32)
        .map(|id| {
            let granted_ns = u64::from(id) * 100;
            GrantRecord {
                token: token_of(u64::from(id)),
                valid_until_ns: Some(granted_ns + 90),
                last_act_ns: granted_ns + 150,
                ..grant(id, granted_ns)
            }
        })
        .collect();
    for (index, grant) in grants.iter().enumerate() {
        write(&mut referee, grant, 0, grant.granted_ns);
        if let Some(sleeper) = index.checked_sub(1).and_then(|before| grants.get(before)) {
            write(&mut referee, sleeper, 1, sleeper.last_act_ns);
        }
    }
    for grant in grants {
        referee.grant(grant).unwrap();
    }
    referee.finish()
}

#[test]
fn fencing_makes_sleepers_harmless() {
    let safety = sleepers(|id| Some(100 + id)).safety;
    assert!(safety.broken_promises().is_empty(), "{:?}", safety.broken_promises());
    assert_eq!(safety.contract_overlaps.count, 0);
    assert_eq!(safety.double_acquisition_rate.rate, Some(0.9));
    assert_eq!(safety.stale_writes_accepted_unfenced.count, 9);
    assert_eq!(safety.stale_writes_accepted_fenced.unwrap().count, 0);
    assert_eq!(safety.late_notice_us.count, 10);
}

#[test]
fn constant_tokens_are_caught() {
    let safety = sleepers(|_| Some(7)).safety;
    assert_eq!(safety.token_duplicates.clone().unwrap().count, 9);
    assert_eq!(safety.stale_writes_accepted_fenced.clone().unwrap().count, 9);
    assert_eq!(safety.broken_promises().len(), 2);
}

#[test]
fn falling_tokens_are_caught() {
    let safety = sleepers(|id| Some(100 - id)).safety;
    assert_eq!(safety.token_regressions.clone().unwrap().count, 9);
    // The fence, set by the first grant's token, refuses all but that grant, and lets it through again.
    assert_eq!(safety.stale_writes_accepted_fenced.clone().unwrap().count, 1);
}

#[test]
fn every_promise_that_is_broken_is_named() {
    let mut referee = Referee::new();
    referee.write(&Write { key: 0, grant_id: 9, granted_ns: 10, token: Some(7), ordinal: 0 }, 0).unwrap();
    referee.write(&Write { key: 0, grant_id: 8, granted_ns: 5, token: Some(7), ordinal: 0 }, 1).unwrap();
    let at =
        |id: u32, granted_ns: u64, token: u64| GrantRecord { token: Some(token), ..held(id, granted_ns, 50) };
    referee.grant(at(1, 0, 6)).unwrap();
    referee.grant(at(2, 10, 5)).unwrap();
    referee.grant(GrantRecord { release: ReleaseOutcome::Foreign, ..at(3, 20, 6) }).unwrap();
    assert_eq!(
        referee.finish().safety.broken_promises(),
        [
            "2 grants while another lease on the name was still valid (of 3)",
            "1 stale writes past the fence (of 2)",
            "1 tokens smaller than one handed out before (of 3)",
            "1 tokens handed out twice (of 3)",
            "1 releases of somebody else's lock (of 3)",
        ]
    );
}
