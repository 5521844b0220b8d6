//! What the referee looks at in the world itself: remains, losses, refusals; and the calm after the storm, when every lock
//! can be granted again.

use leasehold::protocol::quorum::EndpointId;
use leasehold::protocol::{AttemptFailure, EndpointSet, Grant, LossReason, OwnerId, Renewal};

use super::host::Machine;
use super::task::Asked;
use super::{Event, PartyId, World};
use crate::plan::FaultKind;
use crate::referee::{GrantId, Rule};
use crate::sabotage::Control;
use crate::time::{At, NS_PER_MS};

/// The longest that a loss is told before its deadline, and a millisecond for clocks.
const NOTICE_MS_MAX: u32 = 6;

/// An owner whose locks must be gone, unless something went wrong since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remains {
    pub(super) host: usize,
    pub(super) name: usize,
    pub(super) owner: OwnerId,
    pub(super) since: At,
    pub(super) ttl_ms: u32,
    pub(super) of: &'static str,
    /// Who had admitted the host then: before others a release may not get past the gate.
    pub(super) admitted: EndpointSet,
}

/// How far the calm has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// Faults are over. Holders give back what they hold.
    Begin,
    /// Each host asks once, so that each notices what happened to clocks meanwhile.
    Stir { host: usize },
    /// Quarantines and locks are over.
    Look,
    /// Each host asks for each name, and must be granted.
    Probe { turn: usize },
}

/// Longer than the last stalled request, and any quarantine or TTL after it.
const QUIET_MS: u64 = 60_000;
/// Names that each host asks for in the end.
const PROBED_NAMES_MAX: usize = 2;
/// How long a probe may take.
const PROBE_WAIT_MS: u64 = 8_000;

