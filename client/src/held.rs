//! A held lease between its holder, its timers and the requests under way.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::core::{Core, Subject};
use crate::dispatcher::Party;
use crate::keeper::{Alarm, Sleeper};
use crate::observer::{LossReport, RenewalReport};
use crate::protocol::limiter::Ticket;
use crate::protocol::operation::{Reply, Request};
use crate::protocol::{Hold, HoldEvent, HoldParams, LossReason, Moment};
use crate::sync::{Mutex, Notify, OnceLock, lock};
use crate::ttl::Ttl;

/// What the lease, its handles, its timers and its requests share.
pub(crate) struct Held {
    pub(crate) core: Arc<Core>,
    pub(crate) subject: Subject,
    ttl: Ttl,
    /// Where the keeper knows it.
    place: u64,
    progress: Mutex<Progress>,
    /// Told of every event.
    changed: Notify,
    /// Made when somebody asks for it.
    cancelled: OnceLock<CancellationToken>,
}

/// What changes, under one lock.
pub(crate) struct Progress {
    pub(crate) machine: Hold,
    alarm: Option<Alarm>,
    ticket: Option<Ticket>,
    /// The TTL at whose pace the limiter expects renewals, while it does.
    pace_ms: Option<u32>,
    /// Whether the holder has been warned since the last renewal.
    warned: bool,
    /// When the newest round began that carried, and the newest that failed.
    carried: Option<Moment>,
    failed: Option<Moment>,
    /// How the release ended: whether a majority confirmed it.
    released: Option<bool>,
}

impl Held {
    /// A lease that was won by a clock that had been found off so many times when that began.
    pub(crate) fn new(
        core: &Arc<Core>,
        subject: Subject,
        ttl: Ttl,
        params: HoldParams,
        doubts: u64,
    ) -> Arc<Self> {
        let pace_ms = Some(params.ttl_ms);
        core.keeper.pace(None, pace_ms);
        core.enter();
        let progress = Progress {
            machine: Hold::new(params),
            alarm: None,
            ticket: None,
            pace_ms,
            warned: false,
            carried: None,
            failed: None,
            released: None,
        };
        let held = Arc::new(Self {
            core: Arc::clone(core),
            subject,
            ttl,
            place: core.keeper.place(),
            progress: Mutex::new(progress),
            changed: Notify::new(),
            cancelled: OnceLock::new(),
        });
        let doubts_now = core.keeper.enter(held.place, held.as_sleeper());
        held.drive(|machine, _| {
            // The clock by which it was won was found off before there was a lease to end.
            if doubts_now != doubts {
                machine.handle_distrust();
            }
        });
        held
    }

