//! Runs one attempt to acquire: the machine of the protocol between a caller's future and the queues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::core::{Core, Subject};
use crate::dispatcher::Party;
use crate::lease::Lease;
use crate::lock;
use crate::observer::{AttemptOutcome, AttemptReport};
use crate::protocol::operation::{Reply, Request};
use crate::protocol::validity::request_timeout_ms;
use crate::protocol::{
    Attempt, AttemptFailure, AttemptParams, Grant, HoldParams, LeaseName, Moment, OwnerId, Renewal,
};
use crate::ttl::Ttl;

/// On what terms a lease is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) ttl: Ttl,
    pub(crate) renewal: Renewal,
    /// For how long it is renewed at most.
    pub(crate) hold_max: Option<Duration>,
}

/// What one attempt brings along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// What endpoints take as the token if they can: larger than that of every attempt before.
    pub(crate) proposal: u64,
    /// The place in line that it wants where the lock is held, if it wants one.
    pub(crate) ticket: Option<u64>,
}

/// Why an attempt failed, and what each endpoint said.
pub(crate) struct Failed {
    pub(crate) failure: AttemptFailure,
    pub(crate) replies: Vec<Option<Reply>>,
}

/// Makes one attempt. A future that is dropped half-way leaves nothing behind: what it may have taken is undone by the
/// client's own tasks.
pub(crate) async fn attempt(
    core: &Arc<Core>,
    name: &LeaseName,
    terms: Terms,
    ask: Ask,
) -> Result<Lease, Failed> {
    let run = Run::start(core, name, terms.ttl.ms(&core.rounds), ask);
    let undo = UndoOnDrop(&run);
    // Boxed: whoever waits its turn in line would keep room for its timer.
    let outcome = Box::pin(run.outcome()).await;
    run.report(outcome.as_ref().err().copied());
    match outcome {
        Ok(grant) => {
            undo.disarm();
            Ok(run.hold(grant, terms))
        }
        Err(failure) => Err(Failed { failure, replies: lock(&run.progress).machine.replies().to_vec() }),
    }
}

struct Run {
    core: Arc<Core>,
    subject: Subject,
    t0: Moment,
    progress: Mutex<Progress>,
    decided: Notify,
}

struct Progress {
    machine: Attempt,
    first_reply: Option<Moment>,
    last_reply: Moment,
}

impl Run {
    fn start(core: &Arc<Core>, name: &LeaseName, ttl_ms: u32, ask: Ask) -> Arc<Self> {
        let owner = OwnerId::of(core.client, core.chance.bits());
        let timeout_ms = request_timeout_ms(core.limits.request_timeout_ms, ttl_ms);
        let t0 = core.clock.now();
        let params = AttemptParams {
            quorum: core.quorum,
            owner,
            ttl_ms,
            proposal: ask.proposal,
            t0,
            // One batch may be in flight before ours.
            patience_ms: timeout_ms.saturating_mul(2),
        };
        let machine = match ask.ticket {
            Some(ticket) => Attempt::waiting(params, ticket),
            None => Attempt::new(params),
        };
        let run = Arc::new(Self {
            core: Arc::clone(core),
            subject: Subject { name: name.clone(), owner, ttl_ms, timeout_ms },
            t0,
            progress: Mutex::new(Progress { machine, first_reply: None, last_reply: t0 }),
            decided: Notify::new(),
        });
        run.drive(|_| {});
        run
    }

    /// Gives the machine an input and sends what it asks for. Says whether it is decided.
    fn drive(self: &Arc<Self>, input: impl FnOnce(&mut Progress)) -> bool {
        let mut progress = lock(&self.progress);
        input(&mut progress);
        let requests: Vec<Request> = std::iter::from_fn(|| progress.machine.poll_request()).collect();
        let decided = progress.machine.outcome().is_some();
        drop(progress);
        self.core.send(self, &self.subject, requests);
        decided
    }

