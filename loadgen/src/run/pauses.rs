//! When which node is to stop, drawn from the seed before the run.

use rand::RngExt;

use crate::clock::duration_ns;
use crate::run::plan::Plan;
use crate::run::schedule::{Stream, generator};

/// One pause of one node, as planned, in nanoseconds from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedPause {
    pub(crate) node: u32,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

/// All pauses of a run by start time. Each node begins at a phase of its own, so that they do not stop all at once;
/// every pause ends within the measured part, so that what it leads to is measured as well.
pub(crate) fn planned(plan: &Plan) -> Vec<PlannedPause> {
    let Some(pauses) = plan.pauses else { return Vec::new() };
    let (every_ns, length_ns) = (duration_ns(pauses.every).max(1), duration_ns(pauses.length));
    let (measured_start_ns, measured_end_ns) = plan.measured_ns();
    let mut generator = generator(plan.seed, Stream::Pauses);
    let mut all: Vec<PlannedPause> = (0..plan.paused_nodes())
        .flat_map(|node| {
            let first_ns = measured_start_ns + generator.random_range(0..every_ns);
            (0..)
                .map(move |round: u64| first_ns.saturating_add(round.saturating_mul(every_ns)))
                .map(move |start_ns| PlannedPause {
                    node,
                    start_ns,
                    end_ns: start_ns.saturating_add(length_ns),
                })
                .take_while(|pause| pause.end_ns < measured_end_ns)
        })
        .collect();
    all.sort_by_key(|pause| (pause.start_ns, pause.node));
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::run::plan::{Arrivals, NodePauses, Skew};
    use crate::run::schedule::tests::plan;

    fn paused(seed: u64) -> (Plan, Vec<PlannedPause>) {
        let mut plan = plan(Arrivals::Poisson, Skew::Uniform, seed);
        plan.pauses = Some(NodePauses {
            nodes: 5,
            every: Duration::from_secs(3),
            length: Duration::from_millis(1_500),
        });
        let pauses = planned(&plan);
        (plan, pauses)
    }

    #[test]
    fn pauses_come_from_the_seed_and_lie_within_the_measured_part() {
        let (plan, pauses) = paused(7);
        assert_eq!(pauses, paused(7).1);
        assert_ne!(pauses, paused(8).1);
        let (start_ns, end_ns) = plan.measured_ns();
        assert!(pauses.iter().all(|pause| pause.start_ns >= start_ns && pause.end_ns < end_ns));
        assert!((0..5).all(|node| pauses.iter().any(|pause| pause.node == node)));
    }

    #[test]
    fn the_pauses_of_one_node_do_not_meet() {
        let (_, pauses) = paused(7);
        for node in 0..5 {
            let own: Vec<_> = pauses.iter().filter(|pause| pause.node == node).collect();
            assert!(own.windows(2).all(|pair| pair[0].end_ns < pair[1].start_ns));
        }
    }
}
