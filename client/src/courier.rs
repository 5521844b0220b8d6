//! The task that empties one endpoint's queue: it brings one batch at a time through the gate, and hands out the answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::dispatcher::{Dispatcher, Entry};
use crate::endpoint::{Admission, CallError, Connection, Endpoint};
use crate::keeper::Keeper;
use crate::peers::Peers;
use crate::protocol::gate::{ADMIT_RETRY_MS, Standing, Step};
use crate::protocol::operation::{Operation, Reply};
use crate::protocol::peers::Clocks;
use crate::protocol::wire::BATCH_LEN_MAX;
use crate::protocol::{Gate, Moment};
use crate::status::EndpointState;
use crate::sync::time;

/// One endpoint's courier. Runs until its queue is closed and empty.
pub(crate) struct Courier {
    dispatcher: Arc<Dispatcher>,
    endpoint: Arc<dyn Endpoint>,
    peers: Arc<Peers>,
    limits: Limits,
    clock: Clock,
    keeper: Arc<Keeper>,
    gate: Gate,
    standing: watch::Sender<Standing>,
    connection: watch::Receiver<Connection>,
    /// Alarms about clocks, and the newest that was followed.
    clocks: watch::Receiver<Clocks>,
    alarm: u64,
    silence: Silence,
}

