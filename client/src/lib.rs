//! Distributed leases over independent Redis servers: exclusive by majority, fenced by tokens, lost in time.
//!
//! A lease is valid only while a majority of endpoints (2 of 3) agrees. It is renewed in the background, carries a fencing
//! token, and its holder is told before it ends.
//!
//! ```no_run
//! # use std::time::Duration;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # struct Ledger; impl Ledger { async fn pay(&self, _: u32, _: leasehold::Fence) -> Result<(), std::io::Error> { Ok(()) } }
//! # let (ledger, order) = (Ledger, 7);
//! use leasehold::Client;
//!
//! let locks = Client::builder()
//!     .endpoints(["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])
//!     .connect()
//!     .await?; // a majority is enough
//!
//! let lease = locks.lease("reconciliation:txn:948201").wait(Duration::from_secs(2)).acquire().await?;
//! ledger.pay(order, lease.fence()).await?; // the ledger refuses smaller tokens
//! lease.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What may be assumed
//!
//! * **While [`Lease::is_valid`](LeaseHandle::is_valid)**, no other client holds a valid lease on the name, as long as
//!   clocks run within 1 % of each other and every endpoint that loses data is noticed (it is, at its next contact, and
//!   gives no votes for 30 s).
//! * **Always**, tokens of later leases are larger: a resource that refuses smaller ones is safe even from a holder that was
//!   stopped past its deadline.
//! * **After loss**, nothing: stop. [`Lease::lost`](LeaseHandle::lost) resolves a few milliseconds before the deadline.
//!
//! # Layout
//!
//! * [`protocol`]: the rules, pure: no clock, no socket, no runtime. Public for benches and simulations, with no promise of
//!   stability.
//! * [`scripts`]: what endpoints run, one script, and its settings. Public for benches, with no promise of stability.
//! * [`Client`], [`LeaseRequest`], [`Lease`]: the public face. `attempt`, `validation`: machines of the protocol between a
//!   caller's future and the queues. `waiting`, `lines`: who waits in this process, and for what.
//! * `core`: what all handles of a client share. `dispatcher`: the queue before an endpoint. `courier`: the task that empties
//!   it in batches, through the gate of the rules. `peers`: what endpoints know of each other. `keeper`: timers of held leases.
//! * `endpoint`: what an endpoint must do. `redis`: real servers; the one room that knows fred. [`memory`]: in this process,
//!   for tests.
//! * [`admin`]: what an operator says about a set. [`Observer`]: word of what happens. `config`, `error`, `status`, `clock`, `chance`.
//!   `sync`: what tasks share and wait on; `races`: their schedules, explored. `fuzzing`: ways in for `fuzz/`.

pub mod admin;
mod attempt;
mod chance;
mod client;
mod clock;
mod config;
#[cfg(test)]
#[cfg(not(feature = "races"))]
mod conformance;
mod core;
mod courier;
mod dispatcher;
mod endpoint;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod held;
mod keeper;
mod lease;
mod lines;
pub mod memory;
mod observer;
mod peers;
pub mod protocol;
#[cfg(test)]
#[cfg(feature = "races")]
mod races;
mod redis;
mod request;
mod rtt;
pub mod scripts;
mod status;
mod sync;
mod ttl;
mod validation;
mod waiting;

pub use client::Client;
pub use config::{ClientBuilder, Credentials, Tls};
pub use error::{
    AcquireError, ConfigError, ConnectError, EndpointReason, EndpointReasons, ReauthenticateError,
    ReleaseError, RenewError, ValidateError,
};
pub use lease::{Lease, LeaseHandle, LeaseState};
pub use observer::{AttemptOutcome, AttemptReport, LossReport, Observer, RenewalReport};
pub use protocol::{Fence, LeaseName, LossReason, NameError, Quorum, QuorumError, Renewal};
pub use request::{LeaseRequest, RunOutcome};
pub use status::{EndpointState, EndpointStatus};
