//! Attempts to acquire, and second looks: what the shell does between a task and these machines.

use leasehold::protocol::operation::{Reply, Request};
use leasehold::protocol::quorum::EndpointId;
use leasehold::protocol::validity::request_timeout_ms;
use leasehold::protocol::{
    Action, Attempt, AttemptFailure, AttemptParams, ClientId, Grant, Moment, OwnerId, Round, Validation, Vote,
};

use super::calm::Remains;
use super::host::{Machine, Party};
use super::{Event, PartyId, World};
use crate::sabotage::Control;

impl World<'_> {
    /// Starts an attempt for a task.
    pub(super) fn attempt(
        &mut self,
        host: usize,
        task: usize,
        name: usize,
        proposal: Option<u64>,
        ticket: Option<u64>,
    ) -> PartyId {
        let due = self.must_grant(host, task, name);
        let (now, t0) = (self.now, self.moment(host));
        let terms = self.plan.terms;
        let heard = self.hosts[host].lines.heard;
        let this = &mut self.hosts[host];
        let ttl_ms = draw_ttl(this, terms.ttl_ms_low, terms.ttl_ms_high);
        let timeout_ms = request_timeout_ms(terms.request_timeout_ms, ttl_ms);
        let (client, random) = (this.dice.bits(), this.dice.bits());
        let client = if self.plan.work.line { this.client } else { ClientId::new(client) };
        let drawn = OwnerId::of(client, random);
        let owner = match (self.options.sabotage, this.tasks[task].owner) {
            (Some(Control::OwnerPerAcquisition), Some(owner)) => owner,
            _ => drawn,
        };
        this.tasks[task].owner = Some(owner);
        let params = AttemptParams {
            quorum: self.quorum,
            owner,
            ttl_ms,
            proposal: proposal.unwrap_or_else(|| this.next_proposal(now)),
            t0,
            // One batch may be in flight before this one's.
            patience_ms: timeout_ms.saturating_mul(2),
        };
        let party = Party {
            machine: Machine::Attempt {
                attempt: match ticket {
                    Some(ticket) => Attempt::waiting(params, ticket, heard),
                    None => Attempt::new(params),
                },
                due,
                raised: false,
                newest: params.proposal,
            },
            name,
            owner,
            ttl_ms,
            timeout_ms,
            t0,
            called: now,
            outstanding: 0,
            alarm: None,
            task: Some(task),
            over: false,
        };
        let id = self.next_serial();
        self.hosts[host].parties.insert(id, party);
        self.begin_busy(name);
        self.counts.attempts += 1;
        self.note(|_| format!("host {host} task {task}: attempt {id} on name {name}, TTL {ttl_ms} ms"));
        self.drive_attempt(host, id, |_, _| {});
        id
    }

    /// Somebody is after a name.
    pub(super) fn begin_busy(&mut self, name: usize) {
        self.busy[name].count += 1;
        self.busy[name].newest = self.now;
    }

    /// Gives a machine an input, and sends what it asks for.
    pub(super) fn drive_attempt(
        &mut self,
        host: usize,
        id: PartyId,
        input: impl FnOnce(&mut Attempt, Moment),
    ) {
        let now = self.moment(host);
        let Some(Party { machine: Machine::Attempt { attempt, raised, .. }, .. }) =
            self.hosts[host].parties.get_mut(&id)
        else {
            return;
        };
        let (was, was_in_line) = (attempt.outcome(), attempt.is_in_line());
        input(attempt, now);
        let requests: Vec<Request> = std::iter::from_fn(|| attempt.poll_request()).collect();
        *raised |= requests.iter().any(|request| matches!(request.action, Action::Raise { .. }));
        let (outcome, alarm) = (attempt.outcome(), attempt.poll_timeout());
        let lost = matches!(outcome, Some(Err(_))) && !matches!(was, Some(Err(_)));
        let in_line = attempt.is_in_line() && !was_in_line;
        if was.is_none() && outcome.is_some() || in_line {
            self.wake_task_of(host, id);
        }
        if lost {
            let undone = requests.iter().any(|request| request.action == Action::Release);
            self.attempt_lost(host, id, undone);
        }
        let requests = self.sabotage_requests(host, id, requests);
        self.send(host, id, requests);
        self.set_alarm(host, id, alarm);
    }

    /// Leaves out, or answers itself, what a control says.
    fn sabotage_requests(&mut self, host: usize, id: PartyId, requests: Vec<Request>) -> Vec<Request> {
        let Some(control) = self.options.sabotage else {
            return requests;
        };
        let Some(Party { machine: Machine::Attempt { attempt, .. }, .. }) = self.hosts[host].parties.get(&id)
        else {
            return requests;
        };
        let answered = |endpoint: EndpointId| matches!(&attempt.replies()[endpoint.index()], Some(reply) if reply.vote() != Vote::Unknown);
        let mut kept = Vec::new();
        let mut raised = Vec::new();
        for request in requests {
            match (control, request.action) {
                (Control::NoUndo, Action::Release) => {}
                (Control::NoUndoForUnknown, Action::Release) if !answered(request.endpoint) => {}
                (Control::NoRaise, Action::Raise { fence }) => {
                    raised.push((request.endpoint, request.round, Reply::Granted { fence }));
                }
                _ => kept.push(request),
            }
        }
        for (endpoint, round, reply) in raised {
            self.drive_attempt(host, id, |attempt, now| attempt.handle_reply(now, endpoint, round, reply));
        }
        kept
    }

    pub(super) fn reply_to_attempt(
        &mut self,
        host: usize,
        id: PartyId,
        endpoint: EndpointId,
        round: Round,
        reply: Reply,
    ) {
        let others: Vec<EndpointId> = self.quorum.ids().filter(|other| *other != endpoint).collect();
        let yes = matches!(reply, Reply::Granted { .. }).then(|| reply.clone());
        self.drive_attempt(host, id, |attempt, now| attempt.handle_reply(now, endpoint, round, reply));
        if let (Some(yes), true) = (yes, self.sabotaged(Control::MajorityOfOne)) {
            for other in others {
                let reply = yes.clone();
                self.drive_attempt(host, id, |attempt, now| attempt.handle_reply(now, other, round, reply));
            }
        }
    }

    /// What the task finds when it looks.
    pub(super) fn attempt_outcome(
        &mut self,
        host: usize,
        id: PartyId,
    ) -> Option<Result<Grant, AttemptFailure>> {
        if !self.sabotaged(Control::NoHandOutCheck) {
            self.drive_attempt(host, id, |attempt, now| attempt.handle_hand_out(now));
        }
        let Some(Party { machine: Machine::Attempt { attempt, .. }, .. }) = self.hosts[host].parties.get(&id)
        else {
            return None;
        };
        attempt.outcome()
    }

    /// Whether an attempt is in line, and not decided.
    pub(super) fn is_in_line(&self, host: usize, id: PartyId) -> bool {
        matches!(
            self.hosts[host].parties.get(&id),
            Some(Party { machine: Machine::Attempt { attempt, .. }, .. }) if attempt.is_in_line()
        )
    }

    /// An attempt in line asks again.
    pub(super) fn refresh(&mut self, host: usize, id: PartyId) {
        let now = self.now;
        let proposal = self.hosts[host].next_proposal(now);
        if let Some(Party { machine: Machine::Attempt { newest, .. }, .. }) =
            self.hosts[host].parties.get_mut(&id)
        {
            *newest = proposal;
        }
        self.counts.attempts += 1;
        self.drive_attempt(host, id, |attempt, now| attempt.handle_refresh(now, proposal));
    }

    /// What each endpoint said to an attempt.
    pub(super) fn replies_to(&self, host: usize, id: PartyId) -> Vec<Option<Reply>> {
        match self.hosts[host].parties.get(&id).map(|party| &party.machine) {
            Some(Machine::Attempt { attempt, .. }) => attempt.replies().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Nobody looks at a machine any more.
    pub(super) fn leave(&mut self, host: usize, id: PartyId) {
        if let Some(party) = self.hosts[host].parties.get_mut(&id) {
            party.over = true;
            party.task = None;
        }
        self.bury_if_over(host, id);
    }

    fn attempt_lost(&mut self, host: usize, id: PartyId, undone: bool) {
        let Some(party) = self.hosts[host].parties.get(&id) else {
            return;
        };
        let Machine::Attempt { attempt, due, .. } = &party.machine else {
            return;
        };
        let (failure, due) = (attempt.outcome(), *due);
        let remains = Remains {
            host,
            name: party.name,
            owner: party.owner,
            since: self.now,
            ttl_ms: party.ttl_ms,
            of: "a failed attempt",
            admitted: self.admitted(host),
        };
        self.note(|_| format!("host {host}: attempt {id} failed: {failure:?}"));
        if undone {
            self.look_for_remains(remains);
        }
        if !due.is_empty() && !matches!(failure, Some(Err(AttemptFailure::Cancelled))) {
            self.judge_refusal(host, id, due, failure);
        }
    }

    /// Starts a second look for a lease.
    pub(super) fn validate(&mut self, host: usize, task: usize, of: PartyId) -> Option<PartyId> {
        let now = self.moment(host);
        let party = self.hosts[host].parties.get(&of)?;
        let (name, owner, ttl_ms, timeout_ms) = (party.name, party.owner, party.ttl_ms, party.timeout_ms);
        let validation = Validation::new(self.quorum, now, timeout_ms.saturating_mul(2));
        let party = Party {
            machine: Machine::Validation(validation),
            name,
            owner,
            ttl_ms,
            timeout_ms,
            t0: now,
            called: self.now,
            outstanding: 0,
            alarm: None,
            task: Some(task),
            over: false,
        };
        let id = self.next_serial();
        self.hosts[host].parties.insert(id, party);
        self.drive_validation(host, id, |_, _| {});
        Some(id)
    }

    pub(super) fn drive_validation(
        &mut self,
        host: usize,
        id: PartyId,
        input: impl FnOnce(&mut Validation, Moment),
    ) {
        let now = self.moment(host);
        let Some(Party { machine: Machine::Validation(validation), .. }) =
            self.hosts[host].parties.get_mut(&id)
        else {
            return;
        };
        let was = validation.outcome();
        input(validation, now);
        let requests: Vec<Request> = std::iter::from_fn(|| validation.poll_request()).collect();
        let (outcome, alarm) = (validation.outcome(), validation.poll_timeout());
        self.send(host, id, requests);
        self.set_alarm(host, id, alarm);
        if outcome != was {
            self.wake_task_of(host, id);
        }
    }

    /// The task that waits for a machine goes on soon.
    pub(super) fn wake_task_of(&mut self, host: usize, id: PartyId) {
        let Some(task) = self.hosts[host].parties.get(&id).and_then(|party| party.task) else {
            return;
        };
        let after_ns = self.hosts[host].dice.below(100_000);
        let stamp = self.next_serial();
        self.hosts[host].tasks[task].stamp = stamp;
        self.queue.plan(self.now.plus_ns(after_ns), Event::Task { host, task, stamp });
    }
}

/// The TTL of a round, as if the adaptive TTL moved.
pub(super) fn draw_ttl(host: &mut super::host::Host, low: u32, high: u32) -> u32 {
    if low == high {
        return low;
    }
    u32::try_from(host.dice.between(low.into(), high.into())).unwrap_or(high)
}
