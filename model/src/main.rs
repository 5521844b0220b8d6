//! Explores every slice and tries every control, and says how far it went.

use std::process::ExitCode;

use clap::Parser;
use leasehold_model::slices::{self, Outcome, Slice, Trial};

/// Explores the protocol's model: every order of every step, within the bounds of each slice.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Only what is small enough to run with the tests.
    #[arg(long)]
    quick: bool,
    /// Only slices and controls whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// No controls.
    #[arg(long)]
    slices_only: bool,
    /// How many threads explore. Default: as many as cores.
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let threads =
        options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let slices = slices::slices();
    let mut passed = true;
    println!("slices: what must hold holds in every state, and each sight is seen\n");
    println!("{:<46} {:>12} {:>13} {:>6} {:>8}  reached", "slice", "states", "steps", "depth", "seconds");
    for slice in
        slices.iter().filter(|slice| slice.name.contains(&options.only) && (slice.quick || !options.quick))
    {
        let outcome = slice.explore(None, threads);
        passed &= outcome.failed.is_empty() && outcome.unseen.is_empty();
        print_slice(slice, &outcome);
    }
    if options.slices_only {
        return verdict(passed);
    }
    println!("\ncontrols: one rule broken, and found\n");
    println!("{:<46} {:>12} {:>6} {:>8}  found in", "control", "states", "depth", "seconds");
    for trial in slices::trials() {
        let Some(slice) = slices.iter().find(|slice| slice.name == trial.slice) else {
            println!("{:<46} there is no slice {:?}", trial.control.text(), trial.slice);
            passed = false;
            continue;
        };
        let named = [trial.control.text(), trial.slice].iter().any(|text| text.contains(&options.only));
        if !named || options.quick && !slice.quick {
            continue;
        }
        let outcome = slice.explore(Some(trial.control), threads);
        passed &= print_trial(&trial, &outcome);
    }
    verdict(passed)
}

fn verdict(passed: bool) -> ExitCode {
    println!("\n{}", if passed { "all as it must be" } else { "NOT as it must be" });
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_slice(slice: &Slice, outcome: &Outcome) {
    let Outcome { states, steps, depth, elapsed, .. } = outcome;
    let reached = match slice.depth {
        None => "every state".to_owned(),
        Some(depth) => format!("every state within {depth} steps"),
    };
    let seconds = elapsed.as_secs_f64();
    println!("{:<46} {states:>12} {steps:>13} {depth:>6} {seconds:>8.1}  {reached}", slice.name);
    for sight in &outcome.unseen {
        println!("    NOT SEEN: {sight}");
    }
    for (property, steps) in &outcome.failed {
        println!("    BROKEN: {property}, after");
        steps.iter().for_each(|step| println!("      {step}"));
    }
}

fn print_trial(trial: &Trial, outcome: &Outcome) -> bool {
    let found = outcome.failed.iter().find(|(property, _)| *property == trial.property);
    let seconds = outcome.elapsed.as_secs_f64();
    let name = trial.control.text();
    match found {
        Some((_, path)) => {
            println!("{name:<46} {:>12} {:>6} {seconds:>8.1}  {}", outcome.states, path.len(), trial.slice);
        }
        None => println!(
            "{name:<46} {:>12} {:>6} {seconds:>8.1}  NOT FOUND in {}",
            outcome.states, "", trial.slice
        ),
    }
    found.is_some()
}
