//! A held lease.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::core::{Core, Subject};
use crate::dispatcher::Party;
use crate::error::{ReleaseError, ValidateError};
use crate::keeper::{Alarm, Sleeper};
use crate::observer::{LossReport, RenewalReport};
use crate::protocol::operation::{Reply, Request};
use crate::protocol::{Fence, Hold, HoldEvent, HoldParams, LossReason, Moment};
use crate::validation::validate;
use crate::{clock, lock};

/// A lease that is held, renewed in the background, and released when dropped.
///
/// It is valid until [`valid_until`](Self::valid_until), which renewals move on, or until [`lost`](Self::lost) resolves.
/// Pass [`fence`](Self::fence) along with every write to what it protects: only a resource that refuses smaller tokens is
/// safe from a holder that was stopped past its deadline and does not know it yet.
#[must_use = "a lease is released when it is dropped"]
pub struct Lease {
    held: Arc<Held>,
}

/// What the lease, its timers and the requests under way share.
pub(crate) struct Held {
    core: Arc<Core>,
    subject: Subject,
    progress: Mutex<Progress>,
    /// Told when the lease is over, and when its release is.
    over: Notify,
}

struct Progress {
    machine: Hold,
    alarm: Option<Alarm>,
    /// How the release ended: whether a majority confirmed it.
    released: Option<bool>,
}

impl Lease {
    pub(crate) fn hold(core: &Arc<Core>, subject: Subject, params: HoldParams) -> Self {
        let machine = Hold::new(params);
        let held = Arc::new(Held {
            core: Arc::clone(core),
            subject,
            progress: Mutex::new(Progress { machine, alarm: None, released: None }),
            over: Notify::new(),
        });
        held.drive(|_, _| {});
        Self { held }
    }

    /// The lease's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.held.subject.name.as_str()
    }

    /// The fencing token: larger than that of every lease handed out earlier on this name. Stays readable after loss.
    #[must_use]
    pub fn fence(&self) -> Fence {
        lock(&self.held.progress).machine.fence()
    }

    /// Until when the lease is held if no renewal succeeds, on this process's monotonic clock; in the past once that is.
    ///
    /// Counted from before the first request of the newest successful round, less the clocks' drift. `Instant` stands still
    /// while a machine is suspended; [`is_valid`](Self::is_valid) and [`remaining`](Self::remaining) do not.
    #[must_use]
    pub fn valid_until(&self) -> Instant {
        let (now, deadline) = (clock::now(), lock(&self.held.progress).machine.deadline());
        let ahead = Duration::from_nanos(deadline.ns_since(now));
        let behind = Duration::from_nanos(now.ns_since(deadline));
        let instant = Instant::now() + ahead;
        instant.checked_sub(behind).unwrap_or(instant)
    }

    /// How long the lease is held if no renewal succeeds; zero once it is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let progress = lock(&self.held.progress);
        let left_ns = progress.machine.deadline().ns_since(clock::now());
        if progress.machine.loss().is_some() { Duration::ZERO } else { Duration::from_nanos(left_ns) }
    }

    /// Whether the lease is held now, as far as can be told without asking anybody. Once false, never true again.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.held.loss().is_none()
    }

    /// How many endpoints confirmed the lease in its newest successful round.
    #[must_use]
    pub fn votes(&self) -> u32 {
        lock(&self.held.progress).machine.voters().len()
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

    /// Resolves when the lease is over, with the reason: a few milliseconds before the deadline, by a local timer, even if
    /// no endpoint ever answers again. Never taken back.
    ///
    /// A process that was stopped or suspended learns it at its first poll.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static {
        let held = Arc::clone(&self.held);
        async move { held.until(|held| held.loss()).await }
    }

    /// Gives the lease back, and waits until a majority has confirmed. Dropping the future does not stop the release.
    ///
    /// # Errors
    /// [`ReleaseError`] when the lease was lost before, or when no majority confirmed in time. It is not held any more in
    /// either case.
    pub async fn release(self) -> Result<(), ReleaseError> {
        self.held.release();
        let name = || self.name().to_owned();
        match self.held.until(|held| held.release_outcome()).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let ttl = Duration::from_millis(self.held.subject.ttl_ms.into());
                Err(ReleaseError::Unconfirmed { name: name(), ttl })
            }
            Err(reason) => Err(ReleaseError::Lost { name: name(), reason }),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held.release();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name())
            .field("fence", &self.fence().get())
            .field("remaining", &self.remaining())
            .field("votes", &self.votes())
            .finish_non_exhaustive()
    }
}

