//! The lease a holder has in hand, and the handles its work is given.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::core::{Core, Subject};
use crate::error::{ReleaseError, RenewError, ValidateError};
use crate::held::Held;
use crate::protocol::{Fence, Hold, HoldParams, LossReason};
use crate::ttl::Ttl;
use crate::validation::validate;

/// A lease that is held, renewed, and released when dropped.
///
/// It is valid until [`valid_until`](LeaseHandle::valid_until), which renewals move on, or until
/// [`lost`](LeaseHandle::lost) resolves. Pass [`fence`](LeaseHandle::fence) along with every write to what it protects: only
/// a resource that refuses smaller tokens is safe from a holder that was stopped past its deadline and does not know it yet.
///
/// What can be asked of it is on [`LeaseHandle`], to which it dereferences.
#[must_use = "a lease is released when it is dropped"]
pub struct Lease {
    handle: LeaseHandle,
}

/// A view of a lease that is held elsewhere: what the work done under it may ask. It does not keep the lease.
#[derive(Clone)]
pub struct LeaseHandle {
    held: Arc<Held>,
}

/// How a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseState {
    /// It is held.
    Held,
    /// It is held, on shadows: its renewals get no answers. Should the holder crash now, the lock is free only after the
    /// longest TTL.
    Degraded,
    /// It is over.
    Over(LossReason),
}

impl Lease {
    pub(crate) fn hold(
        core: &Arc<Core>,
        subject: Subject,
        ttl: Ttl,
        params: HoldParams,
        doubts: u64,
    ) -> Self {
        Self { handle: LeaseHandle { held: Held::new(core, subject, ttl, params, doubts) } }
    }

    /// A view for others, which does not keep the lease.
    #[must_use]
    pub fn handle(&self) -> LeaseHandle {
        self.handle.clone()
    }

    /// Gives the lease back, and waits until a majority has confirmed. Dropping the future does not stop the release.
    ///
    /// # Errors
    /// [`ReleaseError`] when the lease was lost before, or when no majority confirmed in time. It is not held any more in
    /// either case.
    pub async fn release(self) -> Result<(), ReleaseError> {
        let held = &self.handle.held;
        held.release();
        let name = || self.name().to_owned();
        match held.until(Held::release_outcome).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReleaseError::Unconfirmed { name: name() }),
            Err(reason) => Err(ReleaseError::Lost { name: name(), reason }),
        }
    }
}

impl Deref for Lease {
    type Target = LeaseHandle;

    fn deref(&self) -> &LeaseHandle {
        &self.handle
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.handle.held.release();
    }
}

impl LeaseHandle {
    /// The lease's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.held.subject.name.as_str()
    }

    /// The fencing token: larger than that of every lease handed out earlier on this name. Stays readable after loss.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.held.look(Hold::fence)
    }

    /// Until when the lease is held if no renewal succeeds, on this process's monotonic clock; in the past once that is.
    ///
    /// Counted from before the first request of the newest successful round, less the clocks' drift. `Instant` stands still
    /// while a machine is suspended; [`is_valid`](Self::is_valid) and [`remaining`](Self::remaining) do not.
    #[must_use]
    pub fn valid_until(&self) -> Instant {
        let clock = &self.held.core.clock;
        let (now, deadline) = (clock.now(), self.held.look(Hold::deadline));
        let ahead = Duration::from_nanos(deadline.ns_since(now));
        let behind = Duration::from_nanos(now.ns_since(deadline));
        let instant = clock.instant() + ahead;
        instant.checked_sub(behind).unwrap_or(instant)
    }

    /// How long the lease is held if no renewal succeeds; zero once it is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let now = self.held.core.clock.now();
        let left_ns = |machine: &Hold| match machine.loss() {
            None => machine.deadline().ns_since(now),
            Some(_) => 0,
        };
        Duration::from_nanos(self.held.look(left_ns))
    }

    /// Whether the lease is held now, as far as can be told without asking anybody. Once false, never true again.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.held.loss().is_none()
    }

    /// How the lease stands.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        match self.held.loss() {
            Some(reason) => LeaseState::Over(reason),
            None if self.held.look(Hold::is_degraded) => LeaseState::Degraded,
            None => LeaseState::Held,
        }
    }

    /// How many endpoints hold the lease, as far as is known.
    #[must_use]
    pub fn votes(&self) -> u32 {
        self.held.look(|machine| machine.voters().len())
    }

    /// Asks the endpoints whether the lease is still held: a second look before a critical section, one round trip.
    ///
    /// # Errors
    /// [`ValidateError`] says whether it is over, or merely could not be confirmed.
    pub async fn validate(&self) -> Result<(), ValidateError> {
        let lost = |reason| ValidateError::Lost { name: self.name().to_owned(), reason };
        if let Some(reason) = self.held.loss() {
            return Err(lost(reason));
        }
        let confirmed = validate(&self.held.core, &self.held.subject).await;
        if let Some(reason) = self.held.loss() {
            return Err(lost(reason));
        }
        confirmed.map_err(|replies| ValidateError::NoQuorum {
            name: self.name().to_owned(),
            endpoints: self.held.core.reasons(&replies),
        })
    }

    /// Renews the lease now, whenever it would be renewed by itself, and waits for the outcome.
    ///
    /// # Errors
    /// [`RenewError`]: without a majority the lease stands as it stood before.
    pub async fn renew(&self) -> Result<(), RenewError> {
        let t0 = self.held.renew();
        match self.held.until(|held| held.renewal_outcome(t0)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(RenewError::NoQuorum { name: self.name().to_owned() }),
            Err(reason) => Err(RenewError::Lost { name: self.name().to_owned(), reason }),
        }
    }

    /// Reports progress: with [`Renewal::OnWork`](crate::Renewal::OnWork) the lease is renewed only after a report.
    pub fn worked(&self) {
        self.held.worked();
    }

    /// Resolves when the lease is over, with the reason: a few milliseconds before the deadline, by a local timer, even if
    /// no endpoint ever answers again. Never taken back.
    ///
    /// A process that was stopped or suspended learns it at its first poll.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + use<> {
        let held = Arc::clone(&self.held);
        async move { held.until(Held::loss).await }
    }

    /// Resolves when a fifth of the TTL is left and no renewal has succeeded, or the lease is over. A later renewal may
    /// still save it.
    pub fn expiring_soon(&self) -> impl Future<Output = ()> + Send + use<> {
        let held = Arc::clone(&self.held);
        async move { held.until(Held::expires_soon).await }
    }

    /// Cancelled when the lease is lost or released: for work that takes such a token.
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        self.held.cancelled().child_token()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt_as("Lease", f)
    }
}

impl fmt::Debug for LeaseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("LeaseHandle", f)
    }
}

impl LeaseHandle {
    fn fmt_as(&self, kind: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(kind)
            .field("name", &self.name())
            .field("fence", &self.fence().get())
            .field("state", &self.state())
            .field("remaining", &self.remaining())
            .field("votes", &self.votes())
            .finish_non_exhaustive()
    }
}
