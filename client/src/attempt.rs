//! Runs one attempt to acquire: the machine of the protocol between a caller's future, the queues, and word of hand-overs.

use std::sync::Arc;
use std::time::Duration;

use crate::core::{Core, Subject};
use crate::dispatcher::Party;
use crate::lease::Lease;
use crate::observer::{AttemptOutcome, AttemptReport};
use crate::protocol::operation::{HandOver, Reply, Request};
use crate::protocol::validity::request_timeout_ms;
use crate::protocol::{
    Attempt, AttemptFailure, AttemptParams, EndpointId, EndpointSet, Grant, HoldParams, LeaseName, Moment,
    OwnerId, Renewal,
};
use crate::sync::{Mutex, Notify, lock, time};
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

/// How far an attempt has come.
pub(crate) enum Settled {
    /// It won.
    Won(Lease),
    /// It is in line, and may be given the lock.
    InLine,
    /// It is over.
    Failed(Failed),
}

/// One attempt, under way or in line. Dropping it leaves nothing behind: what it may have taken is undone by the client's own
/// tasks.
pub(crate) struct Pursuit {
    run: Arc<Run>,
    over: bool,
}

impl Pursuit {
    /// Asks all endpoints.
    pub(crate) fn start(core: &Arc<Core>, name: &LeaseName, terms: Terms, ask: Ask) -> Self {
        Self { run: Run::start(core, name, terms, ask), over: false }
    }

    /// Asks them again, as the same owner.
    pub(crate) fn refresh(&self, proposal: u64) {
        self.run.report(Some(AttemptFailure::Held { left_ms: 0 }));
        self.run.drive(|progress| {
            let now = self.run.core.clock.now();
            (progress.asked, progress.first_reply, progress.last_reply) = (now, None, now);
            progress.machine.handle_refresh(now, proposal);
        });
    }

    /// Nobody waits any longer.
    pub(crate) fn end_wait(&self) {
        self.run.drive(|progress| progress.machine.handle_end_of_wait());
    }

    /// Waits until it is over, or in line.
    pub(crate) async fn settle(&mut self) -> Settled {
        // Boxed: whoever waits its turn in line would keep room for its timer.
        let Some(outcome) = Box::pin(self.run.outcome()).await else {
            return Settled::InLine;
        };
        self.run.report(outcome.as_ref().err().copied());
        self.over = true;
        match outcome {
            Ok(grant) => Settled::Won(self.run.hold(grant)),
            Err(failure) => Settled::Failed(Failed { failure, replies: self.replies() }),
        }
    }

    /// What each endpoint said.
    pub(crate) fn replies(&self) -> Vec<Option<Reply>> {
        lock(&self.run.progress).machine.replies().to_vec()
    }

    /// The TTL that is asked for.
    pub(crate) fn ttl_ms(&self) -> u32 {
        self.run.subject.ttl_ms
    }

    /// Whether it has been decided.
    pub(crate) fn is_decided(&self) -> bool {
        !lock(&self.run.progress).machine.is_in_line()
    }

    /// Waits until something was decided since the last time.
    pub(crate) async fn decided(&self) {
        self.run.decided.notified().await;
    }
}

impl Drop for Pursuit {
    fn drop(&mut self) {
        self.run.core.lines.forget(self.run.subject.owner);
        if self.over {
            return;
        }
        let mut cancelled = false;
        self.run.drive(|progress| {
            cancelled = !matches!(progress.machine.outcome(), Some(Err(_)));
            progress.machine.handle_cancel();
        });
        if cancelled {
            self.run.report(Some(AttemptFailure::Cancelled));
        }
    }
}

/// The machine of an attempt, and who waits for it.
pub(crate) struct Run {
    core: Arc<Core>,
    subject: Subject,
    /// How often the clock had been found off when it began.
    doubts: u64,
    terms: Terms,
    progress: Mutex<Progress>,
    decided: Notify,
}

struct Progress {
    machine: Attempt,
    /// When endpoints were last asked.
    asked: Moment,
    first_reply: Option<Moment>,
    last_reply: Moment,
}

