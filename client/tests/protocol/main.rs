//! The rules, without a clock, a socket or a server: one file per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod attempt;
mod attempt_orders;
mod backoff;
mod clock_watch;
mod degraded;
mod gate;
mod hand_over;
mod hold;
mod hold_histories;
mod limiter;
mod names;
mod peers;
mod purity;
mod quorum;
mod support;
mod tally;
mod validation;
mod validity;
mod waiting;
mod wire;
