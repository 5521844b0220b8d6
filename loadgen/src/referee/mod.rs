//! The judge of a run: what was promised, what happened, and what fencing would have stopped.
//!
//! Pure and deterministic. It knows no socket and no clock: every time is a `u64` of nanoseconds on the referee's own
//! monotonic clock, the one clock that no fault touches, taken by the *user* of a lock next to the act and never by
//! the lock's library, because a library's own timestamps would hide the very bug that is looked for.
//!
//! # Layout
//!
//! - `record`: what is known about a grant, and the two beliefs that follow from it.
//! - `overlap`, `tokens`: the sweeps over grants, for exclusion and for fencing tokens.
//! - `resource`: what the lock protects, fenced and unfenced.
//! - `exposure`, `contention`: how much a run could have shown.
//! - `safety`, `violations`: the findings, as numbers and as lifelines.
//! - `watermark`: how far the stream of records may be judged.
//! - `machines`: whose clocks the times were read from, and what that leaves open.

mod contention;
mod count;
mod exposure;
mod judge;
mod machines;
mod overlap;
mod record;
mod resource;
mod safety;
#[cfg(test)]
mod tests;
mod tokens;
mod violations;
mod watermark;

pub(crate) use count::Count;
pub(crate) use exposure::FaultId;
pub(crate) use judge::{Findings, LateRecord, Referee, SoFar};
pub(crate) use machines::Machines;
pub(crate) use record::{Failure, GrantRecord, ReleaseOutcome, grant_id};
pub(crate) use resource::Write;
pub(crate) use safety::Safety;
pub(crate) use violations::{Violation, ViolationKind, Violations};
pub(crate) use watermark::Watermarks;
