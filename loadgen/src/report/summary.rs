//! One run on a terminal.

use std::fmt::Write as _;

use super::run_json::{Parameters, PlannedFault, Run};
use super::table::{NOTHING, decimal, length, ms, per_second, percent, row, table, whole};
use crate::measure::Latency;
use crate::referee::Count;

/// All that a person needs to see of a run; `promises_safety` tells whether its lock answers for the referee's
/// findings.
pub(crate) fn summary(run: &Run, promises_safety: bool) -> String {
    let blocks = [
        workload(run),
        outcome(run),
        latencies(run),
        contention(run),
        safety(run),
        verdict(run, promises_safety),
    ];
    blocks.join("\n")
}

/// What was asked of the lock, in one line.
pub(crate) fn workload(run: &Run) -> String {
    let Parameters {
        rate_per_s, duration_ms, keys, skew, arrivals, hold_us, ttl_ms, faults, profile, ..
    } = &run.parameters;
    let profile = if profile == "constant" { String::new() } else { format!(" ({profile})") };
    format!(
        "{}: {} nodes, {} names ({skew}), {} {arrivals}{profile} for {}, held for {} ms, TTL {}, {}, seed {}\n",
        run.scenario,
        run.nodes,
        whole(u64::from(*keys)),
        per_second(*rate_per_s),
        length(*duration_ms),
        ms(Some(*hold_us as f64)),
        length(*ttl_ms),
        kinds_of(faults),
        run.seed,
    )
}

/// How many faults of each kind, and how long they last.
fn kinds_of(faults: &[PlannedFault]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for fault in faults {
        if !kinds.contains(&fault.fault.as_str()) {
            kinds.push(&fault.fault);
        }
    }
    let told = kinds.iter().map(|kind| {
        let of_kind = || faults.iter().filter(|fault| fault.fault == *kind);
        let (shortest, longest) = of_kind()
            .fold((u64::MAX, 0), |(min, max), fault| (min.min(fault.length_ms), max.max(fault.length_ms)));
        let count = of_kind().count();
        match (shortest, longest) {
            (_, 0) => format!("{count} x {kind}"),
            _ if shortest == longest => format!("{count} x {kind} of {}", length(longest)),
            _ => format!("{count} x {kind} of {} to {}", length(shortest), length(longest)),
        }
    });
    if kinds.is_empty() { "no faults".to_owned() } else { told.collect::<Vec<_>>().join(", ") }
}

/// What there is to say of a run that was shared among machines, in sentences.
pub(crate) fn sharing(run: &Run) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(shard) = run.shard {
        sentences.push(format!(
            "This is shard {shard} of a run: its figures are those of its own nodes. `loadgen merge` puts the shards \
             together, and judges between them."
        ));
    }
    let Some(merged) = &run.merged else { return sentences };
    let ms = |us: f64| decimal(us / 1e3);
    sentences.push(format!(
        "Shared among {} machines, which began within {} ms of each other; put on the clock of {}, their times may \
         disagree by {} ms.",
        merged.machines.len(),
        ms(merged.starts_apart_us),
        merged.clock,
        ms(merged.clocks_disagree_by_us),
    ));
    for machine in &merged.machines {
        sentences.push(format!(
            "Shard {}: {} of {} granted; its clock is known to {} ms, and its calendar was {} ms {} the endpoint's.",
            machine.shard,
            whole(machine.granted),
            whole(machine.attempted),
            ms(machine.clock_known_to_us),
            ms(machine.calendar_behind_us.abs()),
            if machine.calendar_behind_us < 0.0 { "ahead of" } else { "behind" },
        ));
    }
    if let Some(undecided) = &run.safety.undecided {
        sentences.push(format!(
            "Between machines an overlap of less than {} ms cannot be told from none: {} of {} grants were that near to \
             another machine's lease by contract, {} in acting. They are not among the overlaps. The order of tokens \
             at the resource needs no clock.",
            ms(undecided.margin_us),
            whole(undecided.contract_overlaps.count),
            whole(undecided.contract_overlaps.of),
            whole(undecided.acting_overlaps.count),
        ));
    }
    sentences
}

fn outcome(run: &Run) -> String {
    let failures: Vec<_> = run
        .failed
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(why, count)| format!("{} {why}", whole(*count)))
        .collect();
    let failures =
        if failures.is_empty() { String::new() } else { format!("; not granted: {}", failures.join(", ")) };
    let late = match run.late_by_fault {
        0 => String::new(),
        late => format!("; {} came due while a fault held their node", whole(late)),
    };
    format!(
        "{} lock: {} of {} acquisitions granted, {} of {} offered{failures}{late}\n",
        run.lock,
        whole(run.granted),
        whole(run.attempted),
        per_second(run.achieved_per_s),
        per_second(run.offered_per_s),
    )
}

