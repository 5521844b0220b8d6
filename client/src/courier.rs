//! The task that empties one endpoint's queue: it admits the endpoint, sends one batch at a time, and hands out the
//! answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::config::Limits;
use crate::dispatcher::{Dispatcher, Entry};
use crate::endpoint::{Admission, CallError, Connection, Endpoint};
use crate::peers::Peers;
use crate::protocol::Moment;
use crate::protocol::operation::{Operation, Reply};
use crate::protocol::wire::{AdmitReply, BATCH_LEN_MAX, BatchReply};
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
    standing: watch::Sender<Standing>,
    connection: watch::Receiver<Connection>,
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
    ) -> (Self, watch::Receiver<Standing>) {
        let (standing, receiver) = watch::channel(Standing::Connecting);
        let connection = endpoint.connection();
        let courier = Self {
            dispatcher,
            endpoint,
            peers,
            limits,
            standing,
            connection,
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
            tokio::select! {
                () = self.dispatcher.filled() => {}
                _ = self.connection.changed() => {}
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
            match self.endpoint.run(&member, &operations, timeout_ms).await {
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
                    self.record(Standing::Unreachable(error.reason().to_string()));
                    return Err(error.reply());
                }
            }
        }
        Err(not_admitted)
    }

    /// Notices a new connection, and says whether there is one to use. One that is said to be down is tried all the same
    /// from time to time: its word may be out of date.
    fn usable(&mut self) -> bool {
        let connection = self.connection.borrow_and_update().clone();
        let Connection::Up { epoch } = connection else {
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
            self.admit_at = Moment::default();
        }
        true
    }

    fn down(&self) -> Reply {
        match &*self.connection.borrow() {
            Connection::Down(reason) => Reply::NotSent(Arc::clone(reason)),
            Connection::Up { .. } => Reply::NotSent("the connection is being set up".into()),
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
        let answer =
            self.endpoint.admit(Admission::Member { set: &set }, self.limits.request_timeout_ms).await;
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
            Err(error) => (Standing::Unreachable(error.reason().to_string()), error.reply()),
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
