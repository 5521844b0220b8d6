//! Rules broken on purpose are found, and a failure shrinks. `loadgen simulate --controls` goes through all of them; here are
//! those that need few seeds.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use leasehold_sim::controls;
use leasehold_sim::plan::Plan;
use leasehold_sim::sabotage::Control;
use leasehold_sim::shrink::shrink;
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
fn a_waiter_that_is_forgotten_and_two_that_are_woken_are_found() {
    for control in [Control::WaiterForgotten, Control::TwoWoken] {
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
