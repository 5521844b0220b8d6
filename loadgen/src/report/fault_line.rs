//! `faults.jsonl`: what was done to nodes, servers and links, as planned and as it happened.

use serde::{Deserialize, Serialize};

/// One line of `faults.jsonl`. All times count from the start of the measured part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultLine {
    /// What was done, as scenario files call it: `pause-node`, `partition`.
    pub(crate) fault: String,
    /// To whom, in words: `node 5`, `nodes 0-9 and endpoint 0`.
    pub(crate) target: String,
    /// What else there is to say, such as `restarted without its data`; often empty.
    pub(crate) detail: String,
    /// Whether it was acted out within this program, because the endpoints were in its memory.
    pub(crate) simulated: bool,
    /// When it was to begin.
    pub(crate) planned_start_ms: f64,
    /// When it was to end; what only happens at one moment ends as it begins.
    pub(crate) planned_end_ms: f64,
    /// When it began.
    pub(crate) actual_start_ms: f64,
    /// When it was over; nothing if it never was.
    pub(crate) actual_end_ms: Option<f64>,
}

impl FaultLine {
    /// When it began and ended; as planned where its end is not known.
    pub(crate) fn span_ms(&self) -> (f64, f64) {
        let end_ms = self.actual_end_ms.unwrap_or(self.planned_end_ms);
        (self.actual_start_ms, end_ms.max(self.actual_start_ms))
    }
}
