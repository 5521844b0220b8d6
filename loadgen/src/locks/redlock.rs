//! The peer crate `rslock`: Redlock over all endpoints.

use std::future::pending;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use rslock::{LockError, LockGuard, LockManager};

use super::{Acquisition, Failure, Held, Lock, next_poll};
use crate::clock::{duration_ns, now_ns};
use crate::measure::Phase;
use crate::referee::ReleaseOutcome;
use crate::run::plan::Plan;
use crate::run::probe::Probe;

/// One node's lock manager.
pub(crate) struct Redlock {
    manager: LockManager,
    ttl: Duration,
    probe: Probe,
}

impl Redlock {
    /// The manager connects with its first request; whether the endpoints answer is checked before a run.
    pub(crate) fn connect(plan: &Plan, node: u32, probe: Probe) -> Self {
        let mut manager = LockManager::new(plan.endpoints_of(node).to_vec());
        // One try a call, repeated here by rslock's own law of delays, uniform up to a maximum: its loop counts tries,
        // so it can neither keep to a time nor say how many it made.
        manager.set_retry(1, Duration::from_millis(1));
        Self { manager, ttl: plan.load.ttl, probe }
    }

    async fn poll(&self, name: &str, wait: Duration) -> Acquisition {
        let key = format!("redlock:{name}");
        let wait_end_ns = now_ns().saturating_add(duration_ns(wait));
        loop {
            let sent_ns = now_ns();
            let outcome = self.manager.lock(key.as_str(), self.ttl).await;
            let replied_ns = now_ns();
            self.probe.record(Phase::Attempt, replied_ns.saturating_sub(sent_ns));
            match outcome {
                Ok(lock) => {
                    let validity_ms = u64::try_from(lock.validity_time).unwrap_or(u64::MAX);
                    // The crate gives a length without a beginning; its user can only count from the answer.
                    let valid_until_ns = replied_ns.saturating_add(validity_ms.saturating_mul(1_000_000));
                    return Ok(Box::new(Grant { guard: LockGuard { lock }, valid_until_ns }));
                }
                // Its votes are yes or no; an endpoint that is down says no.
                Err(LockError::Unavailable) => {
                    let delay = next_poll(wait_end_ns).ok_or(Failure::Held)?;
                    tokio::time::sleep(delay).await;
                }
                Err(LockError::TtlExceeded) => return Err(Failure::ValidityExhausted),
                Err(LockError::TtlTooLarge) => return Err(Failure::Refused),
                Err(_) => return Err(Failure::Unknown),
            }
        }
    }
}

impl Lock for Redlock {
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition> {
        self.poll(name, wait).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

struct Grant {
    guard: LockGuard,
    valid_until_ns: u64,
}

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        None
    }

    fn valid_until_ns(&self) -> Option<u64> {
        Some(self.valid_until_ns)
    }

    fn is_valid(&self) -> bool {
        now_ns() < self.valid_until_ns
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        pending().boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        // It deletes by owner only, and tells nobody what came of it.
        self.guard.release().map(|()| ReleaseOutcome::Clean).boxed()
    }
}
