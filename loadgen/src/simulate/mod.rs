//! Leases in virtual time: `loadgen simulate`. Plays seeds, shrinks what fails, and proves that the referee can see.

mod scenario;

use std::time::Duration;

use comfy_table::Table;
use leasehold_sim::controls;
use leasehold_sim::plan::{Assumptions, KINDS, Plan};
use leasehold_sim::referee::Counts;
use leasehold_sim::sabotage::Control;
use leasehold_sim::shrink::shrink;
use leasehold_sim::swarm::{Failure, Report, Swarm};
use leasehold_sim::world::{Options, simulate};

use crate::cli::SimulateArgs;
use crate::referee::Count;
use crate::report::Exit;
use crate::scenario::find;
use scenario::Staged;

/// Seeds that failed are shrunk and shown, the first of them.
const SHOWN_MAX: usize = 3;

pub(crate) fn run(args: &SimulateArgs) -> Exit {
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if let Some(names) = &args.controls {
        return match chosen_controls(names) {
            Ok(controls) => play_controls(&controls, args, threads),
            Err(complaint) => {
                eprintln!("error: {complaint}");
                Exit::Usage
            }
        };
    }
    let Some(name) = &args.scenario else {
        return play(&Plan::draw, args, threads);
    };
    match find(name).and_then(Staged::new) {
        Ok(staged) => play(&|seed| staged.draw(seed), args, threads),
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Usage
        }
    }
}

/// Many seeds, or one of them.
fn play(draw: &(dyn Fn(u64) -> Plan + Sync), args: &SimulateArgs, threads: usize) -> Exit {
    if let Some(seed) = args.only {
        return play_one(&draw(seed), Options { trace: args.trace, sabotage: None });
    }
    let minutes = args.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let usual = if args.scenario.is_some() { 10 } else { 1_000 };
    let seeds = args.seeds.unwrap_or_else(|| if minutes.is_some() { u64::MAX } else { usual });
    let swarm =
        Swarm { first: args.seed, seeds, time: minutes, threads, draw, sabotage: None, until_found: false };
    let report = swarm.play();
    print_report(&report, args.seed);
    if draw(args.seed).assumptions == Assumptions::Broken && args.scenario.is_some() {
        println!(
            "clocks of servers do what exclusion assumes they do not: only tokens and the fenced resource were judged"
        );
    }
    for failure in report.failures.iter().take(SHOWN_MAX) {
        show(failure, &draw(failure.seed));
    }
    if report.failed == 0 { Exit::Fine } else { Exit::SafetyViolated }
}

/// One plan, as it is.
fn play_one(plan: &Plan, options: Options) -> Exit {
    let outcome = simulate(plan, options);
    print!("{plan}{}", outcome.trace);
    for violation in &outcome.violations {
        println!("violation: {violation}");
    }
    println!("{} grants, {} violations", outcome.counts.grants, outcome.violations.len());
    if outcome.violations.is_empty() { Exit::Fine } else { Exit::SafetyViolated }
}

/// The controls of these names; all of them, if none is named.
fn chosen_controls(names: &[String]) -> Result<Vec<Control>, String> {
    let named = |name: &String| {
        let found = Control::ALL.into_iter().find(|control| format!("{control:?}") == *name);
        found.ok_or_else(|| format!("there is no rule called {name:?}; there are {:?}", Control::ALL))
    };
    if names.is_empty() { Ok(Control::ALL.to_vec()) } else { names.iter().map(named).collect() }
}

