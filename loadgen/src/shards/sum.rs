//! One run out of many: counts add up, histograms merge, and what the referee found stands for all.

use std::collections::BTreeMap;

use super::judge::CommonClock;
use super::merge::Part;
use crate::measure::{Phase, Timeline};
use crate::referee::Findings;
use crate::report::{Contention, LatencyTable, Machine, Merged, Renewals, Run, Usage};

/// The run that the shards were. There is at least one.
pub(super) fn sum(
    parts: &[Part],
    timeline: &Timeline,
    findings: &Findings,
    troubles: Vec<String>,
    common: &CommonClock,
) -> Option<Run> {
    let first = &parts.first()?.run;
    let total = |count: fn(&Run) -> u64| parts.iter().map(|part| count(&part.run)).sum::<u64>();
    let summed = |number: fn(&Run) -> f64| parts.iter().map(|part| number(&part.run)).sum::<f64>();
    let (attempted, granted) = (total(|run| run.attempted), total(|run| run.granted));
    let (renewals, renewed) = (total(|run| run.renewals.attempted), total(|run| run.renewals.succeeded));
    let attempts = timeline.latency(Phase::Attempt).count;
    let invalid = parts.iter().flat_map(|part| {
        let shard = part.file.shard;
        part.run.invalid_because.iter().map(move |reason| format!("shard {shard}: {reason}"))
    });
    let invalid_because: Vec<String> = invalid.chain(troubles).collect();
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for (reason, count) in parts.iter().flat_map(|part| &part.run.failed) {
        *failed.entry(reason.clone()).or_default() += count;
    }
    let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    Some(Run {
        started: parts.iter().map(|part| part.run.started.clone()).min()?,
        valid: invalid_because.is_empty(),
        invalid_because,
        complete: parts.iter().all(|part| part.run.complete),
        offered_per_s: summed(|run| run.offered_per_s),
        achieved_per_s: summed(|run| run.achieved_per_s),
        attempted,
        granted,
        failed,
        late_by_fault: total(|run| run.late_by_fault),
        latency_us: LatencyTable::of(timeline),
        contention: Contention {
            retries_per_grant: ratio(attempts.saturating_sub(attempted), granted),
            waiting_max: findings.waiting_max,
            jain_fairness: findings.jain_fairness,
            handoff_us: findings.handoff_us.clone(),
        },
        renewals: Renewals {
            attempted: renewals,
            succeeded: renewed,
            success_rate: ratio(renewed, renewals),
            slack_us: timeline.slack(),
            limited: None,
            shadow: total(|run| run.renewals.shadow),
        },
        safety: findings.safety.clone(),
        usage: Usage {
            client_cpu_s: summed(|run| run.usage.client_cpu_s),
            server_cpu_s: None,
            client_rss_mib: summed(|run| run.usage.client_rss_mib),
        },
        shard: None,
        merged: Some(merged(parts, common)),
        ..first.clone()
    })
}

fn merged(parts: &[Part], common: &CommonClock) -> Merged {
    let us = |ns: u64| ns as f64 / 1e3;
    let starts = || parts.iter().enumerate().map(|(shard, part)| common.common_ns(shard, part.file.start_ns));
    let apart_ns = starts().max().unwrap_or(0).saturating_sub(starts().min().unwrap_or(0));
    let machine = |(shard, part): (usize, &Part)| Machine {
        shard: part.file.shard,
        attempted: part.run.attempted,
        granted: part.run.granted,
        calendar_behind_us: common.calendar_behind_ns(shard, part) as f64 / 1e3,
        clock_known_to_us: us(common.errors_ns.get(shard).copied().unwrap_or(u64::MAX)),
        environment: part.run.environment.clone(),
    };
    Merged {
        clock: common.endpoint.clone(),
        clocks_disagree_by_us: us(common.margin_ns()),
        starts_apart_us: us(apart_ns),
        machines: parts.iter().enumerate().map(machine).collect(),
    }
}
