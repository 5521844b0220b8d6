//! Seeds are played again: a fixed set, and those that found something.
#![allow(missing_docs, reason = "a test")]

use leasehold_sim::plan::Plan;
use leasehold_sim::swarm::Swarm;
use leasehold_sim::world::{Options, simulate};

const SEEDS: &str = include_str!("../seeds.txt");

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    for seed in 0..12 {
        let play = || simulate(&Plan::draw(seed), Options { trace: true, sabotage: None });
        let (first, second) = (play(), play());
        assert!(first.trace.len() > 1_000, "seed {seed} says nothing");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.counts, second.counts, "seed {seed}");
    }
}

#[test]
fn a_trace_changes_nothing() {
    let plan = Plan::draw(3);
    let silent = simulate(&plan, Options::default());
    assert_eq!(silent.counts, simulate(&plan, Options { trace: true, sabotage: None }).counts);
}

#[test]
fn a_fixed_set_of_seeds_finds_nothing() {
    let swarm = Swarm {
        first: 0,
        seeds: 400,
        time: None,
        threads: 2,
        draw: &Plan::draw,
        sabotage: None,
        until_found: false,
    };
    let report = swarm.play();
    assert_eq!(report.failed, 0, "{:#?}", report.failures);
    let counts = report.counts;
    // A set that meets nothing would prove nothing.
    assert!(counts.grants > 50_000 && counts.exposed_any > 10_000, "{counts:?}");
    assert!(counts.shadows > 0 && counts.acts_when_over > 0 && counts.due_grants > 1_000, "{counts:?}");
}

#[test]
fn seeds_that_found_something_find_nothing_more() {
    let lines = SEEDS.lines().filter(|line| !line.starts_with('#'));
    let seeds: Vec<u64> = lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert!(seeds.len() >= 6, "the list is not read any more");
    for seed in seeds {
        let mut plan = Plan::draw(seed);
        let outcome = simulate(&plan, Options::default());
        assert_eq!(outcome.violations, [], "seed {seed}");
        // Most of them were found by polling.
        if std::mem::take(&mut plan.work.line) {
            assert_eq!(simulate(&plan, Options::default()).violations, [], "seed {seed}, without a line");
        }
    }
}
