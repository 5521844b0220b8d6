//! The protocol, pure and deterministic: fed with time, replies and random bits, it says what to send and what came of it.
//!
//! Nothing here knows a socket, a clock, a thread or a runtime; only `std` is used. The same machines run against real
//! servers, against in-memory endpoints and under simulation.
//!
//! # The grammar of a machine
//!
//! [`Attempt`], [`Hold`] and [`Validation`] speak one grammar: getters take `&self`; `handle_*` are inputs and take the
//! current [`Moment`] where time matters; `poll_*` are outputs. After each input, drain `poll_request`, then `poll_event` or
//! `outcome`, then ask `poll_timeout`.
//!
//! # Layout
//!
//! * [`time`], [`validity`]: moments, drift, deadlines; integers, rounded against the holder.
//! * [`quorum`], [`tally`]: who votes and what carries.
//! * [`name`], [`fence`], [`operation`]: what is said to an endpoint and what it answers.
//! * [`wire`]: the same as bytes: a batch of operations as script arguments, its replies back.
//! * [`attempt`]: one attempt to acquire. [`hold`]: renewal, shadow, loss, release. [`validation`]: the second look.
//! * [`call`], [`gate`]: an endpoint is admitted before it is asked. [`peers`]: what one client's endpoints know of each other.
//! * [`waiting`]: when a waiter tries again.
//! * [`limiter`]: how fast one client may renew. [`backoff`]: jittered delays. [`clock_watch`]: does an
//!   endpoint's clock keep pace?

pub mod attempt;
pub mod backoff;
pub mod call;
pub mod clock_watch;
pub mod fence;
pub mod gate;
pub mod hold;
pub mod limiter;
pub mod name;
pub mod operation;
pub mod peers;
pub mod quorum;
pub mod tally;
pub mod time;
pub mod validation;
pub mod validity;
pub mod waiting;
pub mod wire;

pub use attempt::{Attempt, AttemptFailure, AttemptParams, Grant};
pub use fence::{ClientId, Fence, OwnerId};
pub use gate::Gate;
pub use hold::{Hold, HoldEvent, HoldParams, LossReason, Renewal};
pub use limiter::Limiter;
pub use name::{LeaseName, NameError};
pub use operation::{Action, HandOver, Operation, Reply, Request, Round, Vote};
pub use peers::Peers;
pub use quorum::{EndpointId, EndpointSet, Quorum, QuorumError};
pub use tally::Tally;
pub use time::Moment;
pub use validation::Validation;
pub use waiting::Waiting;
