//! How many seeds the referee needs to find each rule that is broken on purpose.

use std::time::Duration;

use crate::plan::Plan;
use crate::referee::Violation;
use crate::sabotage::Control;
use crate::swarm::Swarm;
use crate::world::{Options, simulate};

/// What came of one control.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which.
    pub control: Control,
    /// How many seeds it took, the one that found it included; how many were played if none did.
    pub seeds: u64,
    /// The seed, and what was found wrong there.
    pub found: Option<(u64, Violation)>,
    /// Seeds that fail with all rules in place, among those that failed: what they find is no control's doing.
    pub unsound: Vec<u64>,
    /// How long it took.
    pub took: Duration,
}

/// Breaks one rule and plays seeds of its corner until the referee finds it, at most so many. A seed that fails with all rules
/// in place proves nothing of the control; it is kept, since something is wrong there.
#[must_use]
pub fn check(control: Control, first: u64, seeds_max: u64, threads: usize) -> Verdict {
    let mut verdict = Verdict { control, seeds: 0, found: None, unsound: Vec::new(), took: Duration::ZERO };
    while verdict.found.is_none() && verdict.seeds < seeds_max {
        let swarm = Swarm {
            first: first.wrapping_add(verdict.seeds),
            seeds: seeds_max - verdict.seeds,
            time: None,
            threads,
            draw: &|seed| Plan::draw_from(control.bias(), seed),
            sabotage: Some(control),
            until_found: true,
        };
        let report = swarm.play();
        verdict.seeds += report.seeds;
        verdict.took += report.took;
        for failure in report.failures {
            let plan = Plan::draw_from(control.bias(), failure.seed);
            if !simulate(&plan, Options::default()).violations.is_empty() {
                verdict.unsound.push(failure.seed);
            } else if verdict.found.is_none() {
                verdict.found =
                    failure.violations.into_iter().next().map(|violation| (failure.seed, violation));
            }
        }
    }
    verdict
}
