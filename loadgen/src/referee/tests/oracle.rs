//! The streaming sweeps against definitions written down naively, on random histories with many ties.

use proptest::prelude::*;

use super::grant;
use crate::referee::resource::Resource;
use crate::referee::{Failure, GrantRecord, Machines, Referee, Write};

const KEYS: u32 = 3;

/// When a write was made, and its key, the time of its grant, and its token.
type Made = (u64, (u32, u64, Option<u64>));

prop_compose! {
    fn any_grant()(
        key in 0..KEYS,
        call_ns in 0..60_u64,
        wait in 0..12_u64,
        token in prop::option::weighted(0.9, 0..20_u64),
        valid_for in prop::option::of(0..20_u64),
        lost_after in prop::option::of(0..20_u64),
        release_after in prop::option::of(0..20_u64),
        acts_for in 0..25_u64,
    ) -> GrantRecord {
        let granted_ns = call_ns + wait;
        GrantRecord {
            key,
            call_ns,
            token,
            valid_until_ns: valid_for.map(|after| granted_ns + after),
            told_lost_ns: lost_after.map(|after| granted_ns + after),
            release_call_ns: release_after.map(|after| granted_ns + after),
            last_act_ns: granted_ns + acts_for,
            ..grant(0, granted_ns)
        }
    }
}

/// Grants with ids of their own, in the order in which they are reported.
fn any_history() -> impl Strategy<Value = Vec<GrantRecord>> {
    prop::collection::vec(any_grant(), 0..40).prop_map(|mut grants| {
        for (id, grant) in (0_u64..).zip(&mut grants) {
            grant.grant_id = id;
        }
        grants
    })
}

/// Grants of one name before `grant` in the order of handing out.
fn before<'a>(all: &'a [GrantRecord], grant: &'a GrantRecord) -> impl Iterator<Item = &'a GrantRecord> {
    let order = |record: &GrantRecord| (record.granted_ns, record.grant_id);
    all.iter().filter(move |other| other.key == grant.key && order(other) < order(grant))
}

fn contract(grant: &GrantRecord, at_ns: u64) -> bool {
    let ends = [grant.valid_until_ns, grant.told_lost_ns, grant.release_call_ns];
    grant.granted_ns <= at_ns && ends.into_iter().flatten().all(|end_ns| at_ns < end_ns)
}

fn acting(grant: &GrantRecord, at_ns: u64) -> bool {
    grant.granted_ns <= at_ns && at_ns <= grant.last_act_ns
}

/// How many grants began inside another belief, and the most beliefs at once.
fn overlaps(all: &[GrantRecord], holds: fn(&GrantRecord, u64) -> bool) -> (u64, u64) {
    let holders = all
        .iter()
        .filter(|grant| holds(grant, grant.granted_ns))
        .map(|grant| before(all, grant).filter(|other| holds(other, grant.granted_ns)).count() as u64);
    holders.fold((0, 0), |(count, max), others| (count + u64::from(others > 0), max.max(others + 1)))
}

fn is_regression(all: &[GrantRecord], grant: &GrantRecord) -> bool {
    all.iter().any(|other| {
        other.key == grant.key
            && other.granted_ns < grant.call_ns
            && other.token > grant.token
            && other.token.is_some()
    })
}

fn token_faults(all: &[GrantRecord]) -> (u64, u64) {
    let with_token = || all.iter().filter(|grant| grant.token.is_some());
    let regressions = with_token().filter(|grant| is_regression(all, grant)).count() as u64;
    let duplicates = with_token()
        .filter(|grant| {
            !is_regression(all, grant) && before(all, grant).any(|other| other.token == grant.token)
        })
        .count() as u64;
    (regressions, duplicates)
}

/// The check as it is usually put: unique, and sorted by token nobody was called after a later one had returned.
fn tokens_are_in_order(all: &[GrantRecord]) -> bool {
    (0..KEYS).all(|key| {
        let mut grants: Vec<_> =
            all.iter().filter(|grant| grant.key == key && grant.token.is_some()).collect();
        grants.sort_by_key(|grant| grant.token);
        let unique = grants.windows(2).all(|pair| pair[0].token != pair[1].token);
        let mut latest_call_ns = 0;
        unique
            && grants.iter().all(|grant| {
                let in_order = grant.granted_ns >= latest_call_ns;
                latest_call_ns = latest_call_ns.max(grant.call_ns);
                in_order
            })
    })
}