/// Each rule broken in turn, until the referee has found it.
fn play_controls(controls: &[Control], args: &SimulateArgs, threads: usize) -> Exit {
    if let (Some(seed), [control]) = (args.only, controls) {
        let plan = Plan::draw_from(control.bias(), seed);
        return play_one(&plan, Options { trace: args.trace, sabotage: Some(*control) });
    }
    let mut table = Table::new();
    table.set_header([
        "rule broken on purpose",
        "drawn from",
        "found by",
        "seeds needed",
        "of at most",
        "seed",
    ]);
    let (mut missed, mut unsound) = (Vec::new(), Vec::new());
    for &control in controls {
        let seeds_max = args.seeds.unwrap_or_else(|| control.seeds_max());
        let verdict = controls::check(control, args.seed, seeds_max, threads);
        let (rule, seed) = match &verdict.found {
            Some((seed, violation)) => (format!("{:?}", violation.rule), seed.to_string()),
            None => ("nothing".to_owned(), String::new()),
        };
        if verdict.found.is_none() {
            missed.push(control);
        }
        unsound.extend(verdict.unsound.iter().map(|&seed| (control, seed)));
        let (name, seeds) = (format!("{control:?}"), verdict.seeds.to_string());
        let corner = control.bias().map_or_else(|| "everywhere".to_owned(), |bias| format!("{bias:?}"));
        eprintln!("{name}: {rule}, {seeds} seeds, {:.1} s", verdict.took.as_secs_f64());
        table.add_row([name, corner, rule, seeds, seeds_max.to_string(), seed]);
    }
    println!("{table}");
    if missed.is_empty() && unsound.is_empty() {
        println!("all {} controls were found", controls.len());
        return Exit::Fine;
    }
    if !missed.is_empty() {
        println!(
            "NOT FOUND: {missed:?}; what the referee cannot see here, it would not see in the client either"
        );
    }
    if !unsound.is_empty() {
        println!("FOUND WITH ALL RULES IN PLACE, in the corner of a control: {unsound:?}");
    }
    Exit::SafetyViolated
}

fn print_report(report: &Report, first: u64) {
    let Report { seeds, counts, failed, took, .. } = report;
    let per_minute = |count: u64| count as f64 * 60.0 / took.as_secs_f64().max(0.001);
    println!(
        "{seeds} seeds from {first} on, {:.0} s of virtual time, in {:.1} s: {:.0} seeds and {:.0} grants a minute",
        counts.virtual_ms as f64 / 1_000.0,
        took.as_secs_f64(),
        per_minute(*seeds),
        per_minute(counts.grants),
    );
    print_counts(counts);
    println!(
        "seeds that failed: {failed} (95 % upper bound of a seed's chance to fail: {})",
        bound(*failed, *seeds)
    );
}

fn print_counts(counts: &Counts) {
    println!(
        "{} attempts, {} grants, of which {} met a fault:",
        counts.attempts, counts.grants, counts.exposed_any
    );
    for (kind, count) in KINDS.iter().zip(counts.exposed) {
        println!("  {kind:<26}{count}");
    }
    println!(
        "{} renewals ({} by shadows), {} leases lost, {} writes, {} of them when the lease was over, {} stale and refused, {} acting overlaps",
        counts.renewals,
        counts.shadows,
        counts.lost,
        counts.writes,
        counts.acts_when_over,
        counts.stale_writes,
        counts.acting_overlaps,
    );
    println!(
        "judged: {} free locks that had to be granted, {} losses, {} remains",
        counts.due_grants, counts.losses_judged, counts.remains_judged
    );
    println!(
        "{} acquisitions waited in line, {} locks were handed over on an endpoint, {} of them unheard; {} looks at a free lock that was waited for, free for {} ms at most",
        counts.waited,
        counts.hand_overs,
        counts.hand_overs_lost,
        counts.lines_judged,
        counts.starved_us_max / 1_000,
    );
    println!(
        "contract overlaps, token regressions, accepted stale writes per grant: 95 % upper bound {} where none is listed below",
        bound(0, counts.grants)
    );
}

/// What that many of so many say about the true rate.
fn bound(found: u64, of: u64) -> String {
    Count::new(found, of).upper_95.map_or_else(|| "not given".to_owned(), |bound| format!("{bound:.1e}"))
}

/// A failing seed at its smallest, as a scenario and as a trace.
fn show(failure: &Failure, plan: &Plan) {
    let Failure { seed, violations } = failure;
    println!("\nseed {seed} failed:");
    for violation in violations {
        println!("  {violation}");
    }
    let Some(first) = violations.first() else {
        return;
    };
    let least = shrink(plan, first.rule, Options::default());
    println!("the least that still fails so:\n{least}");
    let outcome = simulate(&least, Options { trace: true, sabotage: None });
    let lines: Vec<&str> = outcome.trace.lines().collect();
    // What led to it; the whole is in `--only SEED --trace`.
    let end = outcome.violations.first().map(|violation| violation.at.to_string());
    let until = lines
        .iter()
        .rposition(|line| end.as_ref().is_some_and(|end| line.trim_start().starts_with(end.as_str())));
    let until = until.map_or(lines.len(), |last| last + 1);
    for line in &lines[until.saturating_sub(80)..until] {
        println!("  {line}");
    }
    for violation in &outcome.violations {
        println!("  violation: {violation}");
    }
}