impl Run {
    fn start(core: &Arc<Core>, name: &LeaseName, terms: Terms, ask: Ask) -> Arc<Self> {
        let ttl_ms = terms.ttl.ms(&core.rounds);
        let owner = OwnerId::of(core.client, core.chance.bits());
        let timeout_ms = request_timeout_ms(core.limits.request_timeout_ms, ttl_ms);
        let doubts = core.keeper.doubts();
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
            Some(ticket) => Attempt::waiting(params, ticket, core.lines.heard()),
            None => Attempt::new(params),
        };
        let run = Arc::new(Self {
            core: Arc::clone(core),
            subject: Subject { name: name.clone(), owner, ttl_ms, timeout_ms },
            doubts,
            terms,
            progress: Mutex::new(Progress { machine, asked: t0, first_reply: None, last_reply: t0 }),
            decided: Notify::new(),
        });
        if ask.ticket.is_some() {
            // Before the first request: word of a hand-over may come before the answer.
            core.lines.remember(owner, &run);
        }
        run.drive(|_| {});
        run
    }

    /// An endpoint that was admitted with this record gave it the lock.
    pub(crate) fn handed_over(self: &Arc<Self>, endpoint: EndpointId, word: &HandOver) {
        self.input(|progress, now| {
            if progress.machine.outcome().is_none() {
                progress.last_reply = now;
            }
            progress.machine.handle_hand_over(now, endpoint, word.proposal, word.fence);
        });
    }

    /// These endpoints are heard from here on.
    pub(crate) fn heard(self: &Arc<Self>, heard: EndpointSet) {
        self.input(|progress, now| progress.machine.handle_heard(now, heard));
    }

    /// Gives the machine an input, and wakes whoever waits for it if there is something to see.
    fn input(self: &Arc<Self>, input: impl FnOnce(&mut Progress, Moment)) {
        if self.drive(|progress| input(progress, self.core.clock.now())) {
            self.decided.notify_one();
        }
    }

    /// Gives the machine an input and sends what it asks for. Says whether it is decided, or in line.
    fn drive(self: &Arc<Self>, input: impl FnOnce(&mut Progress)) -> bool {
        let mut progress = lock(&self.progress);
        input(&mut progress);
        let requests: Vec<Request> = std::iter::from_fn(|| progress.machine.poll_request()).collect();
        let decided = progress.machine.outcome().is_some() || progress.machine.is_in_line();
        drop(progress);
        self.core.send(self, &self.subject, requests);
        decided
    }

    /// Waits for its outcome; `None` if it is in line.
    async fn outcome(self: &Arc<Self>) -> Option<Result<Grant, AttemptFailure>> {
        loop {
            if self.drive(|progress| progress.machine.handle_hand_out(self.core.clock.now())) {
                return lock(&self.progress).machine.outcome();
            }
            let timeout = lock(&self.progress).machine.poll_timeout();
            let pause = Duration::from_nanos(timeout.map_or(0, |at| at.ns_since(self.core.clock.now())));
            if time::timeout(pause, self.decided.notified()).await.is_err() {
                self.drive(|progress| progress.machine.handle_timeout(self.core.clock.now()));
            }
        }
    }

    fn report(&self, failure: Option<AttemptFailure>) {
        let (asked, first, last, given) = {
            let progress = lock(&self.progress);
            (progress.asked, progress.first_reply, progress.last_reply, progress.machine.was_handed_over())
        };
        let took_ns = self.core.clock.now().ns_since(asked);
        // A round that found the lock held, or was given up by its caller, says nothing about a majority's pace; nor does a wait.
        if !given
            && matches!(failure, None | Some(AttemptFailure::NoQuorum | AttemptFailure::ValidityExhausted))
        {
            self.core.rounds.record(if failure.is_none() { last.ns_since(asked) } else { took_ns });
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

    fn hold(&self, grant: Grant) -> Lease {
        let terms = self.terms;
        let hold_max = terms.hold_max.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let t0 = lock(&self.progress).machine.t0();
        let params = HoldParams {
            quorum: self.core.quorum,
            grant,
            ttl_ms: self.subject.ttl_ms,
            ttl_ms_max: self.core.limits.ttl_ms_max,
            t0,
            patience_ms: self.subject.timeout_ms,
            round_ns: self.core.rounds.p99_ns().unwrap_or_default(),
            renewal: terms.renewal,
            renew_until: hold_max.map(|ns| t0.plus_ns(ns)),
            jitter_seed: self.core.chance.bits(),
        };
        Lease::hold(&self.core, self.subject.clone(), terms.ttl, params, self.doubts)
    }
}

impl Party for Run {
    fn wants(&self, request: &Request) -> bool {
        lock(&self.progress).machine.wants(request)
    }

    fn deliver(self: Arc<Self>, request: &Request, reply: Reply) {
        let Request { endpoint, round, .. } = *request;
        let answered = !matches!(reply, Reply::NotSent(_));
        self.input(|progress, now| {
            if progress.machine.outcome().is_none() && answered {
                progress.first_reply.get_or_insert(now);
                progress.last_reply = now;
            }
            progress.machine.handle_reply(now, endpoint, round, reply);
        });
    }
}