impl Courier {
    pub(crate) fn new(
        dispatcher: Arc<Dispatcher>,
        endpoint: Arc<dyn Endpoint>,
        peers: Arc<Peers>,
        config: &Config,
        keeper: Arc<Keeper>,
    ) -> (Self, watch::Receiver<Standing>) {
        let (standing, receiver) = watch::channel(Standing::Connecting);
        let connection = endpoint.connection();
        let clocks = peers.clocks();
        let gate = Gate::new(config.clock.now(), dispatcher.id());
        let courier = Self {
            dispatcher,
            endpoint,
            peers,
            limits: config.limits,
            clock: config.clock.clone(),
            keeper,
            gate,
            standing,
            connection,
            clocks,
            alarm: 0,
            silence: Silence::default(),
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
        self.peers.with(|peers| peers.leave(self.dispatcher.id()));
    }

    /// Waits for work. Meanwhile the endpoint is admitted anew on each new connection, so that a quarantine begins with
    /// the restart that calls for it and not with the first request after it.
    async fn idle(&mut self) {
        self.begin();
        if self.admit().await.is_ok() {
            let alarm = tokio::select! {
                biased;
                () = self.dispatcher.filled() => false,
                _ = self.connection.changed() => false,
                _ = self.clocks.wait_for(|clocks| clocks.alarm() != self.alarm) => true,
            };
            if alarm {
                // Looks at the clock without another request to send: somebody else's is off.
                self.alarm = self.clocks.borrow().alarm();
                let answer = self.send(&mut Vec::new()).await;
                tracing::trace!(endpoint = self.endpoint.label(), ?answer, "looked at its clock");
            }
            return;
        }
        tokio::select! {
            biased;
            () = self.dispatcher.filled() => {}
            _ = self.connection.changed() => {}
            () = time::sleep(Duration::from_millis(ADMIT_RETRY_MS)) => {}
        }
    }

    /// Sends a batch, admitting the endpoint first where it must be. `Err` is the answer to every request of it.
    async fn send(&mut self, batch: &mut Vec<Entry>) -> Result<Vec<Reply>, Reply> {
        self.begin();
        loop {
            let member = match self.admit().await? {
                Errand::Run(member) => member,
                Errand::Done(replies) => return Ok(replies),
            };
            // Admission takes time: some rounds may have been decided without this endpoint.
            let asked_for = !batch.is_empty();
            self.dispatcher.drop_unwanted(batch);
            if asked_for && batch.is_empty() {
                return Ok(Vec::new());
            }
            let operations: Vec<Operation> = batch.iter().map(|entry| entry.operation.clone()).collect();
            let limit_ms = self.limits.request_timeout_ms;
            let timeout_ms = batch.iter().map(|entry| entry.timeout_ms).min().unwrap_or(limit_ms);
            let sent = self.clock.now();
            let answer = self.endpoint.run(&member, &operations, timeout_ms).await;
            self.note_silence(sent, &answer);
            self.peers.with(|peers| self.gate.handle_run(sent, self.clock.now(), answer, peers));
            self.publish();
        }
    }

    /// Does what has to be done before the batch at the gate can be sent, or after it was. `Err` is the answer to every
    /// request.
    async fn admit(&mut self) -> Result<Errand, Reply> {
        loop {
            match self.gate.poll_step(self.clock.now()) {
                Step::Run(member) => return Ok(Errand::Run(member)),
                Step::Replies(replies) => return Ok(Errand::Done(replies)),
                Step::Answer(reply) => return Err(reply),
                Step::AwaitVerdict => self.await_verdict().await,
                Step::Admit(admission) => {
                    if admission == Admission::Distrust {
                        let endpoint = self.endpoint.label();
                        tracing::warn!(
                            endpoint,
                            "the endpoint's clock ran or was stepped beyond the drift bound"
                        );
                    }
                    let set = self.peers.with(|peers| peers.set().to_owned());
                    let sent = self.clock.now();
                    let answer = self.endpoint.admit(admission, &set, self.limits.request_timeout_ms).await;
                    self.note_silence(sent, &answer);
                    self.peers.with(|peers| self.gate.handle_admission(self.clock.now(), answer, peers));
                    self.publish();
                }
            }
        }
    }

    /// A clock is off: the endpoint's, or this client's own if too many seem to be.
    async fn await_verdict(&mut self) {
        let mut clocks = self.peers.clocks();
        let verdict = clocks.wait_for(|clocks| clocks.own_is_off().is_some());
        let patience = Duration::from_millis(self.limits.request_timeout_ms.into());
        let in_time = time::timeout(patience, verdict).await.is_ok();
        tracing::debug!(endpoint = self.endpoint.label(), in_time, "clocks were compared");
        if self.peers.with(|peers| self.gate.handle_verdict(peers)) {
            tracing::error!("this machine's clock stood still or jumped: its leases end");
            self.keeper.distrust_clock();
        }
    }

    fn begin(&mut self) {
        self.note_connection();
        self.gate.begin(self.clock.now());
    }

    /// Where there was no reply, the connection may say why. An answer is about the connection that it came over, so a new
    /// one is noticed only with the next batch.
    fn note_silence<T>(&mut self, sent: Moment, answer: &Result<T, CallError>) {
        if answer.is_err() {
            self.note_connection();
        }
        let silent = matches!(answer, Err(CallError::Unknown(_)));
        let epoch = match *self.connection.borrow() {
            Connection::Up { epoch } => Some(epoch),
            _ => None,
        };
        if let Some(epoch) = epoch.filter(|_| silent) {
            let patience_ms = u64::from(self.limits.connect_timeout_ms) * 2;
            if self.silence.goes_on(epoch, sent, self.clock.now(), patience_ms) {
                tracing::warn!(
                    endpoint = self.endpoint.label(),
                    "the connection is silent: making a new one"
                );
                self.endpoint.reconnect();
            }
        } else {
            self.silence = Silence::default();
        }
    }

    /// Tells the gate of the connection, as of now.
    fn note_connection(&mut self) {
        let connection = self.connection.borrow_and_update().clone();
        self.peers.with(|peers| self.gate.handle_connection(connection, peers));
        self.publish();
    }

    /// Passes on how the endpoint stands, where that has changed.
    fn publish(&self) {
        let label = self.endpoint.label();
        self.standing.send_if_modified(|current| {
            let standing = self.gate.standing();
            let changed = current != standing;
            if changed {
                match standing.state(self.clock.now()) {
                    EndpointState::Ready => tracing::info!(endpoint = label, "endpoint is ready"),
                    state => tracing::warn!(endpoint = label, "endpoint is {state}"),
                }
                current.clone_from(standing);
            }
            changed
        });
    }
}

/// How long a connection has answered nothing. The other end may be gone, and nobody has told this one.
#[derive(Default)]
struct Silence {
    /// Which connection, and since when.
    since: Option<(u64, Moment)>,
    given_up: bool,
}

impl Silence {
    /// A request that was sent at `sent` got no answer. Says, once for each connection, that it is to be given up: it has been
    /// silent for as long as the patience lasts.
    fn goes_on(&mut self, epoch: u64, sent: Moment, now: Moment, patience_ms: u64) -> bool {
        if self.since.is_none_or(|(silent, _)| silent != epoch) {
            *self = Self { since: Some((epoch, sent)), given_up: false };
        }
        let over = self.since.is_some_and(|(_, since)| since.plus_ms(patience_ms) <= now);
        over && !std::mem::replace(&mut self.given_up, over)
    }
}

/// How far the batch at the gate has come.
enum Errand {
    /// It may be sent, as this member.
    Run(Arc<str>),
    /// It ran.
    Done(Vec<Reply>),
}
