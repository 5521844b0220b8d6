//! The task that empties one endpoint's queue: it admits the endpoint, sends one batch at a time, and hands out the
//! answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::config::Limits;
use crate::dispatcher::{Dispatcher, Entry};
use crate::endpoint::{Admission, CallError, Connection, Endpoint};
use crate::keeper::{Keeper, Sleeper};
use crate::peers::{Clocks, Peers};
use crate::protocol::clock_watch::{ClockWatch, Pace};
use crate::protocol::operation::{Operation, Reply};
use crate::protocol::validity::QUARANTINE_MS;
use crate::protocol::wire::{AdmitReply, BATCH_LEN_MAX, BatchReply};
use crate::protocol::{Moment, Quorum};
use crate::status::{EndpointState, Standing};

/// Between attempts to admit an endpoint.
const ADMIT_RETRY_MS: u64 = 250;
/// Between attempts to use a connection that is said to be down.
const DOWN_RETRY_MS: u64 = 1_000;
/// How often one batch may find the endpoint changed under it before it is given up.
const ADMISSIONS_PER_BATCH: u32 = 2;

/// One endpoint's courier. Runs until its queue is closed and empty.
pub(crate) struct Courier {
    dispatcher: Arc<Dispatcher>,
    endpoint: Arc<dyn Endpoint>,
    peers: Arc<Peers>,
    limits: Limits,
    keeper: Arc<Keeper>,
    quorum: Quorum,
    standing: watch::Sender<Standing>,
    connection: watch::Receiver<Connection>,
    watch: ClockWatch,
    /// Alarms about clocks, and the newest that was followed.
    clocks: watch::Receiver<Clocks>,
    alarm: u64,
    /// The connection in use.
    epoch: Option<u64>,
    /// How the endpoint was admitted on this connection.
    membership: Option<Membership>,
    /// Not before this moment is a failed admission tried again.
    admit_at: Moment,
    /// Not before this moment is a connection used that is said to be down.
    probe_at: Moment,
}

struct Membership {
    /// The record that every batch names.
    member: Arc<str>,
    quarantined_until: Moment,
}

