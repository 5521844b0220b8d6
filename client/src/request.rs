//! A lease to be asked for: on what terms, and how long to wait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{Ask, Failed, Pursuit, Settled, Terms};
use crate::config;
use crate::core::Core;
use crate::error::{AcquireError, ReleaseError};
use crate::lease::{Lease, LeaseHandle};
use crate::protocol::{AttemptFailure, LeaseName, LossReason, NameError, Renewal};
use crate::sync::time::Instant;
use crate::waiting::{self, Unheld};

/// A lease to be asked for.
#[must_use = "nothing is sent before acquire, try_acquire or run is awaited"]
pub struct LeaseRequest {
    core: Arc<Core>,
    name: Result<LeaseName, NameError>,
    ttl: Option<Duration>,
    wait: Duration,
    renewal: Renewal,
    hold_max: Option<Duration>,
}

/// How work under a lease ended.
#[derive(Debug)]
pub enum RunOutcome<T> {
    /// The work ended while the lease was held.
    Done {
        /// Its result.
        value: T,
        /// How the release ended. It says nothing about the work.
        release: Result<(), ReleaseError>,
    },
    /// The lease was lost first, and the work was dropped where it stood.
    Lost(LossReason),
}

impl LeaseRequest {
    pub(crate) fn new(core: &Arc<Core>, name: &str) -> Self {
        Self {
            core: Arc::clone(core),
            name: LeaseName::new(name),
            ttl: None,
            wait: core.limits.wait,
            renewal: Renewal::default(),
            hold_max: None,
        }
    }

    /// How long the lock outlives a holder that crashed. Default: the client's.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long to wait for a lock that is held, or for endpoints that do not vote. Default: the client's.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// When the lease is renewed. Default: in the background.
    pub const fn renewal(mut self, renewal: Renewal) -> Self {
        self.renewal = renewal;
        self
    }

    /// For how long the lease is renewed at most: a holder that is stuck loses it then. Default: for ever.
    pub const fn max_hold(mut self, time: Duration) -> Self {
        self.hold_max = Some(time);
        self
    }

    /// Acquires the lease, waiting for it if it is held: in line, first come first served.
    ///
    /// Dropping the future at any point leaves nothing behind.
    ///
    /// # Errors
    /// [`AcquireError`], that of the last attempt, once the wait is over; at once where trying again cannot help.
    pub async fn acquire(self) -> Result<Lease, AcquireError> {
        if self.wait.is_zero() {
            return self.try_acquire().await;
        }
        let (name, terms) = self.checked()?;
        // A wait too long for the clock to have an end has none.
        let give_up = Instant::now().checked_add(self.wait);
        let outcome = waiting::acquire(&self.core, name, &terms, give_up).await;
        self.handed_out(outcome.map_err(|unheld| match unheld {
            Unheld::Failed(failed) => self.error(name, terms, &failed),
            Unheld::Shutdown => AcquireError::Shutdown,
        }))
    }

    /// Tries once to acquire the lease.
    ///
    /// Dropping the future at any point leaves nothing behind.
    ///
    /// # Errors
    /// [`AcquireError`] tells a lease that is held by another from endpoints that do not vote.
    pub async fn try_acquire(self) -> Result<Lease, AcquireError> {
        let (name, terms) = self.checked()?;
        let ask = Ask { proposal: self.core.next_proposal(), ticket: None };
        let mut pursuit = Pursuit::start(&self.core, name, terms, ask);
        loop {
            match pursuit.settle().await {
                Settled::Won(lease) => return self.handed_out(Ok(lease)),
                Settled::Failed(failed) => {
                    return self.handed_out(Err(self.error(name, terms, &failed)));
                }
                // Without a ticket nobody gets there.
                Settled::InLine => pursuit.end_wait(),
            }
        }
    }

    /// A lease that is won as the client is shut down is given back: either the shutdown knows of it, or it is seen here.
    fn handed_out(&self, outcome: Result<Lease, AcquireError>) -> Result<Lease, AcquireError> {
        if self.core.is_closed() { Err(AcquireError::Shutdown) } else { outcome }
    }

    /// Acquires the lease, does `work` under it, and releases it. Work and lease are polled together: when the lease is lost,
    /// the work is dropped where it stands.
    ///
    /// # Errors
    /// [`AcquireError`] if the lease was not acquired; the work has not begun then.
    pub async fn run<T, F>(self, work: impl FnOnce(LeaseHandle) -> F) -> Result<RunOutcome<T>, AcquireError>
    where
        F: Future<Output = T>,
    {
        let lease = self.acquire().await?;
        let lost = lease.lost();
        tokio::select! {
            biased;
            value = work(lease.handle()) => Ok(RunOutcome::Done { value, release: lease.release().await }),
            reason = lost => Ok(RunOutcome::Lost(reason)),
        }
    }

    /// What can be said before anything is sent.
    fn checked(&self) -> Result<(&LeaseName, Terms), AcquireError> {
        if self.core.is_closed() {
            return Err(AcquireError::Shutdown);
        }
        let name = self.name.as_ref().map_err(Clone::clone)?;
        let ttl = config::lease_ttl(self.ttl, &self.core.limits)?;
        Ok((name, Terms { ttl, renewal: self.renewal, hold_max: self.hold_max }))
    }

    fn error(&self, name: &LeaseName, terms: Terms, failed: &Failed) -> AcquireError {
        let endpoints = self.core.reasons(&failed.replies);
        let key = self.core.lock_key(name);
        let name = name.to_string();
        match failed.failure {
            AttemptFailure::Held { left_ms } => {
                AcquireError::Held { name, left: Duration::from_millis(left_ms), endpoints }
            }
            AttemptFailure::NotALock => AcquireError::NotALock { name, key, endpoints },
            AttemptFailure::ValidityExhausted => {
                let ttl = terms.ttl.duration(&self.core.rounds);
                AcquireError::ValidityExhausted { name, ttl, endpoints }
            }
            // A cancelled attempt has no caller to tell.
            AttemptFailure::NoQuorum | AttemptFailure::Cancelled => {
                AcquireError::NoQuorum { name, endpoints }
            }
        }
    }
}

impl fmt::Debug for LeaseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseRequest")
            .field("name", &self.name)
            .field("ttl", &self.ttl)
            .field("wait", &self.wait)
            .field("renewal", &self.renewal)
            .field("max_hold", &self.hold_max)
            .finish_non_exhaustive()
    }
}
