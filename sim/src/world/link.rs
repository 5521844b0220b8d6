//! The way from one host to one endpoint: a queue, the gate of the rules, and one batch at it.

use std::collections::VecDeque;

use leasehold::protocol::Moment;
use leasehold::protocol::call::{CallError, Connection};
use leasehold::protocol::gate::{ADMIT_RETRY_MS, Gate, Step};
use leasehold::protocol::operation::{Action, Operation, Reply, Request};
use leasehold::protocol::quorum::EndpointId;
use leasehold::protocol::wire::BATCH_LEN_MAX;

use super::host::Machine;
use super::{Event, PartyId, World};
use crate::sabotage::Control;
use crate::server::{Ask, Told};
use crate::time::{At, NS_PER_MS};

pub(super) struct Link {
    pub(super) id: EndpointId,
    pub(super) gate: Gate,
    queue: VecDeque<Entry>,
    pub(super) connection: Connection,
    /// Counts the connections that the client was told of.
    pub(super) epoch: u64,
    errand: Option<Errand>,
    /// The newest alarm about clocks that was followed.
    alarm: u64,
    /// What a later look of the courier must show to be the newest planned.
    poke: u64,
}

/// A request on its way.
#[derive(Clone, Debug)]
struct Entry {
    party: PartyId,
    request: Request,
    /// Until when it may wait to be sent.
    expires: Moment,
    timeout_ms: u32,
}

/// The batch at the gate.
struct Errand {
    batch: Vec<Entry>,
    /// The call under way; `None` while clocks are compared.
    call: Option<Call>,
    /// Nobody asked: the courier sees to the endpoint by itself.
    idle: bool,
}

/// A call under way.
#[derive(Clone, Copy)]
struct Call {
    number: u64,
    sent: Moment,
    admits: bool,
}

impl Link {
    pub(super) fn new(now: Moment, id: EndpointId) -> Self {
        Self {
            id,
            gate: Gate::new(now, id),
            queue: VecDeque::new(),
            connection: Connection::Connecting,
            epoch: 0,
            errand: None,
            alarm: 0,
            poke: 0,
        }
    }

    /// Whether clocks are compared, or an admission is under way: what is asked now waits for how that turns out.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.errand.as_ref().is_some_and(|errand| errand.call.is_none_or(|call| call.admits))
    }
}