impl Courier {
    pub(crate) fn new(
        dispatcher: Arc<Dispatcher>,
        endpoint: Arc<dyn Endpoint>,
        peers: Arc<Peers>,
        limits: Limits,
        keeper: Arc<Keeper>,
        quorum: Quorum,
    ) -> (Self, watch::Receiver<Standing>) {
        let (standing, receiver) = watch::channel(Standing::Connecting);
        let connection = endpoint.connection();
        let clocks = peers.clocks();
        let courier = Self {
            dispatcher,
            endpoint,
            peers,
            limits,
            keeper,
            quorum,
            standing,
            connection,
            watch: ClockWatch::default(),
            clocks,
            alarm: 0,
            epoch: None,
            membership: None,
            admit_at: Moment::default(),
            probe_at: clock::now().plus_ms(DOWN_RETRY_MS),
        };
        (courier, receiver)
    }

    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_LEN_MAX);
        while self.dispatcher.collect(&mut batch).is_some() {
            if batch.is_empty() {
                self.idle().await;
                continue;
            }
            let outcome = self.send(&mut batch).await;
            let entries = batch.drain(..);
            match outcome {
                Ok(replies) => {
                    entries.zip(replies).for_each(|(entry, reply)| self.dispatcher.deliver(entry, reply));
                }
                Err(reply) => entries.for_each(|entry| self.dispatcher.deliver(entry, reply.clone())),
            }
        }
        self.peers.leave(self.dispatcher.id());
    }

    /// Waits for work. Meanwhile the endpoint is admitted anew on each new connection, so that a quarantine begins with
    /// the restart that calls for it and not with the first request after it.
    async fn idle(&mut self) {
        if self.usable() && self.admit().await.is_ok() {
            let alarm = tokio::select! {
                () = self.dispatcher.filled() => false,
                _ = self.connection.changed() => false,
                _ = self.clocks.wait_for(|clocks| clocks.alarm != self.alarm) => true,
            };
            if alarm {
                self.alarm = self.clocks.borrow().alarm;
                self.look_at_clock().await;
            }
            return;
        }
        tokio::select! {
            () = self.dispatcher.filled() => {}
            _ = self.connection.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(ADMIT_RETRY_MS)) => {}
        }
    }

    /// Sends a batch, admitting the endpoint first where it must be. `Err` is the answer to every request of it.
    async fn send(&mut self, batch: &mut Vec<Entry>) -> Result<Vec<Reply>, Reply> {
        if !self.usable() {
            return Err(self.down());
        }
        let mut not_admitted = Reply::NotSent("not admitted".into());
        for _ in 0..ADMISSIONS_PER_BATCH {
            let member = self.admit().await?;
            // Admission takes time: some rounds may have been decided without this endpoint.
            self.dispatcher.drop_unwanted(batch);
            let operations: Vec<Operation> = batch.iter().map(|entry| entry.operation.clone()).collect();
            let Some(timeout_ms) = batch.iter().map(|entry| entry.timeout_ms).min() else {
                return Ok(Vec::new());
            };
            match self.run_timed(&member, &operations, timeout_ms).await {
                Ok(BatchReply::Done { replies, .. }) => {
                    self.record_membership();
                    return Ok(replies);
                }
                Ok(BatchReply::NotAdmitted(reason)) => {
                    self.forget();
                    not_admitted = Reply::Refused(reason);
                }
                Err(CallError::NoScript) => self.forget(),
                Err(error) => {
                    self.record(self.unreachable(&error.reason()));
                    return Err(error.reply());
                }
            }
        }
        Err(not_admitted)
    }

    /// Runs a batch and looks at the clock in its reply. Votes given by a clock that is off do not count.
    async fn run_timed(
        &mut self,
        member: &str,
        operations: &[Operation],
        timeout_ms: u32,
    ) -> Result<BatchReply, CallError> {
        let sent = clock::now();
        let reply = self.endpoint.run(member, operations, timeout_ms).await?;
        let BatchReply::Done { server_time_us, replies } = reply else {
            return Ok(reply);
        };
        let pace = self.watch.handle_sample(sent, clock::now(), server_time_us);
        self.peers.clock_seen(self.dispatcher.id(), pace != Pace::Steady);
        let Pace::Off { by_us } = pace else {
            return Ok(BatchReply::Done { server_time_us, replies });
        };
        self.distrust(by_us).await;
        let uncounted = |reply| match reply {
            Reply::Granted { .. } => Reply::Quarantined { left_ms: QUARANTINE_MS.into() },
            other => other,
        };
        Ok(BatchReply::Done { server_time_us, replies: replies.into_iter().map(uncounted).collect() })
    }

    /// A clock is off: the endpoint's, or this client's own if too many seem to be. The endpoint is quarantined for all
    /// clients; with its own clock off, a client ends its leases and writes nothing.
    async fn distrust(&mut self, by_us: i64) {
        let label = self.endpoint.label();
        let mut clocks = self.peers.clocks();
        let verdict = clocks.wait_for(|clocks| clocks.own_is_off(self.quorum).is_some());
        let patience = Duration::from_millis(self.limits.request_timeout_ms.into());
        let own = match tokio::time::timeout(patience, verdict).await {
            Ok(Ok(clocks)) => clocks.own_is_off(self.quorum) == Some(true),
            // Whoever does not answer accuses nobody.
            _ => false,
        };
        if own {
            tracing::error!("this machine's clock stood still or jumped: its leases end");
            self.keeper.sleepers().into_iter().for_each(Sleeper::distrust_clock);
            return;
        }
        tracing::warn!(
            endpoint = label,
            by_us,
            "the endpoint's clock ran or was stepped beyond the drift bound"
        );
        let set = self.peers.set();
        let timeout_ms = self.limits.request_timeout_ms;
        match self.endpoint.admit(Admission::Distrust, &set, timeout_ms).await {
            Ok(AdmitReply::Admitted { member, quarantined_ms, .. }) => {
                let quarantined_until = clock::now().plus_ms(quarantined_ms);
                self.membership = Some(Membership { member, quarantined_until });
            }
            // Not written down there: it is admitted anew, and looked at again, before its next vote.
            Ok(AdmitReply::Refused(reason)) => self.record(Standing::Refused(reason.to_string())),
            Err(error) => {
                self.record(self.unreachable(&error.reason()));
                self.forget();
            }
        }
    }

    /// Looks at the clock without another request to send: somebody else's is off.
    async fn look_at_clock(&mut self) {
        if let Some(Membership { member, .. }) = &self.membership {
            let member = Arc::clone(member);
            if let Err(error) = self.run_timed(&member, &[], self.limits.request_timeout_ms).await {
                self.record(self.unreachable(&error.reason()));
            }
        }
    }

    /// Notices a new connection, and says whether there is one to use. One that is said to be down is tried all the same
    /// from time to time: its word may be out of date.
    fn usable(&mut self) -> bool {
        let connection = self.connection.borrow_and_update().clone();
        let Connection::Up { epoch } = connection else {
            if let Connection::Down(reason) = connection {
                self.record(Standing::Unreachable(reason.to_string()));
            }
            let now = clock::now();
            let due = self.probe_at <= now;
            if due {
                self.probe_at = now.plus_ms(DOWN_RETRY_MS);
            }
            return due;
        };
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.forget();
            self.watch.reset();
            self.admit_at = Moment::default();
        }
        true
    }

    /// The standing of an endpoint that gave no answer. What its connection went down with says more than the silence that
    /// follows.
    fn unreachable(&self, silence: &str) -> Standing {
        Standing::Unreachable(match &*self.connection.borrow() {
            Connection::Down(reason) => reason.to_string(),
            Connection::Connecting | Connection::Up { .. } => silence.to_owned(),
        })
    }

    fn down(&self) -> Reply {
        match &*self.connection.borrow() {
            Connection::Down(reason) => Reply::NotSent(Arc::clone(reason)),
            Connection::Connecting | Connection::Up { .. } => {
                Reply::NotSent("the connection is being set up".into())
            }
        }
    }

    fn forget(&mut self) {
        self.membership = None;
        self.peers.leave(self.dispatcher.id());
    }

    /// The record under which the endpoint is admitted; `Err` is the answer to every request if it is not.
    async fn admit(&mut self) -> Result<Arc<str>, Reply> {
        if let Some(Membership { member, .. }) = &self.membership {
            return Ok(Arc::clone(member));
        }
        if clock::now() < self.admit_at {
            let reason = self.standing.borrow().state().to_string();
            return Err(Reply::NotSent(reason.into()));
        }
        let set = self.peers.set();
        let answer = self.endpoint.admit(Admission::Member, &set, self.limits.request_timeout_ms).await;
        let (standing, reply) = match answer {
            Ok(AdmitReply::Admitted { member, quarantined_ms, .. }) => {
                match self.peers.join(self.dispatcher.id(), &member) {
                    Ok(()) => {
                        let quarantined_until = clock::now().plus_ms(quarantined_ms);
                        self.membership = Some(Membership { member: Arc::clone(&member), quarantined_until });
                        self.record_membership();
                        return Ok(member);
                    }
                    Err(twin) => {
                        let place = twin + 1;
                        let reason =
                            format!("it is the same server as endpoint {place}; each vote needs its own");
                        (Standing::Refused(reason.clone()), Reply::Refused(reason.into()))
                    }
                }
            }
            Ok(AdmitReply::Refused(reason)) => {
                (Standing::Refused(reason.to_string()), Reply::Refused(reason))
            }
            Err(error) => (self.unreachable(&error.reason()), error.reply()),
        };
        self.admit_at = clock::now().plus_ms(ADMIT_RETRY_MS);
        self.record(standing);
        Err(reply)
    }

    fn record_membership(&self) {
        if let Some(Membership { quarantined_until, .. }) = self.membership {
            self.record(Standing::Admitted { quarantined_until });
        }
    }

    fn record(&self, standing: Standing) {
        let label = self.endpoint.label();
        self.standing.send_if_modified(|current| {
            let changed = *current != standing;
            if changed {
                match standing.state() {
                    EndpointState::Ready => tracing::info!(endpoint = label, "endpoint is ready"),
                    state => tracing::warn!(endpoint = label, "endpoint is {state}"),
                }
                *current = standing;
            }
            changed
        });
    }
}
