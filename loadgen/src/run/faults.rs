//! What was done to the nodes, as planned and as it happened.

use crate::report::FaultLine;
use crate::run::pauses::{PlannedPause, planned};
use crate::run::plan::Plan;

/// The beginning or the end of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// From the start of the run.
    pub(crate) at_ns: u64,
    pub(crate) pause: PlannedPause,
    pub(crate) begins: bool,
}

/// All that is to happen, in order.
pub(crate) fn events(plan: &Plan) -> Vec<Event> {
    let ends = |pause: PlannedPause| {
        [
            Event { at_ns: pause.start_ns, pause, begins: true },
            Event { at_ns: pause.end_ns, pause, begins: false },
        ]
    };
    let mut events: Vec<Event> = planned(plan).into_iter().flat_map(ends).collect();
    events.sort_by_key(|event| (event.at_ns, event.begins));
    events
}

/// A pause that has begun; times from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActualPause {
    pub(crate) planned: PlannedPause,
    pub(crate) began_ns: u64,
    /// Nothing while it lasts.
    pub(crate) ended_ns: Option<u64>,
}

/// The pauses so far.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    pauses: Vec<ActualPause>,
}

impl FaultLog {
    pub(crate) fn begun(&mut self, planned: PlannedPause, began_ns: u64) {
        self.pauses.push(ActualPause { planned, began_ns, ended_ns: None });
    }

    pub(crate) fn ended(&mut self, node: u32, ended_ns: u64) {
        for pause in self.pauses.iter_mut().filter(|pause| pause.planned.node == node) {
            pause.ended_ns.get_or_insert(ended_ns);
        }
    }

    pub(crate) fn end_all(&mut self, ended_ns: u64) {
        for pause in &mut self.pauses {
            pause.ended_ns.get_or_insert(ended_ns);
        }
    }

    /// Those that last.
    pub(crate) fn active(&self) -> Vec<PlannedPause> {
        self.pauses.iter().filter(|pause| pause.ended_ns.is_none()).map(|pause| pause.planned).collect()
    }

    /// As `faults.jsonl` has them, with times from the start of the measured part, like the plan's in `run.json`.
    pub(crate) fn lines(&self, warm_up_ms: u64, simulated: bool) -> Vec<FaultLine> {
        let from_measured = |at_ns: u64| at_ns as f64 / 1e6 - warm_up_ms as f64;
        let line = |pause: &ActualPause| FaultLine {
            fault: "pause-node".to_owned(),
            target: format!("node {}", pause.planned.node),
            detail: String::new(),
            simulated,
            planned_start_ms: from_measured(pause.planned.start_ns),
            planned_end_ms: from_measured(pause.planned.end_ns),
            actual_start_ms: from_measured(pause.began_ns),
            actual_end_ms: pause.ended_ns.map(from_measured),
        };
        self.pauses.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_active_until_it_has_ended_and_ends_once() {
        let pause = |node| PlannedPause { node, start_ns: 1_000_000, end_ns: 3_000_000 };
        let mut log = FaultLog::default();
        log.begun(pause(1), 1_100_000);
        log.begun(pause(2), 1_200_000);
        assert_eq!(log.active(), [pause(1), pause(2)]);
        log.ended(1, 3_100_000);
        log.begun(pause(1), 5_000_000);
        assert_eq!(log.active(), [pause(2), pause(1)]);
        log.end_all(6_000_000);
        assert!(log.active().is_empty());
        let ends: Vec<_> = log.lines(1, false).iter().map(|line| line.actual_end_ms).collect();
        assert_eq!(ends, [Some(2.1), Some(5.0), Some(5.0)], "from the start of the measured part");
    }
}