    /// Looks at the machine.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Hold) -> T) -> T {
        look(&lock(&self.progress).machine)
    }

    /// Cancelled when the lease is over.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        let token = self.cancelled.get_or_init(CancellationToken::new);
        // Whoever ends the lease does so before looking for a token: one of the two sees the other.
        if self.look(Hold::loss).is_some() {
            token.cancel();
        }
        token
    }

    fn cancel(&self) {
        if let Some(token) = self.cancelled.get() {
            token.cancel();
        }
    }

    /// Gives the machine an input, then does what it asks for.
    fn drive(self: &Arc<Self>, input: impl FnOnce(&mut Hold, Moment)) {
        let now = self.core.clock.now();
        let mut progress = lock(&self.progress);
        input(&mut progress.machine, now);
        let requests: Vec<Request> = std::iter::from_fn(|| progress.machine.poll_request()).collect();
        let events: Vec<HoldEvent> = std::iter::from_fn(|| progress.machine.poll_event()).collect();
        for event in &events {
            self.note(&mut progress, event);
        }
        let left = self.keep_up(&mut progress);
        let deadline = progress.machine.deadline();
        drop(progress);
        self.core.send(self, &self.subject, requests);
        if left {
            self.core.leave();
        }
        if !events.is_empty() {
            self.changed.notify_waiters();
        }
        for event in events {
            self.tell(event, now, deadline);
        }
    }

    /// Remembers what waiters ask about.
    fn note(self: &Arc<Self>, progress: &mut Progress, event: &HoldEvent) {
        match *event {
            HoldEvent::RenewalDue { deadline, urgent_at } => {
                progress.ticket = Some(self.core.keeper.queue(deadline, urgent_at, self.as_sleeper()));
            }
            HoldEvent::Renewed { t0, .. } => {
                progress.carried = Some(t0);
                progress.warned = false;
            }
            HoldEvent::RenewalFailed { t0 } => progress.failed = Some(t0),
            HoldEvent::ExpiringSoon => progress.warned = true,
            HoldEvent::Released { confirmed } => progress.released = Some(confirmed),
            HoldEvent::Lost(_) => {}
        }
    }

    /// Sets the alarm that the machine wants. Once the lease is over, takes it out of the limiter; says so the first time.
    fn keep_up(self: &Arc<Self>, progress: &mut Progress) -> bool {
        let keeper = &self.core.keeper;
        let wanted = progress.machine.poll_timeout();
        if wanted != progress.alarm.map(Alarm::at) {
            if let Some(alarm) = progress.alarm.take() {
                keeper.cancel(alarm);
            }
            progress.alarm = wanted.map(|at| keeper.set(at, self.as_sleeper()));
        }
        if progress.machine.loss().is_none() {
            return false;
        }
        if let Some(ticket) = progress.ticket.take() {
            keeper.unqueue(ticket);
        }
        let first = progress.pace_ms.is_some();
        if first {
            keeper.pace(progress.pace_ms.take(), None);
            keeper.leave(self.place);
        }
        first
    }

    fn as_sleeper(self: &Arc<Self>) -> Weak<dyn Sleeper> {
        let weak: Weak<Self> = Arc::downgrade(self);
        weak
    }

    fn tell(&self, event: HoldEvent, now: Moment, deadline: Moment) {
        let name = || self.subject.name.to_string();
        let nanos = Duration::from_nanos;
        match event {
            HoldEvent::Renewed { t0, old_deadline, shadow } => {
                self.core.rounds.record(now.ns_since(t0));
                self.core.observer.on_renewal(&RenewalReport {
                    name: name(),
                    succeeded: true,
                    shadow,
                    latency: nanos(now.ns_since(t0)),
                    slack: nanos(old_deadline.ns_since(now)),
                });
            }
            HoldEvent::RenewalFailed { t0 } => {
                self.core.rounds.record(now.ns_since(t0));
                self.core.observer.on_renewal(&RenewalReport {
                    name: name(),
                    succeeded: false,
                    shadow: false,
                    latency: nanos(now.ns_since(t0)),
                    slack: nanos(deadline.ns_since(now)),
                });
            }
            HoldEvent::Lost(reason) => {
                self.cancel();
                let after_deadline = nanos(now.ns_since(deadline));
                self.core.observer.on_loss(&LossReport { name: name(), reason, after_deadline });
            }
            HoldEvent::RenewalDue { .. } | HoldEvent::ExpiringSoon | HoldEvent::Released { .. } => {}
        }
    }

    /// Begins to give the lease back, unless it is over already.
    pub(crate) fn release(self: &Arc<Self>) {
        self.drive(Hold::handle_release);
        self.cancel();
        self.changed.notify_waiters();
    }

    /// Begins a renewal now. Gives when it began.
    pub(crate) fn renew(self: &Arc<Self>) -> Moment {
        let mut began = Moment::default();
        let ttl_ms = self.pace();
        let round_ns = self.core.rounds.p99_ns().unwrap_or_default();
        self.drive(|machine, now| {
            began = now;
            machine.handle_admission(now, ttl_ms, round_ns);
        });
        began
    }

    /// Takes note of progress in the holder's work.
    pub(crate) fn worked(self: &Arc<Self>) {
        self.drive(|machine, _| machine.handle_work());
    }

    /// How a renewal that began at `t0` ended: whether it, or a later one, carried. `None` while it is under way.
    pub(crate) fn renewal_outcome(self: &Arc<Self>, t0: Moment) -> Option<Result<bool, LossReason>> {
        if let Some(reason) = self.loss() {
            return Some(Err(reason));
        }
        let progress = lock(&self.progress);
        let at_least = |moment: Option<Moment>| moment.is_some_and(|moment| moment >= t0);
        if at_least(progress.carried) {
            Some(Ok(true))
        } else {
            at_least(progress.failed).then_some(Ok(false))
        }
    }

    /// Why the lease is over, if it is: a deadline that has passed unnoticed is noticed here.
    pub(crate) fn loss(self: &Arc<Self>) -> Option<LossReason> {
        let now = self.core.clock.now();
        let (loss, valid) = self.look(|machine| (machine.loss(), machine.is_valid(now)));
        if loss.is_some() || valid {
            return loss;
        }
        self.drive(Hold::handle_timeout);
        self.look(Hold::loss)
    }

    /// Whether the deadline is near with no renewal, or the lease over.
    pub(crate) fn expires_soon(self: &Arc<Self>) -> Option<()> {
        let over = self.loss().is_some();
        (over || lock(&self.progress).warned).then_some(())
    }

    /// How the release ended, or why there was none to make; `None` while it is under way.
    pub(crate) fn release_outcome(self: &Arc<Self>) -> Option<Result<bool, LossReason>> {
        let progress = lock(&self.progress);
        match (progress.released, progress.machine.loss()) {
            (Some(confirmed), _) => Some(Ok(confirmed)),
            (None, Some(LossReason::Released)) => None,
            (None, lost) => lost.map(Err),
        }
    }

    /// Waits until `look` sees something, and sees to what becomes due meanwhile: the client's own timer may be late, or gone
    /// with its runtime.
    pub(crate) async fn until<T>(self: &Arc<Self>, look: impl Fn(&Arc<Self>) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(seen) = look(self) {
                return seen;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = self.core.clock.sleep_until(self.look(Hold::end)) => self.drive(Hold::handle_timeout),
            }
        }
    }

    /// The TTL for the next round; the limiter is told to expect its pace.
    fn pace(&self) -> u32 {
        let ttl_ms = self.ttl.ms(&self.core.rounds);
        let mut progress = lock(&self.progress);
        if let Some(old_ms) = progress.pace_ms.filter(|&old_ms| old_ms != ttl_ms) {
            self.core.keeper.pace(Some(old_ms), Some(ttl_ms));
            progress.pace_ms = Some(ttl_ms);
        }
        ttl_ms
    }
}

impl Party for Held {
    fn wants(&self, request: &Request) -> bool {
        self.look(|machine| machine.wants(request))
    }

    fn deliver(self: Arc<Self>, request: &Request, reply: Reply) {
        let Request { endpoint, round, .. } = *request;
        self.drive(|machine, now| machine.handle_reply(now, endpoint, round, &reply));
    }
}

impl Sleeper for Held {
    fn wake(self: Arc<Self>, alarm: Alarm) {
        // Another may have been set since this one rang: forgotten, it would ring on beside the next for ever.
        lock(&self.progress).alarm.take_if(|current| *current == alarm);
        self.drive(Hold::handle_timeout);
    }

    fn admit(self: Arc<Self>) {
        lock(&self.progress).ticket = None;
        self.renew();
    }

    fn distrust_clock(self: Arc<Self>) {
        self.drive(|machine, _| machine.handle_distrust());
    }

    fn give_up(self: Arc<Self>) -> Option<String> {
        let held = self.look(Hold::loss).is_none();
        self.release();
        held.then(|| self.subject.name.to_string())
    }
}