    async fn outcome(self: &Arc<Self>) -> Result<Grant, AttemptFailure> {
        loop {
            if self.drive(|progress| progress.machine.handle_hand_out(self.core.clock.now()))
                && let Some(outcome) = lock(&self.progress).machine.outcome()
            {
                return outcome;
            }
            let timeout = lock(&self.progress).machine.poll_timeout();
            let pause = Duration::from_nanos(timeout.map_or(0, |at| at.ns_since(self.core.clock.now())));
            if tokio::time::timeout(pause, self.decided.notified()).await.is_err() {
                self.drive(|progress| progress.machine.handle_timeout(self.core.clock.now()));
            }
        }
    }

    fn report(&self, failure: Option<AttemptFailure>) {
        let (first, last) = {
            let progress = lock(&self.progress);
            (progress.first_reply, progress.last_reply)
        };
        let took_ns = self.core.clock.now().ns_since(self.t0);
        // A round that found the lock held, or was given up by its caller, says nothing about a majority's pace.
        if matches!(failure, None | Some(AttemptFailure::NoQuorum | AttemptFailure::ValidityExhausted)) {
            self.core.rounds.record(if failure.is_none() { last.ns_since(self.t0) } else { took_ns });
        }
        self.core.observer.on_attempt(&AttemptReport {
            name: self.subject.name.to_string(),
            outcome: match failure {
                None => AttemptOutcome::Won,
                Some(AttemptFailure::Held { .. }) => AttemptOutcome::Held,
                Some(AttemptFailure::NotALock) => AttemptOutcome::NotALock,
                Some(AttemptFailure::NoQuorum) => AttemptOutcome::NoQuorum,
                Some(AttemptFailure::ValidityExhausted) => AttemptOutcome::ValidityExhausted,
                Some(AttemptFailure::Cancelled) => AttemptOutcome::Cancelled,
            },
            latency: Duration::from_nanos(took_ns),
            first_to_deciding: first.map(|first| Duration::from_nanos(last.ns_since(first))),
        });
    }

    fn hold(&self, grant: Grant, terms: Terms) -> Lease {
        let hold_max = terms.hold_max.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let params = HoldParams {
            quorum: self.core.quorum,
            grant,
            ttl_ms: self.subject.ttl_ms,
            ttl_ms_max: self.core.limits.ttl_ms_max,
            t0: self.t0,
            patience_ms: self.subject.timeout_ms,
            round_ns: self.core.rounds.p99_ns().unwrap_or_default(),
            renewal: terms.renewal,
            renew_until: hold_max.map(|ns| self.t0.plus_ns(ns)),
            jitter_seed: self.core.chance.bits(),
        };
        Lease::hold(&self.core, self.subject.clone(), terms.ttl, params)
    }
}

impl Party for Run {
    fn wants(&self, request: &Request) -> bool {
        lock(&self.progress).machine.wants(request)
    }

    fn deliver(self: Arc<Self>, request: &Request, reply: Reply) {
        let Request { endpoint, round, .. } = *request;
        let answered = !matches!(reply, Reply::NotSent(_));
        let decided = self.drive(|progress| {
            let now = self.core.clock.now();
            if progress.machine.outcome().is_none() && answered {
                progress.first_reply.get_or_insert(now);
                progress.last_reply = now;
            }
            progress.machine.handle_reply(now, endpoint, round, reply);
        });
        if decided {
            self.decided.notify_one();
        }
    }
}

/// Undoes an attempt whose caller has gone.
struct UndoOnDrop<'a>(&'a Arc<Run>);

impl UndoOnDrop<'_> {
    /// The caller took the lease.
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for UndoOnDrop<'_> {
    fn drop(&mut self) {
        let mut cancelled = false;
        self.0.drive(|progress| {
            cancelled = !matches!(progress.machine.outcome(), Some(Err(_)));
            progress.machine.handle_cancel();
        });
        if cancelled {
            self.0.report(Some(AttemptFailure::Cancelled));
        }
    }
}
