use super::{grant, judge};
use crate::referee::judge::LateWrite;
use crate::referee::resource::{FenceVerdict, Resource};
use crate::referee::violations::ViolationKind;
use crate::referee::{GrantRecord, Machines, Referee, Safety, Write};

fn write(grant_id: u64, granted_ns: u64, token: Option<u64>, ordinal: u32) -> Write {
    Write { key: 0, grant_id, granted_ns, token, ordinal }
}

fn safety_of(writes: &[Write]) -> Safety {
    let mut referee = Referee::new();
    for (at_ns, write) in (0..).zip(writes) {
        referee.write(write, at_ns).unwrap();
    }
    referee.finish().safety
}

#[test]
fn a_holder_in_its_time_writes_freely() {
    let writes = [
        write(1, 10, Some(5), 0),
        write(1, 10, Some(5), 1),
        write(2, 20, Some(6), 0),
        write(2, 20, Some(6), 1),
    ];
    let safety = safety_of(&writes);
    assert_eq!((safety.stale_writes_attempted.count, safety.stale_writes_attempted.of), (0, 4));
    assert_eq!(safety.stale_writes_accepted_fenced.unwrap().count, 0);
    assert_eq!((safety.lost_updates_unfenced.count, safety.lost_updates_fenced.unwrap().count), (0, 0));
}

#[test]
fn a_sleeper_overwrites_without_a_fence_and_is_stopped_by_one() {
    let (first, second, late) =
        (write(1, 10, Some(5), 0), write(2, 20, Some(6), 0), write(1, 10, Some(5), 1));
    let mut resource = Resource::new(Machines::ONE);
    for (fresh, at_ns) in [(first, 15), (second, 30)] {
        let verdict = resource.write(&fresh, at_ns);
        assert_eq!((verdict.superseded_by, verdict.fenced), (None, FenceVerdict::Accepted));
    }
    let verdict = resource.write(&late, 40);
    assert_eq!((verdict.superseded_by, verdict.fenced), (Some((20, 2)), FenceVerdict::Refused));
    assert!(verdict.is_stale());
    let mut referee = Referee::new();
    for (write, at_ns) in [(late, 40), (first, 15), (second, 30)] {
        referee.write(&write, at_ns).unwrap();
    }
    let findings = referee.finish();
    assert_eq!(findings.safety.stale_writes_attempted.count, 1);
    assert_eq!(findings.safety.stale_writes_accepted_unfenced.count, 1);
    assert_eq!(findings.safety.stale_writes_accepted_fenced.clone().unwrap().count, 0);
    assert_eq!(findings.safety.lost_updates_unfenced.count, 1, "the write of 2 is gone and 1 never saw it");
    assert_eq!(findings.safety.lost_updates_fenced.clone().unwrap().count, 0);
    assert!(findings.safety.broken_promises().is_empty());
    let hazard = findings.violations.violations.first().unwrap();
    assert_eq!((hazard.kind, hazard.at_ns, hazard.other_grant_id), (ViolationKind::StaleWrite, 40, Some(2)));
}

#[test]
fn a_fence_that_cannot_tell_two_grants_apart_has_a_hole() {
    let findings = {
        let mut referee = Referee::new();
        let same_token = [write(1, 10, Some(5), 0), write(2, 20, Some(5), 0), write(1, 10, Some(5), 1)];
        for (at_ns, write) in (0..).zip(same_token) {
            referee.write(&write, at_ns).unwrap();
        }
        referee.finish()
    };
    let past_fence = findings.safety.stale_writes_accepted_fenced.clone().unwrap();
    assert_eq!((past_fence.count, past_fence.of), (1, 3));
    assert_eq!(findings.safety.lost_updates_fenced.clone().unwrap().count, 1);
    assert_eq!(findings.safety.broken_promises(), ["1 stale writes past the fence (of 3)"]);
    assert_eq!(findings.violations.seen.get(&ViolationKind::StaleWritePastFence), Some(&1));
}

#[test]
fn tokens_against_real_time_are_a_hole_too() {
    // The later grant has the smaller token: the fence refuses the wrong one.
    let safety = safety_of(&[write(1, 10, Some(6), 0), write(2, 20, Some(5), 0), write(1, 10, Some(6), 1)]);
    assert_eq!(safety.stale_writes_accepted_fenced.unwrap().count, 1);
}

#[test]
fn without_tokens_there_is_no_fence() {
    let safety = safety_of(&[write(1, 10, None, 0), write(2, 20, None, 0), write(1, 10, None, 1)]);
    assert_eq!(safety.stale_writes_accepted_unfenced.count, 1);
    assert_eq!((safety.stale_writes_accepted_fenced, safety.lost_updates_fenced), (None, None));
}

#[test]
fn a_first_write_after_a_later_grant_is_stale_but_loses_nothing() {
    let safety = safety_of(&[write(2, 20, Some(6), 0), write(1, 10, Some(5), 0)]);
    assert_eq!((safety.stale_writes_attempted.count, safety.lost_updates_unfenced.count), (1, 0));
}

#[test]
fn names_have_resources_of_their_own() {
    let elsewhere = Write { key: 1, ..write(1, 10, Some(5), 1) };
    let safety = safety_of(&[write(2, 20, Some(6), 0), elsewhere]);
    assert_eq!(safety.stale_writes_attempted.count, 0);
}

#[test]
fn the_lifeline_of_a_stale_write_gets_both_grants() {
    let mut referee = Referee::new();
    referee.write(&write(2, 20, None, 0), 25).unwrap();
    referee.write(&write(1, 10, None, 0), 30).unwrap();
    for record in [grant(2, 20), grant(1, 10), grant(3, 40)] {
        referee.grant(record).unwrap();
    }
    let grants = referee.finish().violations.grants;
    assert!(grants.contains_key(&1) && grants.contains_key(&2));
    assert!(judge(&[]).violations.grants.is_empty());
}

#[test]
fn the_lifeline_of_a_stale_write_gets_grants_that_were_judged_before_it() {
    let mut referee = Referee::new();
    referee.write(&write(2, 20, None, 0), 25).unwrap();
    referee.write(&write(1, 10, None, 1), 80).unwrap();
    for record in [grant(2, 20), GrantRecord { last_act_ns: 80, ..grant(1, 10) }] {
        referee.grant(record).unwrap();
    }
    referee.advance(50);
    let grants = referee.finish().violations.grants;
    assert!(grants.contains_key(&1) && grants.contains_key(&2));
}

#[test]
fn a_write_behind_the_horizon_is_refused_aloud() {
    let mut referee = Referee::new();
    referee.advance(100);
    let late = LateWrite { grant_id: 1, at_ns: 99, horizon_ns: 100 };
    assert_eq!(referee.write(&write(1, 10, None, 0), 99), Err(late));
    assert_eq!(referee.write(&write(1, 10, None, 0), 100), Ok(()));
    assert_eq!(referee.finish().safety.stale_writes_attempted.of, 1);
}