impl World<'_> {
    /// An owner has given up or given back: its locks must be gone when nothing can be under way any more.
    pub(super) fn look_for_remains(&mut self, remains: Remains) {
        let at = self.settled_by();
        // What expires before anybody looks is no litter.
        if at.ns_since(self.now) < u64::from(remains.ttl_ms) * NS_PER_MS * 9 / 10 {
            self.queue.plan(at, Event::Remains(Box::new(remains)));
        }
    }

    pub(super) fn handle_remains(&mut self, remains: &Remains) {
        let Remains { host, name, owner, since, of, admitted, .. } = *remains;
        if !self.was_well(host, since) {
            return;
        }
        self.counts.remains_judged += 1;
        let owner = owner.to_string();
        for endpoint in 0..self.plan.endpoints {
            let stands = self.servers[endpoint]
                .lock(&self.names[name], self.now)
                .is_some_and(|lock| lock.starts_with(&owner));
            let could_go = self.path_was_well(host, endpoint, since)
                && admitted.iter().any(|id| id.index() == endpoint)
                && self.is_admitted_at_all(host, endpoint);
            if stands && could_go {
                let what = format!(
                    "the lock of {of} of host {host} on name {name} still stands on endpoint {endpoint}, given up at {since}"
                );
                self.referee.violation(Rule::Litter, self.now, what);
            }
        }
    }

    /// Whether a host has been running, with a right clock, since then.
    pub(super) fn was_well(&self, host: usize, since: At) -> bool {
        let this = &self.hosts[host];
        this.runs() && this.troubles == 0 && this.well_since < since
    }

    /// Whether nothing has gone wrong between a host and an endpoint since then.
    fn path_was_well(&self, host: usize, endpoint: usize, since: At) -> bool {
        let path = &self.paths[host][endpoint];
        path.troubles == 0 && path.well_since < since && self.servers[endpoint].is_well()
    }

    /// The same between all hosts and an endpoint.
    pub(super) fn endpoint_was_well(&self, endpoint: usize, since: At) -> bool {
        (0..self.hosts.len()).all(|host| self.path_was_well(host, endpoint, since))
    }

    /// Whether an endpoint gave votes all the time since then.
    pub(super) fn voted_since(&self, endpoint: usize, since: At) -> bool {
        let quarantined = |&(place, _, until): &(usize, At, At)| place == endpoint && until >= since;
        !self.quarantines.iter().any(quarantined) && !self.servers[endpoint].is_quarantined(self.now)
    }

    /// Whether answers come well before anybody stops waiting for them.
    pub(super) fn answers_in_time(&self) -> bool {
        self.plan.network.delay_us_max() * 4 + 4_000 <= u64::from(self.timeout_ms()) * 1_000
    }

    /// The longest that a request of the shortest lease may take.
    fn timeout_ms(&self) -> u32 {
        self.plan.terms.request_timeout_ms.min(self.plan.terms.ttl_ms_low * 2 / 5)
    }

    /// Whether a grant that was handed out late left its holder the time for a round behind another's, and for the margin by
    /// which a loss is told early.
    fn could_renew(&self, grant: GrantId) -> bool {
        self.referee.time_to_renew_ns(grant) >= u64::from(self.timeout_ms() + NOTICE_MS_MAX) * NS_PER_MS
    }

    /// Who must grant an attempt that begins now: a majority that is well and free, where nobody else is after the name and
    /// nothing of the past is under way; otherwise nobody.
    pub(super) fn must_grant(&mut self, host: usize, task: usize, name: usize) -> EndpointSet {
        let nobody = EndpointSet::default();
        if self.busy[name].count > 0 || self.others_wait(host, task, name) || !self.answers_in_time() {
            return nobody;
        }
        let since = self.now.minus_ms(u64::from(self.plan.terms.request_timeout_ms) * 5 + 1_000);
        if !self.was_well(host, since) {
            return nobody;
        }
        let is_free = |id: &EndpointId| {
            let endpoint = id.index();
            self.endpoint_was_well(endpoint, since)
                && self.voted_since(endpoint, self.now)
                && self.is_admitted(host, endpoint)
                && self.servers[endpoint].is_free(&self.names[name], self.now)
                && !self.servers[endpoint].has_line(&self.names[name], self.now)
        };
        let free: EndpointSet = self.quorum.ids().filter(is_free).collect();
        if free.len() < self.quorum.majority() {
            return nobody;
        }
        self.counts.due_grants += 1;
        free
    }

    /// Whether anybody else is in line for a name.
    fn others_wait(&self, host: usize, task: usize, name: usize) -> bool {
        self.busy[name].waiters > u32::from(self.hosts[host].tasks[task].seat.is_some())
    }

    /// An attempt that had to be granted was not.
    pub(super) fn judge_refusal(
        &mut self,
        host: usize,
        id: PartyId,
        due: EndpointSet,
        outcome: Option<Result<Grant, AttemptFailure>>,
    ) {
        let Some(party) = self.hosts[host].parties.get(&id) else {
            return;
        };
        let (name, called) = (party.name, party.called);
        // Those who voted first are asked once more if they drew different tokens: then each of them must be well.
        let needed = match party.machine {
            Machine::Attempt { raised: true, .. } => self.quorum.endpoints(),
            _ => self.quorum.majority(),
        };
        let still_well = |id: &EndpointId| {
            self.endpoint_was_well(id.index(), called) && self.voted_since(id.index(), called)
        };
        let well: EndpointSet = due.iter().filter(still_well).collect();
        let others_wait = party.task.is_some_and(|task| self.others_wait(host, task, name));
        let alone = self.busy[name].newest <= called && self.busy[name].count <= 1 && !others_wait;
        if alone && self.was_well(host, called) && well.len() >= needed {
            let what = format!(
                "name {name} was free and a majority well at {called}, but host {host} was told {outcome:?}"
            );
            self.referee.violation(Rule::NoProgress, self.now, what);
        }
    }

    /// A holder that runs must be told before its deadline.
    pub(super) fn judge_notice(&mut self, host: usize, grant: GrantId, reason: LossReason) {
        let until = self.referee.until(grant);
        let before = until.minus_ms(u64::from(NOTICE_MS_MAX));
        if self.now > until && self.was_well(host, before) {
            let what = format!("grant {} of host {host} was over at {until}; told: {reason:?}", grant.0);
            self.referee.violation(Rule::LateNotice, self.now, what);
        }
    }

    /// A lease is lost. Did a majority hold it all the same, and could have said so?
    pub(super) fn judge_loss(&mut self, host: usize, id: PartyId, grant: GrantId, reason: LossReason) {
        let is_clock_fault = |kind: FaultKind| {
            matches!(
                kind,
                FaultKind::StepBack { .. }
                    | FaultKind::StepForward { .. }
                    | FaultKind::RunOff { .. }
                    | FaultKind::Freeze { .. }
            )
        };
        if reason == LossReason::ClockSuspect {
            if !self.plan.faults.iter().any(|fault| is_clock_fault(fault.kind)) {
                let what = format!(
                    "grant {} of host {host}: its clock is suspected, but all clocks are right",
                    grant.0
                );
                self.referee.violation(Rule::FalseLoss, self.now, what);
            }
            return;
        }
        let Some(party) = self.hosts[host].parties.get(&id) else {
            return;
        };
        let window_ms = u64::from(self.plan.terms.ttl_ms_high) * 21 / 20 + 10;
        let since = self.now.minus_ms(window_ms).max(party.called);
        let renews = match &party.machine {
            Machine::Hold(holding) => {
                holding.terms.renewal == Renewal::Auto && holding.terms.renew_for_ms.is_none()
            }
            _ => false,
        };
        let judged = match reason {
            LossReason::Expired => renews && self.answers_in_time() && self.could_renew(grant),
            LossReason::Taken => true,
            _ => false,
        };
        if !judged || !self.was_well(host, since) {
            return;
        }
        self.counts.losses_judged += 1;
        let (name, owner) = (party.name, party.owner.to_string());
        let holds = (0..self.plan.endpoints).filter(|&endpoint| {
            self.endpoint_was_well(endpoint, since)
                && self.voted_since(endpoint, since)
                && self.is_admitted(host, endpoint)
                && self.servers[endpoint]
                    .lock(&self.names[name], self.now)
                    .is_some_and(|lock| lock.starts_with(&owner))
        });
        if holds.count() >= self.quorum.majority() as usize {
            let what = format!(
                "grant {} of host {host} on name {name}: {reason:?}, but a majority holds it",
                grant.0
            );
            self.referee.violation(Rule::FalseLoss, self.now, what);
        }
    }

    pub(super) fn handle_calm(&mut self, stage: Stage) {
        match stage {
            Stage::Begin => {
                self.note(|_| "calm begins".to_owned());
                self.noise = false;
                for host in 0..self.hosts.len() {
                    for task in 0..self.hosts[host].tasks.len() {
                        self.wind_up(host, task);
                    }
                }
                self.queue.plan(self.now.plus_ms(2_000), Event::Calm(Stage::Stir { host: 0 }));
            }
            Stage::Stir { host } if host < self.hosts.len() => {
                self.probe(host, 0, 50);
                self.queue.plan(self.now.plus_ms(1_000), Event::Calm(Stage::Stir { host: host + 1 }));
            }
            Stage::Stir { .. } => {
                // The last quarantine may have begun just now, and a lock of the longest TTL just before.
                self.queue.plan(self.now.plus_ms(QUIET_MS), Event::Calm(Stage::Look));
            }
            Stage::Look => {
                self.note(|_| "calm: a look at what is left".to_owned());
                for endpoint in 0..self.plan.endpoints {
                    let litter = self.servers[endpoint].litter(self.now);
                    if !litter.is_empty() {
                        let what = format!("endpoint {endpoint} still has {litter:?} after the calm");
                        self.referee.violation(Rule::Litter, self.now, what);
                    }
                }
                self.handle_calm(Stage::Probe { turn: 0 });
            }
            Stage::Probe { turn } => {
                let names = self.names.len().min(PROBED_NAMES_MAX);
                let (host, name) = (turn / names, turn % names);
                if host == self.hosts.len() {
                    self.over = true;
                    return;
                }
                self.probing = Some(turn);
                self.probe(host, name, PROBE_WAIT_MS);
            }
        }
    }

    fn probe(&mut self, host: usize, name: usize, wait_ms: u64) {
        self.hosts[host].tasks[0].probe = true;
        self.begin_asking(host, 0, name, wait_ms);
    }

    /// A probe has its answer.
    pub(super) fn probed(&mut self, host: usize, task: usize, asked: Asked) {
        self.hosts[host].tasks[task].probe = false;
        self.rest(host, task);
        let Some(turn) = self.probing.take() else {
            return;
        };
        if asked != Asked::Granted && !self.majority_votes() && self.probes_put_off < self.hosts.len() {
            // A step of long ago has come to light, as a host that had not asked for long asked again; it is quarantined now.
            self.probes_put_off += 1;
            self.queue.plan(self.now.plus_ms(QUIET_MS), Event::Calm(Stage::Probe { turn }));
            return;
        }
        if asked != Asked::Granted {
            let what = format!("after the calm, host {host} was not granted a lock: {asked:?}");
            self.referee.violation(Rule::NoProgress, self.now, what);
        }
        self.queue.plan(self.now.plus_ms(1_000), Event::Calm(Stage::Probe { turn: turn + 1 }));
    }

    fn majority_votes(&self) -> bool {
        let votes = |id: &EndpointId| self.voted_since(id.index(), self.now);
        self.quorum.ids().filter(votes).collect::<EndpointSet>().len() >= self.quorum.majority()
    }

    /// Who has admitted this host, voting or not.
    pub(super) fn admitted(&self, host: usize) -> EndpointSet {
        self.quorum.ids().filter(|id| self.is_admitted_at_all(host, id.index())).collect()
    }

    /// Whether an endpoint has admitted this host, voting or not.
    fn is_admitted_at_all(&self, host: usize, endpoint: usize) -> bool {
        use leasehold::protocol::call::Connection;
        let link = &self.hosts[host].links[endpoint];
        link.gate.is_open()
            && link.gate.standing().is_admitted()
            && !link.is_in_doubt()
            && matches!(link.connection, Connection::Up { .. })
            && !self.sabotaged(Control::NeverAdmittedAgain)
    }

    /// A message about an owner's lock was lost, doubled or stalled.
    pub(super) fn note_disturbed_owner(&mut self, host: usize, owner: OwnerId) {
        let parties = self.hosts[host].parties.values();
        let grants: Vec<GrantId> = parties
            .filter(|party| party.owner == owner)
            .filter_map(|party| match &party.machine {
                Machine::Hold(holding) => Some(holding.grant),
                _ => None,
            })
            .collect();
        for grant in grants {
            self.referee.noise(grant);
        }
    }
}
