//! Rules broken on purpose are found, and a failure shrinks. `loadgen simulate --controls` goes through all of them; here are
//! those that need few seeds.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use leasehold_sim::controls;
use leasehold_sim::plan::{Bias, Plan};
use leasehold_sim::sabotage::Control;
use leasehold_sim::shrink::shrink;
use leasehold_sim::swarm::Swarm;
use leasehold_sim::world::{Options, simulate};

#[test]
fn controls_that_need_few_seeds_are_found() {
    for control in [
        Control::MajorityOfOne,
        Control::NoRaise,
        Control::StripeUnwritten,
        Control::NoQuarantine,
        Control::ReleaseUnowned,
        Control::NoUndoForUnknown,
        Control::VotesAfterDeadline,
        Control::RenewalAfterRelease,
        Control::NoticeAtTick,
        Control::RenewalForgotten,
        Control::NeverAdmittedAgain,
    ] {
        let verdict = controls::check(control, 0, 100, 2);
        assert!(verdict.found.is_some(), "{verdict:?}");
    }
}

#[test]
fn rules_that_matter_in_a_few_histories_are_found_in_the_corner_of_those() {
    for control in [
        Control::OldRoundCounts,
        Control::DeadlineFromReply,
        Control::NoDrift,
        Control::NoHandOutCheck,
        Control::QuarantineFirst,
        Control::NoPoll,
        Control::HandOverForNewest,
        Control::RefreshKeepsExpiry,
        Control::HandOverInQuarantine,
    ] {
        let verdict = controls::check(control, 0, 200, 2);
        assert!(verdict.found.is_some() && verdict.unsound.is_empty(), "{verdict:?}");
    }
}

#[test]
fn with_all_rules_in_place_no_corner_shows_anything() {
    let mut corners: Vec<_> = Control::ALL.into_iter().filter_map(Control::bias).collect();
    // Several controls share a corner, and stand side by side.
    corners.dedup();
    for bias in corners {
        let seeds = if bias == Bias::WinnersAsleep { 4 } else { 30 };
        let swarm = Swarm {
            first: 0,
            seeds,
            time: None,
            threads: 2,
            draw: &|seed| Plan::draw_from(Some(bias), seed),
            sabotage: None,
            until_found: false,
        };
        let report = swarm.play();
        assert_eq!(report.failed, 0, "{bias:?}: {:#?}", report.failures);
        assert!(report.counts.grants > 100, "{bias:?} plays nothing: {:?}", report.counts);
    }
}

#[test]
fn a_waiter_that_is_forgotten_and_two_that_are_given_one_lock_are_found() {
    for control in [Control::WaiterForgotten, Control::TwoGiven] {
        let verdict = controls::check(control, 1_000_000, 300, 2);
        assert!(verdict.found.is_some(), "{verdict:?}");
    }
}

#[test]
fn a_failure_shrinks_and_still_fails() {
    let control = Control::ReleaseUnowned;
    let options = Options { trace: false, sabotage: Some(control) };
    let (seed, violation) = controls::check(control, 0, 100, 1).found.unwrap();
    let plan = Plan::draw(seed);
    let least = shrink(&plan, violation.rule, options);
    let outcome = simulate(&least, options);
    assert!(outcome.violations.iter().any(|found| found.rule == violation.rule));
    assert!(least.length < plan.length || least.faults.len() < plan.faults.len(), "nothing was taken away");
}
