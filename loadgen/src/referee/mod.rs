//! The judge of a run: what was promised, what happened, and what fencing would have stopped.
//!
//! Pure and deterministic. It knows no socket and no clock: every time is a `u64` of nanoseconds on the referee's own
//! monotonic clock, the one clock that no fault touches, taken by the *user* of a lock next to the act and never by
//! the lock's library, because a library's own timestamps would hide the very bug that is looked for.
#![allow(dead_code, unused_imports, reason = "the run engine that uses these is not merged yet")]

mod record;
mod resource;
mod safety;

pub(crate) use record::{GrantRecord, ReleaseOutcome};
pub(crate) use resource::{FenceVerdict, Resource, Write, WriteVerdict};
pub(crate) use safety::{Count, Safety};
