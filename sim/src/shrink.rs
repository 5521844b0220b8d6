//! The least that still fails: faults, hosts, noise and time are taken from a plan as long as what was found is still found.

use crate::plan::Plan;
use crate::referee::Rule;
use crate::time::At;
use crate::world::{Options, simulate};

/// Runs of one shrinking at the most.
const RUNS_MAX: u32 = 400;

/// Takes from a plan what it does not need to break `rule`.
#[must_use]
pub fn shrink(plan: &Plan, rule: Rule, options: Options) -> Plan {
    let mut search = Search { rule, options: Options { trace: false, ..options }, runs: 0 };
    let mut least = plan.clone();
    loop {
        let before = size(&least);
        search.cut_time(&mut least);
        search.drop_faults(&mut least);
        search.drop_hosts(&mut least);
        search.drop_noise(&mut least);
        if size(&least) == before || search.runs >= RUNS_MAX {
            return least;
        }
    }
}

struct Search {
    rule: Rule,
    options: Options,
    runs: u32,
}

impl Search {
    fn fails(&mut self, plan: &Plan) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        simulate(plan, self.options).violations.iter().any(|violation| violation.rule == self.rule)
    }

    fn try_it(&mut self, least: &mut Plan, change: impl FnOnce(&mut Plan)) -> bool {
        let mut candidate = least.clone();
        change(&mut candidate);
        let fails = self.fails(&candidate);
        if fails {
            *least = candidate;
        }
        fails
    }

    /// Ends sooner: at half of the time, or three quarters, as long as that goes well.
    fn cut_time(&mut self, least: &mut Plan) {
        while self.try_it(least, |plan| plan.end_at(At(plan.length.0 / 2)))
            || self.try_it(least, |plan| plan.end_at(At(plan.length.0 / 4 * 3)))
        {}
    }

    /// Halves of the faults, quarters of them, down to single ones.
    fn drop_faults(&mut self, least: &mut Plan) {
        let mut chunk = least.faults.len().div_ceil(2);
        while chunk > 0 {
            let mut from = 0;
            while from < least.faults.len() {
                let to = (from + chunk).min(least.faults.len());
                if !self.try_it(least, |plan| drop(plan.faults.drain(from..to))) {
                    from = to;
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    /// The last host, and tasks of each.
    fn drop_hosts(&mut self, least: &mut Plan) {
        while least.hosts.len() > 1 && self.try_it(least, Plan::drop_last_host) {}
        for host in 0..least.hosts.len() {
            while least.hosts[host].tasks > 1 && self.try_it(least, |plan| plan.hosts[host].tasks -= 1) {}
        }
    }

    fn drop_noise(&mut self, least: &mut Plan) {
        let changes: [fn(&mut Plan); 6] = [
            |plan| plan.network.lose_request_ppm = 0,
            |plan| plan.network.lose_reply_ppm = 0,
            |plan| plan.network.duplicate_ppm = 0,
            |plan| plan.network.stall_ppm = 0,
            |plan| plan.network.break_ppm = 0,
            |plan| plan.work.cancel_percent = 0,
        ];
        for change in changes {
            self.try_it(least, change);
        }
    }
}

/// What shrinks.
fn size(plan: &Plan) -> (usize, usize, u64) {
    let tasks = plan.hosts.iter().map(|host| host.tasks).sum();
    (plan.faults.len(), tasks, plan.length.0)
}