fn latencies(run: &Run) -> String {
    let phases = &run.latency_us;
    let rows = [
        ("due to sent", &phases.due_to_sent),
        ("acquire", &phases.acquire),
        ("one attempt", &phases.attempt),
        ("hold", &phases.hold),
        ("renew", &phases.renew),
        ("release", &phases.release),
        ("loss notice", &phases.loss_notice),
        ("hand-over", &run.contention.handoff_us),
        ("late act", &run.safety.late_notice_us),
    ];
    let mut table = table(["latency in ms", "p50", "p90", "p99", "p99.9", "max", "count"]);
    for (name, Latency { p50, p90, p99, p999, max, count }) in rows {
        if *count > 0 {
            table.add_row(row([
                name.to_owned(),
                ms(*p50),
                ms(*p90),
                ms(*p99),
                ms(*p999),
                ms(*max),
                whole(*count),
            ]));
        }
    }
    format!("{table}\n")
}

fn contention(run: &Run) -> String {
    let contention = &run.contention;
    let number = |number: Option<f64>| number.map_or_else(|| NOTHING.to_owned(), decimal);
    let mut text = format!(
        "contention: {} retries per grant, at most {} at once for one name, fairness {}\n",
        number(contention.retries_per_grant),
        whole(contention.waiting_max),
        number(contention.jain_fairness),
    );
    let renewals = &run.renewals;
    if renewals.attempted > 0 {
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            text,
            "renewals: {} of {} succeeded ({}), least slack {} ms",
            whole(renewals.succeeded),
            whole(renewals.attempted),
            percent(renewals.success_rate),
            ms(renewals.slack_us.min),
        );
    }
    text
}

fn safety(run: &Run) -> String {
    let safety = &run.safety;
    let rows: [(&str, Option<&Count>); 13] = [
        ("grants exposed to a fault", Some(&safety.exposure)),
        ("contract overlaps", Some(&safety.contract_overlaps)),
        ("double acquisitions (acting overlaps)", Some(&safety.double_acquisition_rate)),
        ("stale writes attempted", Some(&safety.stale_writes_attempted)),
        ("stale writes accepted without a fence", Some(&safety.stale_writes_accepted_unfenced)),
        ("stale writes accepted past the fence", safety.stale_writes_accepted_fenced.as_ref()),
        ("lost updates without a fence", Some(&safety.lost_updates_unfenced)),
        ("lost updates past the fence", safety.lost_updates_fenced.as_ref()),
        ("token regressions", safety.token_regressions.as_ref()),
        ("token duplicates", safety.token_duplicates.as_ref()),
        ("false losses", Some(&safety.lost_false)),
        ("unknown outcomes", Some(&safety.unknown_outcomes)),
        ("foreign releases", Some(&safety.foreign_releases)),
    ];
    let mut table = table(["safety", "seen", "of", "rate", "95 % bound"]);
    for (name, count) in rows {
        let cells = match count {
            Some(Count { count, of, rate, upper_95 }) => {
                [whole(*count), whole(*of), percent(*rate), percent(*upper_95)]
            }
            None => ["no tokens".to_owned(), NOTHING.to_owned(), NOTHING.to_owned(), NOTHING.to_owned()],
        };
        let [seen, of, rate, bound] = cells;
        table.add_row(row([name.to_owned(), seen, of, rate, bound]));
    }
    format!("{table}\n")
}

fn verdict(run: &Run, promises_safety: bool) -> String {
    let mut lines = Vec::new();
    if promises_safety {
        let broken = run.safety.broken_promises();
        lines.extend(broken.iter().map(|promise| format!("PROMISE BROKEN: {promise}")));
        if broken.is_empty() {
            lines.push("promises kept".to_owned());
        }
    } else {
        lines.push(format!("the {} lock promises no exclusion; the referee only reports", run.lock));
    }
    lines.extend(sharing(run));
    lines.extend(run.invalid_because.iter().map(|reason| format!("INVALID: {reason}")));
    if !run.complete {
        lines.push("INCOMPLETE: the run was interrupted; the figures stand for what was done".to_owned());
    }
    lines.push(format!(
        "used: {} s of processor time and {} MiB by the nodes, {} s by the servers",
        decimal(run.usage.client_cpu_s),
        decimal(run.usage.client_rss_mib),
        run.usage.server_cpu_s.map_or_else(|| NOTHING.to_owned(), decimal),
    ));
    lines.join("\n") + "\n"
}