impl World<'_> {
    /// Puts a machine's requests before their endpoints.
    pub(super) fn send(&mut self, host: usize, id: PartyId, requests: Vec<Request>) {
        let now = self.moment(host);
        let Some(party) = self.hosts[host].parties.get_mut(&id) else {
            return;
        };
        party.outstanding += u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let (expires, timeout_ms) = (now.plus_ms(party.ttl_ms.into()), party.timeout_ms);
        for request in requests {
            let endpoint = request.endpoint.index();
            let entry = Entry { party: id, request, expires, timeout_ms };
            self.hosts[host].links[endpoint].queue.push_back(entry);
            self.stir(host, endpoint);
        }
    }

    /// A courier may have something to do.
    pub(super) fn stir(&mut self, host: usize, endpoint: usize) {
        if !self.stirred.contains(&(host, endpoint)) {
            self.stirred.push((host, endpoint));
        }
    }

    /// Couriers go on until none has anything to do now.
    pub(super) fn run_couriers(&mut self) {
        while let Some((host, endpoint)) = self.stirred.pop() {
            if self.hosts[host].runs() {
                self.pump(host, endpoint);
            } else if self.hosts[host].dead == 0 {
                // Stirred by the last thing it did before it stood still.
                self.plan_poke(host, endpoint, 0);
            }
        }
    }

    /// Brings the next batch to the gate, if none is there.
    fn pump(&mut self, host: usize, endpoint: usize) {
        if self.hosts[host].links[endpoint].errand.is_some() {
            return;
        }
        let batch = self.collect(host, endpoint);
        self.note_connection(host, endpoint);
        let (now, clocks) = (self.moment(host), self.hosts[host].peers.clocks());
        let link = &mut self.hosts[host].links[endpoint];
        link.gate.begin(now);
        let idle = batch.is_empty();
        if idle && matches!(link.gate.poll_step(now), Step::Run(_)) {
            if link.alarm == clocks.alarm() {
                return;
            }
            // Somebody else's clock is off: this one is looked at without another request to send.
            link.alarm = clocks.alarm();
            link.errand = Some(Errand { batch, call: None, idle: false });
        } else {
            link.errand = Some(Errand { batch, call: None, idle });
        }
        self.advance(host, endpoint);
    }

    /// Up to a batch of requests that still serve.
    fn collect(&mut self, host: usize, endpoint: usize) -> Vec<Entry> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_LEN_MAX
            && let Some(entry) = self.hosts[host].links[endpoint].queue.pop_front()
        {
            if self.serves(host, &entry) {
                batch.push(entry);
            } else {
                self.deliver(host, endpoint, &entry, Reply::NotSent("nobody waits for it any more".into()));
            }
        }
        batch
    }

    fn serves(&self, host: usize, entry: &Entry) -> bool {
        let now = self.moment(host);
        let Some(party) = self.hosts[host].parties.get(&entry.party) else {
            return false;
        };
        // As the client's queue has it: what a release is about may outlive it.
        (now < entry.expires || entry.request.action == Action::Release)
            && match &party.machine {
                Machine::Attempt { attempt, .. } => attempt.wants(&entry.request),
                Machine::Hold(holding) => {
                    holding.hold.wants(&entry.request) || self.sabotaged(Control::RenewalAfterRelease)
                }
                Machine::Validation(validation) => validation.outcome().is_none(),
            }
    }

    /// Does what the gate says, up to the next call or the end of the batch.
    fn advance(&mut self, host: usize, endpoint: usize) {
        loop {
            let now = self.moment(host);
            let timeout_ms = self.plan.terms.request_timeout_ms;
            let link = &mut self.hosts[host].links[endpoint];
            let Some(errand) = &mut link.errand else {
                return;
            };
            match link.gate.poll_step(now) {
                Step::Admit(admission) => {
                    if self.options.sabotage == Some(Control::NeverAdmittedAgain) && link.epoch > 1 {
                        self.conclude(host, endpoint, Err(Reply::NotSent("never again".into())));
                        return;
                    }
                    let set = self.hosts[host].peers.set().to_owned();
                    self.call(host, endpoint, Ask::Admit { admission, set }, timeout_ms);
                    return;
                }
                Step::Run(_) if errand.idle => {
                    link.errand = None;
                    // Admitted; meanwhile something may have been asked.
                    if !link.queue.is_empty() {
                        self.stir(host, endpoint);
                    }
                    return;
                }
                Step::Run(member) => {
                    let asked_for = !errand.batch.is_empty();
                    let batch = std::mem::take(&mut errand.batch);
                    let (wanted, unwanted): (Vec<_>, Vec<_>) =
                        batch.into_iter().partition(|entry| self.serves(host, entry));
                    let timeout_ms = wanted.iter().map(|entry| entry.timeout_ms).min().unwrap_or(timeout_ms);
                    let operations = wanted.iter().filter_map(|entry| self.operation(host, entry)).collect();
                    if let Some(errand) = &mut self.hosts[host].links[endpoint].errand {
                        errand.batch = wanted;
                    }
                    for entry in unwanted {
                        let reply = Reply::NotSent("nobody waits for it any more".into());
                        self.deliver(host, endpoint, &entry, reply);
                    }
                    let left = self.hosts[host].links[endpoint]
                        .errand
                        .as_ref()
                        .map_or(0, |errand| errand.batch.len());
                    if asked_for && left == 0 {
                        self.conclude(host, endpoint, Ok(Vec::new()));
                        return;
                    }
                    self.call(host, endpoint, Ask::Run { member, operations }, timeout_ms);
                    return;
                }
                Step::AwaitVerdict => {
                    errand.call = None;
                    if self.hosts[host].peers.clocks().own_is_off().is_some() {
                        self.give_verdict(host, endpoint);
                        continue;
                    }
                    self.plan_poke(host, endpoint, u64::from(timeout_ms) * NS_PER_MS);
                    return;
                }
                Step::Replies(replies) => {
                    self.conclude(host, endpoint, Ok(replies));
                    return;
                }
                Step::Answer(reply) => {
                    self.conclude(host, endpoint, Err(reply));
                    return;
                }
            }
        }
    }

    fn give_verdict(&mut self, host: usize, endpoint: usize) {
        let this = &mut self.hosts[host];
        let own_is_off = this.links[endpoint].gate.handle_verdict(&this.peers);
        self.note(|_| format!("host {host}: a clock is off; its own: {own_is_off}"));
        if own_is_off {
            // Whoever takes its own clock to be off stops on purpose, even where two servers' clocks were set at once.
            self.hosts[host].well_since = self.now;
            let holds: Vec<PartyId> = self.holds(host);
            for id in holds {
                self.drive_hold(host, id, |hold, _| hold.handle_distrust());
            }
        }
    }

    /// Other couriers that wait for a verdict, or have not followed an alarm, look again.
    fn stir_about_clocks(&mut self, host: usize) {
        for other in 0..self.plan.endpoints {
            let clocks = self.hosts[host].peers.clocks();
            let link = &mut self.hosts[host].links[other];
            let waits = link.errand.as_ref().is_some_and(|errand| errand.call.is_none());
            if waits && clocks.own_is_off().is_some() {
                self.plan_poke(host, other, 0);
            } else if link.errand.is_none() && link.alarm != clocks.alarm() {
                self.stir(host, other);
            }
        }
    }

    fn operation(&self, host: usize, entry: &Entry) -> Option<Operation> {
        let party = self.hosts[host].parties.get(&entry.party)?;
        Some(Operation {
            name: self.names[party.name].clone(),
            owner: party.owner,
            action: entry.request.action,
        })
    }

    /// Makes a call; its answer, or its timeout, comes later.
    fn call(&mut self, host: usize, endpoint: usize, ask: Ask, timeout_ms: u32) {
        let now = self.moment(host);
        let call = self.next_serial();
        let admits = matches!(ask, Ask::Admit { .. });
        if let Some(errand) = &mut self.hosts[host].links[endpoint].errand {
            errand.call = Some(Call { number: call, sent: now, admits });
        }
        let at = self.ring_at(host, now.plus_ms(timeout_ms.into()));
        self.queue.plan(at, Event::CallTimeout { host, endpoint, call });
        self.note(|_| format!("host {host} -> {endpoint}: {}", words(&ask)));
        self.write(host, endpoint, call, ask);
    }

    pub(super) fn handle_answer(&mut self, host: usize, endpoint: usize, wire: u64, call: u64, told: Told) {
        if self.paths[host][endpoint].wire == wire {
            self.answered(host, endpoint, call, told);
        }
    }

    pub(super) fn handle_call_timeout(&mut self, host: usize, endpoint: usize, call: u64) {
        let error = CallError::Unknown("no answer in time".into());
        self.failed(host, endpoint, call, error);
    }

    /// A call ends without a reply.
    fn failed(&mut self, host: usize, endpoint: usize, call: u64, error: CallError) {
        let link = &self.hosts[host].links[endpoint];
        let current = link.errand.as_ref().and_then(|errand| errand.call);
        let Some(Call { admits, .. }) = current.filter(|current| current.number == call) else {
            return;
        };
        self.note_connection(host, endpoint);
        let told = if admits { Told::Admit(Err(error)) } else { Told::Run(Err(error)) };
        self.answered(host, endpoint, call, told);
    }

    /// The call under way fails at once, if there is one.
    pub(super) fn fail_call(&mut self, host: usize, endpoint: usize, error: CallError) {
        let link = &self.hosts[host].links[endpoint];
        if let Some(call) = link.errand.as_ref().and_then(|errand| errand.call) {
            self.failed(host, endpoint, call.number, error);
        }
    }

    fn answered(&mut self, host: usize, endpoint: usize, call: u64, told: Told) {
        let now = self.moment(host);
        let this = &mut self.hosts[host];
        let link = &mut this.links[endpoint];
        let Some(errand) = &mut link.errand else {
            return;
        };
        let Some(Call { sent, .. }) = errand.call.take_if(|current| current.number == call) else {
            return;
        };
        let (alarm, verdict) = (this.peers.clocks().alarm(), this.peers.clocks().own_is_off());
        if self.options.trace {
            let line = format!("{} host {host} <- {endpoint}: {told:?}\n", self.now);
            self.trace.push_str(&line);
        }
        match told {
            Told::Admit(answer) => link.gate.handle_admission(now, answer, &mut this.peers),
            Told::Run(answer) => link.gate.handle_run(sent, now, answer, &mut this.peers),
        }
        let changed = (alarm, verdict) != (this.peers.clocks().alarm(), this.peers.clocks().own_is_off());
        if alarm != this.peers.clocks().alarm() {
            link.alarm = this.peers.clocks().alarm();
        }
        self.advance(host, endpoint);
        if changed {
            self.stir_about_clocks(host);
        }
    }

    /// The batch at the gate has its answers.
    fn conclude(&mut self, host: usize, endpoint: usize, outcome: Result<Vec<Reply>, Reply>) {
        let Some(errand) = self.hosts[host].links[endpoint].errand.take() else {
            return;
        };
        let nothing_asked = errand.batch.is_empty();
        let refused = outcome.is_err();
        match outcome {
            Ok(replies) => {
                for (entry, reply) in errand.batch.iter().zip(replies) {
                    self.deliver(host, endpoint, entry, reply);
                }
            }
            Err(reply) => {
                for entry in &errand.batch {
                    self.deliver(host, endpoint, entry, reply.clone());
                }
            }
        }
        if nothing_asked && refused && self.hosts[host].links[endpoint].queue.is_empty() {
            self.plan_poke(host, endpoint, ADMIT_RETRY_MS * NS_PER_MS);
        } else {
            self.stir(host, endpoint);
        }
    }

    fn deliver(&mut self, host: usize, endpoint: usize, entry: &Entry, reply: Reply) {
        let id = self.hosts[host].links[endpoint].id;
        let Some(party) = self.hosts[host].parties.get_mut(&entry.party) else {
            return;
        };
        party.outstanding -= 1;
        let round = entry.request.round;
        match party.machine {
            Machine::Attempt { .. } => self.reply_to_attempt(host, entry.party, id, round, reply),
            Machine::Hold(_) => self.reply_to_hold(host, entry.party, id, round, reply),
            Machine::Validation(_) => self.drive_validation(host, entry.party, |validation, _| {
                validation.handle_reply(id, reply);
            }),
        }
        self.bury_if_over(host, entry.party);
    }

    fn note_connection(&mut self, host: usize, endpoint: usize) {
        let this = &mut self.hosts[host];
        let link = &mut this.links[endpoint];
        link.gate.handle_connection(link.connection.clone(), &mut this.peers);
    }

    pub(super) fn plan_poke(&mut self, host: usize, endpoint: usize, after_ns: u64) {
        let stamp = self.next_serial();
        self.hosts[host].links[endpoint].poke = stamp;
        self.queue.plan(self.now.plus_ns(after_ns), Event::Poke { host, endpoint, stamp });
    }

    pub(super) fn handle_poke(&mut self, host: usize, endpoint: usize, stamp: u64) {
        let link = &self.hosts[host].links[endpoint];
        if link.poke != stamp {
            return;
        }
        match &link.errand {
            None => self.stir(host, endpoint),
            // The time for comparing clocks is over, or all have been looked at.
            Some(Errand { call: None, .. }) => {
                self.give_verdict(host, endpoint);
                self.advance(host, endpoint);
            }
            Some(_) => {}
        }
    }

    /// Whether an endpoint votes for this host, as far as the host knows.
    pub(super) fn is_admitted(&self, host: usize, endpoint: usize) -> bool {
        use leasehold::protocol::gate::Standing;
        let link = &self.hosts[host].links[endpoint];
        let now = self.moment(host);
        matches!(link.connection, Connection::Up { .. })
            && matches!(link.gate.standing(), Standing::Admitted { quarantined_until, .. } if *quarantined_until <= now)
    }

    /// When nothing more can be under way of what was asked until now.
    pub(super) fn settled_by(&self) -> At {
        let timeout_ms = u64::from(self.plan.terms.request_timeout_ms);
        let delays_ns = self.plan.network.delay_us_max() * 4_000;
        self.now.plus_ms(timeout_ms * 3 + 100).plus_ns(delays_ns)
    }
}

fn words(ask: &Ask) -> String {
    match ask {
        Ask::Admit { admission, set } => format!("admit {admission:?} to set {set}"),
        Ask::Run { operations, .. } => {
            let each = |operation: &Operation| {
                let owner = operation.owner.to_string();
                format!("{} {:.6} {:?}", operation.name, &owner[26..], operation.action)
            };
            operations.iter().map(each).collect::<Vec<_>>().join("; ")
        }
    }
}
