//! What was done to nodes, servers and links, as planned and as it happened.

use crate::report::FaultLine;
use crate::scenario::PlannedFault;

/// A fault that has begun; times from the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActualFault {
    pub(crate) planned: PlannedFault,
    pub(crate) began_ns: u64,
    /// Nothing while it lasts.
    pub(crate) ended_ns: Option<u64>,
    /// Why it did not happen as planned.
    pub(crate) remark: Option<String>,
}

/// The faults so far.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    faults: Vec<ActualFault>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(usize);

impl Entry {
    /// Its place in the log.
    pub(crate) fn number(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl FaultLog {
    pub(crate) fn begun(&mut self, planned: PlannedFault, began_ns: u64) -> Entry {
        self.faults.push(ActualFault { planned, began_ns, ended_ns: None, remark: None });
        Entry(self.faults.len() - 1)
    }

    pub(crate) fn ended(&mut self, entry: Entry, ended_ns: u64) {
        if let Some(fault) = self.faults.get_mut(entry.0) {
            fault.ended_ns.get_or_insert(ended_ns);
        }
    }

    /// It did not happen as planned.
    pub(crate) fn remark(&mut self, entry: Entry, remark: String) {
        if let Some(fault) = self.faults.get_mut(entry.0) {
            fault.remark = Some(remark);
        }
    }

    pub(crate) fn end_all(&mut self, ended_ns: u64) {
        for fault in &mut self.faults {
            fault.ended_ns.get_or_insert(ended_ns);
        }
    }

    /// As `faults.jsonl` has them, with times from the start of the measured part, like the plan's in `run.json`.
    pub(crate) fn lines(&self, warm_up_ms: u64, simulated: bool) -> Vec<FaultLine> {
        let from_measured = |at_ns: u64| at_ns as f64 / 1e6 - warm_up_ms as f64;
        let line = |fault: &ActualFault| {
            let action = &fault.planned.action;
            let details = [Some(action.detail()), fault.remark.clone()];
            let details: Vec<String> =
                details.into_iter().flatten().filter(|part| !part.is_empty()).collect();
            FaultLine {
                fault: action.name().to_owned(),
                target: action.target(),
                detail: details.join("; "),
                simulated,
                planned_start_ms: from_measured(fault.planned.start_ns),
                planned_end_ms: from_measured(fault.planned.end_ns),
                actual_start_ms: from_measured(fault.began_ns),
                actual_end_ms: fault.ended_ns.map(from_measured),
            }
        };
        self.faults.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Action;

    #[test]
    fn a_fault_ends_once_and_says_what_was_different() {
        let pause = |node| PlannedFault {
            action: Action::PauseNode { node },
            start_ns: 1_000_000,
            end_ns: 3_000_000,
        };
        let mut log = FaultLog::default();
        let first = log.begun(pause(1), 1_100_000);
        let second = log.begun(pause(2), 1_200_000);
        log.ended(first, 3_100_000);
        log.remark(second, "left out".to_owned());
        log.end_all(6_000_000);
        log.ended(second, 7_000_000);
        let lines = log.lines(1, false);
        let ends: Vec<_> = lines.iter().map(|line| line.actual_end_ms).collect();
        assert_eq!(ends, [Some(2.1), Some(5.0)], "from the start of the measured part");
        assert_eq!((lines[0].target.as_str(), lines[0].detail.as_str()), ("node 1", ""));
        assert_eq!(lines[1].detail, "left out");
    }
}