impl Held {
    /// Gives the machine an input, then does what it asks for.
    fn drive(self: &Arc<Self>, input: impl FnOnce(&mut Hold, Moment)) {
        let now = clock::now();
        let mut progress = lock(&self.progress);
        input(&mut progress.machine, now);
        let requests: Vec<Request> = std::iter::from_fn(|| progress.machine.poll_request()).collect();
        let events: Vec<HoldEvent> = std::iter::from_fn(|| progress.machine.poll_event()).collect();
        for event in &events {
            if let HoldEvent::Released { confirmed } = event {
                progress.released = Some(*confirmed);
            }
        }
        self.set_alarm(&mut progress);
        let deadline = progress.machine.deadline();
        drop(progress);
        self.core.send(self, &self.subject, requests);
        for event in events {
            self.tell(event, now, deadline);
        }
    }

    fn set_alarm(self: &Arc<Self>, progress: &mut Progress) {
        let wanted = progress.machine.poll_timeout();
        if wanted == progress.alarm.map(Alarm::at) {
            return;
        }
        let keeper = &self.core.keeper;
        if let Some(alarm) = progress.alarm.take() {
            keeper.cancel(alarm);
        }
        let weak = Arc::downgrade(self);
        let sleeper: Weak<dyn Sleeper> = weak;
        progress.alarm = wanted.map(|at| keeper.set(at, sleeper));
    }

    fn tell(&self, event: HoldEvent, now: Moment, deadline: Moment) {
        let name = || self.subject.name.to_string();
        let nanos = Duration::from_nanos;
        match event {
            HoldEvent::Renewed { t0, old_deadline } => self.core.observer.on_renewal(&RenewalReport {
                name: name(),
                succeeded: true,
                latency: nanos(now.ns_since(t0)),
                slack: nanos(old_deadline.ns_since(now)),
            }),
            HoldEvent::RenewalFailed { t0 } => self.core.observer.on_renewal(&RenewalReport {
                name: name(),
                succeeded: false,
                latency: nanos(now.ns_since(t0)),
                slack: nanos(deadline.ns_since(now)),
            }),
            HoldEvent::Lost(reason) => {
                self.over.notify_waiters();
                let after_deadline = nanos(now.ns_since(deadline));
                self.core.observer.on_loss(&LossReport { name: name(), reason, after_deadline });
            }
            HoldEvent::Released { .. } => self.over.notify_waiters(),
        }
    }

    fn release(self: &Arc<Self>) {
        self.drive(Hold::handle_release);
        self.over.notify_waiters();
    }

    /// Why the lease is over, if it is: a deadline that has passed unnoticed is noticed here.
    fn loss(self: &Arc<Self>) -> Option<LossReason> {
        let loss = |held: &Self| {
            let progress = lock(&held.progress);
            let unnoticed = progress.machine.loss().is_none() && !progress.machine.is_valid(clock::now());
            (progress.machine.loss(), unnoticed)
        };
        if let (None, true) = loss(self) {
            self.drive(Hold::handle_timeout);
        }
        loss(self).0
    }

    /// How the release ended, or why there was none to make; `None` while it is under way.
    fn release_outcome(self: &Arc<Self>) -> Option<Result<bool, LossReason>> {
        let progress = lock(&self.progress);
        match (progress.released, progress.machine.loss()) {
            (Some(confirmed), _) => Some(Ok(confirmed)),
            (None, Some(LossReason::Released)) => None,
            (None, lost) => lost.map(Err),
        }
    }

    /// Waits until `look` sees something.
    async fn until<T>(self: &Arc<Self>, look: impl Fn(&Arc<Self>) -> Option<T>) -> T {
        loop {
            let mut told = std::pin::pin!(self.over.notified());
            told.as_mut().enable();
            if let Some(seen) = look(self) {
                return seen;
            }
            told.await;
        }
    }
}

impl Party for Held {
    fn wants(&self, request: &Request) -> bool {
        lock(&self.progress).machine.wants(request)
    }

    fn deliver(self: Arc<Self>, request: &Request, reply: Reply) {
        let Request { endpoint, round, .. } = *request;
        self.drive(|machine, now| machine.handle_reply(now, endpoint, round, &reply));
    }
}

impl Sleeper for Held {
    fn wake(self: Arc<Self>) {
        lock(&self.progress).alarm = None;
        self.drive(Hold::handle_timeout);
    }
}