/// Reports in the given order and advances as far as may be after every report.
fn stream(history: &[GrantRecord]) -> crate::referee::Findings {
    let mut referee = Referee::new();
    for (index, &grant) in history.iter().enumerate() {
        referee.grant(grant).unwrap();
        let to_come = history[index + 1..].iter().map(|grant| grant.call_ns).min();
        referee.advance(to_come.unwrap_or(u64::MAX));
    }
    referee.finish()
}

/// The order in which grants end, which is the order of a real stream: horizons move most there.
fn by_end(mut history: Vec<GrantRecord>) -> Vec<GrantRecord> {
    history.sort_by_key(|grant| grant.last_act_ns);
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_sweeps_agree_with_brute_force(history in any_history(), in_order in any::<bool>()) {
        let history = if in_order { by_end(history) } else { history };
        let safety = stream(&history).safety;
        prop_assert_eq!((safety.contract_overlaps.count, safety.contract_holders_max), overlaps(&history, contract));
        prop_assert_eq!((safety.acting_overlaps.count, safety.acting_holders_max), overlaps(&history, acting));
        prop_assert_eq!(&safety.double_acquisition_rate, &safety.acting_overlaps);
        let faults = safety.token_regressions.zip(safety.token_duplicates);
        prop_assert_eq!(faults.map_or((0, 0), |(low, same)| (low.count, same.count)), token_faults(&history));
    }

    #[test]
    fn the_token_check_is_complete(history in any_history()) {
        let (regressions, duplicates) = token_faults(&history);
        prop_assert_eq!(regressions + duplicates == 0, tokens_are_in_order(&history));
    }

    #[test]
    fn judging_on_the_way_changes_nothing(history in any_history()) {
        prop_assert_eq!(stream(&by_end(history.clone())), super::judge(&by_end(history)));
    }

    #[test]
    fn a_write_is_stale_if_a_later_grant_has_written(
        writes in prop::collection::vec((0..KEYS, 0..6_u64, prop::option::of(0..6_u64)), 0..40)
    ) {
        let mut resource = Resource::new(Machines::ONE);
        for (index, &(key, granted_ns, token)) in writes.iter().enumerate() {
            let earlier = || writes[..index].iter().filter(|other| other.0 == key);
            let verdict = resource.write(&Write { key, grant_id: granted_ns, granted_ns, token, ordinal: 0 }, index as u64);
            let latest = earlier().map(|other| other.1).max();
            let superseder = latest.filter(|&latest_ns| latest_ns > granted_ns).map(|ns| (ns, ns));
            prop_assert_eq!(verdict.superseded_by, superseder);
        }
    }

    #[test]
    fn who_reports_a_write_first_makes_no_difference(
        writes in prop::collection::vec((0..KEYS, 0..6_u64, prop::option::of(0..6_u64)), 0..30)
            .prop_map(|writes| (0_u64..).zip(writes).collect::<Vec<_>>()),
        shuffled in any::<prop::sample::Index>(),
        horizons in any::<bool>(),
    ) {
        let report = |order: &[Made]| {
            let mut referee = Referee::new();
            for (index, &(at_ns, (key, granted_ns, token))) in order.iter().enumerate() {
                let write = Write { key, grant_id: granted_ns, granted_ns, token, ordinal: 1 };
                referee.write(&write, at_ns).unwrap();
                if horizons {
                    referee.advance(order[index + 1..].iter().map(|other| other.0).min().unwrap_or(u64::MAX));
                }
            }
            referee.finish()
        };
        let mut other = writes.clone();
        if !other.is_empty() {
            let at = shuffled.index(other.len());
            other.rotate_left(at);
            other[at..].reverse();
        }
        prop_assert_eq!(report(&writes), report(&other));
    }

    #[test]
    fn the_most_at_once_is_the_most_at_any_call(
        calls in prop::collection::vec((0..KEYS, 0..30_u64, 0..10_u64), 0..40)
    ) {
        let mut referee = Referee::new();
        for (index, &(key, call_ns, length)) in calls.iter().enumerate() {
            referee.failure(&Failure { node: 0, key, call_ns, end_ns: call_ns + length, unknown: false }).unwrap();
            referee.advance(calls[index + 1..].iter().map(|call| call.1).min().unwrap_or(u64::MAX));
        }
        let mut sorted = calls.clone();
        sorted.sort_by_key(|&(key, call_ns, length)| (call_ns, call_ns + length, key));
        let at_once = sorted.iter().enumerate().map(|(index, call)| {
            1 + sorted[..index].iter().filter(|other| other.0 == call.0 && other.1 + other.2 > call.1).count() as u64
        });
        prop_assert_eq!(referee.finish().waiting_max, at_once.max().unwrap_or(0));
    }
}
