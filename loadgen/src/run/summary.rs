//! What a run comes to: `run.json`.

use std::time::{Duration, SystemTime};

use crate::clock::duration_ns;
use crate::measure::Phase;
use crate::report::{
    Contention, Environment, LatencyTable, Parameters, PlannedFault, Punctuality, Renewals, Run, SCHEMA,
    Usage, rfc3339,
};
use crate::run::coordinator::Conclusion;
use crate::run::link::Closing;
use crate::run::plan::Plan;
use crate::run::schedule::Schedule;

/// What is known of a run beside its plan and its conclusion.
pub(crate) struct Circumstances {
    pub(crate) command: String,
    /// When the measured part began.
    pub(crate) started: SystemTime,
    pub(crate) environment: Environment,
    /// Processor time of this process: of the coordinator, and of the nodes where they are its threads.
    pub(crate) cpu: Duration,
    /// The most memory that this process held.
    pub(crate) rss_kib: u64,
    pub(crate) server_cpu_s: Option<f64>,
    /// Whether the nodes were threads of this process.
    pub(crate) in_memory: bool,
}

/// Puts together what is known.
pub(crate) fn sum_up(plan: &Plan, around: Circumstances, conclusion: &Conclusion) -> Run {
    let (counts, timeline) = (&conclusion.measured.counts, &conclusion.measured.timeline);
    let measured = Offered::of(plan, conclusion);
    let attempts = timeline.latency(Phase::Attempt).count;
    let objections = objections(conclusion, &measured);
    let usage = usage(&around, &conclusion.measured.closings);
    Run {
        schema: SCHEMA,
        command: around.command,
        started: rfc3339(around.started),
        scenario: plan.scenario.clone(),
        lock: plan.lock.to_string(),
        nodes: plan.load.nodes,
        seed: plan.seed,
        parameters: parameters(plan, around.in_memory),
        environment: around.environment,
        valid: objections.is_empty(),
        invalid_because: objections,
        complete: conclusion.stopped_ns.is_none(),
        offered_per_s: per_second(measured.arrivals, measured.length),
        achieved_per_s: per_second(counts.granted, measured.length),
        attempted: counts.sent(),
        granted: counts.granted,
        failed: counts.failed.iter().map(|(failure, &count)| (failure.name().to_owned(), count)).collect(),
        late_by_fault: counts.late_by_fault,
        latency_us: LatencyTable::of(timeline),
        contention: Contention {
            retries_per_grant: ratio(attempts.saturating_sub(counts.sent()), counts.granted),
            waiting_max: conclusion.findings.waiting_max,
            jain_fairness: conclusion.findings.jain_fairness,
            handoff_us: conclusion.findings.handoff_us.clone(),
        },
        renewals: renewals(conclusion),
        safety: conclusion.findings.safety.clone(),
        usage,
        shard: (!plan.shard.is_whole()).then_some(plan.shard),
        merged: None,
    }
}

/// What was asked of the nodes in the measured part, as far as it was played.
struct Offered {
    arrivals: u64,
    length: Duration,
}

impl Offered {
    fn of(plan: &Plan, conclusion: &Conclusion) -> Self {
        let (from_ns, to_ns) = plan.load.measured_ns();
        let played_ns = conclusion.stopped_ns.unwrap_or(u64::MAX);
        let to_ns = to_ns.min(played_ns).max(from_ns);
        let arrivals = Schedule::new(plan).map_or(0, |schedule| {
            let own = schedule.filter(|arrival| plan.shard.owns(arrival.node));
            let due = own.skip_while(|arrival| arrival.due_ns < from_ns);
            due.take_while(|arrival| arrival.due_ns < to_ns).fold(0, |count, _| count + 1)
        });
        Self { arrivals, length: Duration::from_nanos(to_ns - from_ns) }
    }
}

fn parameters(plan: &Plan, simulated: bool) -> Parameters {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fault = |fault: crate::scenario::PlannedFault| PlannedFault {
        fault: fault.action.name().to_owned(),
        target: fault.action.target(),
        detail: fault.action.detail(),
        at_ms: fault.start_ns.saturating_sub(plan.load.measured_ns().0) / 1_000_000,
        length_ms: (fault.end_ns - fault.start_ns) / 1_000_000,
    };
    Parameters {
        rate_per_s: plan.load.rate_per_s,
        duration_ms: ms(plan.load.duration),
        warm_up_ms: ms(plan.load.warm_up),
        cool_down_ms: ms(plan.load.cool_down),
        keys: plan.load.keys,
        skew: plan.load.skew.to_string(),
        arrivals: plan.load.arrivals.to_string(),
        hold_us: duration_ns(plan.load.hold) / 1_000,
        wait_ms: ms(plan.load.wait),
        ttl_ms: ms(plan.load.ttl),
        profile: plan.load.profile.to_string(),
        think_us: duration_ns(plan.load.think) / 1_000,
        faults: plan.planned_for_all().into_iter().map(fault).collect(),
        faults_simulated: simulated && !plan.faults.is_empty(),
    }
}

/// Why the figures may not be used; empty when they may.
fn objections(conclusion: &Conclusion, offered: &Offered) -> Vec<String> {
    let (counts, timeline) = (&conclusion.measured.counts, &conclusion.measured.timeline);
    // What a fault held up is nobody's lateness but the fault's.
    let punctuality = Punctuality {
        due: offered.arrivals.saturating_sub(counts.late_by_fault),
        sent: counts.sent().saturating_sub(counts.late_by_fault),
        send_lag: &timeline.total(Phase::SendLag),
        acquire: &timeline.total(Phase::Acquire),
    };
    let mut objections = punctuality.objections();
    if conclusion.stopped_ns.is_some() {
        objections.push("the run was interrupted before its end".to_owned());
    }
    objections.extend(conclusion.measured.troubles.iter().cloned());
    objections
}

fn renewals(conclusion: &Conclusion) -> Renewals {
    let sum = |count: fn(&Closing) -> u64| conclusion.measured.closings.iter().map(count).sum::<u64>();
    let attempted = sum(|closing| closing.renewals.attempted);
    let succeeded = sum(|closing| closing.renewals.succeeded);
    Renewals {
        attempted,
        succeeded,
        success_rate: ratio(succeeded, attempted),
        slack_us: conclusion.measured.timeline.slack(),
        // The library does not tell.
        limited: None,
        shadow: sum(|closing| closing.renewals.shadow),
    }
}

fn usage(around: &Circumstances, closings: &[Closing]) -> Usage {
    // Threads of this process have counted its time and memory, which is taken once.
    let apart = if around.in_memory { &[] } else { closings };
    let cpu_ns = duration_ns(around.cpu) + apart.iter().map(|closing| closing.cpu_ns).sum::<u64>();
    let rss_kib = around.rss_kib + apart.iter().map(|closing| closing.rss_kib).sum::<u64>();
    Usage {
        client_cpu_s: cpu_ns as f64 / 1e9,
        server_cpu_s: around.server_cpu_s,
        client_rss_mib: rss_kib as f64 / 1024.0,
    }
}

fn per_second(count: u64, length: Duration) -> f64 {
    if length.is_zero() { 0.0 } else { count as f64 / length.as_secs_f64() }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
