//! One process: its clocks, its client's machines, and the tasks that ask for leases. It can stand still, and it can die.

use std::collections::BTreeMap;

use leasehold::protocol::limiter::Ticket;
use leasehold::protocol::{
    Attempt, ClientId, EndpointSet, Hold, Limiter, Moment, OwnerId, Peers, Quorum, Round, Validation,
};

use super::hold::HoldTerms;
use super::line::Lines;
use super::link::Link;
use super::task::Task;
use super::{Event, PartyId, World};
use crate::plan::{HostPlan, Plan};
use crate::random::{Dice, Stream};
use crate::referee::{End, GrantId};
use crate::time::{At, Clock, NS_PER_MS};

/// What a holder's clock shows at the beginning.
const UPTIME_NS: u64 = 5_000_000_000_000;
/// When the world's clocks begin, in microseconds since 1970.
const BEGIN_US: u64 = 1_763_806_000_000_000;

pub(super) struct Host {
    pub(super) plan: HostPlan,
    /// Who its process is to endpoints.
    pub(super) client: ClientId,
    pub(super) lines: Lines,
    pub(super) clock: Clock,
    /// How far its wall clock is off by now.
    pub(super) wall_offset_us: i64,
    pub(super) dice: Dice,
    /// How many faults keep it dead, or standing still.
    pub(super) dead: u32,
    pub(super) asleep: u32,
    /// What happened to it while it stood still.
    pub(super) missed: Vec<Event>,
    /// How many faults touch it, and since when it has been well.
    pub(super) troubles: u32,
    pub(super) well_since: At,
    /// When its clock stopped, while it does not run.
    pub(super) frozen_since: Option<At>,
    pub(super) links: Vec<Link>,
    pub(super) peers: Peers,
    pub(super) limiter: Limiter<PartyId>,
    pub(super) limiter_alarm: Option<(Moment, u64)>,
    pub(super) parties: BTreeMap<PartyId, Party>,
    pub(super) tasks: Vec<Task>,
    pub(super) last_proposal: u64,
}

/// One machine, and what the shell keeps beside it.
pub(super) struct Party {
    pub(super) machine: Machine,
    pub(super) name: usize,
    pub(super) owner: OwnerId,
    pub(super) ttl_ms: u32,
    pub(super) timeout_ms: u32,
    pub(super) t0: Moment,
    pub(super) called: At,
    /// Requests that have had no answer.
    pub(super) outstanding: u32,
    /// When it wants to be told that time has passed.
    pub(super) alarm: Option<(Moment, u64)>,
    /// Who waits for it.
    pub(super) task: Option<usize>,
    /// Nobody does any more, and it has nothing left to do.
    pub(super) over: bool,
}

pub(super) enum Machine {
    /// `due`: the endpoints that must grant it. `raised`: endpoints drew different tokens, so it needs a second answer from some.
    /// `newest`: the proposal with which it asked last.
    Attempt {
        attempt: Attempt,
        due: EndpointSet,
        raised: bool,
        newest: u64,
    },
    Hold(Box<Holding>),
    Validation(Validation),
}

/// A lease, and what belongs to it.
pub(super) struct Holding {
    pub(super) hold: Hold,
    pub(super) grant: GrantId,
    pub(super) terms: HoldTerms,
    pub(super) ticket: Option<Ticket>,
    pub(super) pace_ms: Option<u32>,
    /// The newest round of extends: what a control takes every answer for.
    pub(super) newest_renewal: Round,
}

impl Machine {
    /// Whether it may take a lock, or hold it.
    pub(super) const fn is_after_a_lock(&self) -> bool {
        matches!(self, Self::Attempt { .. } | Self::Hold(_))
    }
}

impl Host {
    pub(super) fn new(plan: &Plan, quorum: Quorum, place: usize) -> Self {
        let host = plan.hosts[place];
        let clock = Clock::new(UPTIME_NS, host.rate_ppm);
        let tasks = (0..host.tasks)
            .map(|task| Task::new(Dice::new(plan.seed, Stream::Work, place * 64 + task)))
            .collect();
        Self {
            plan: host,
            client: ClientId::new(place as u64),
            lines: Lines::new(plan.names, plan.endpoints),
            clock,
            wall_offset_us: host.wall_offset_us,
            dice: Dice::new(plan.seed, Stream::Host, place),
            dead: 0,
            asleep: 0,
            missed: Vec::new(),
            troubles: 0,
            well_since: At(0),
            frozen_since: None,
            links: Vec::new(),
            peers: Peers::new(quorum),
            limiter: Limiter::new(clock.moment(At(0))),
            limiter_alarm: None,
            parties: BTreeMap::new(),
            tasks,
            last_proposal: 0,
        }
    }

    pub(super) const fn runs(&self) -> bool {
        self.dead == 0 && self.asleep == 0
    }

    /// The wall clock in microseconds, no two proposals alike.
    pub(super) fn next_proposal(&mut self, now: At) -> u64 {
        let wall_us = (BEGIN_US + now.0 / 1_000).saturating_add_signed(self.wall_offset_us);
        let wall_us = wall_us - wall_us % self.plan.wall_grain_us;
        self.last_proposal = wall_us.max(self.last_proposal + 1);
        self.last_proposal
    }
}

impl World<'_> {
    /// A process begins.
    pub(super) fn start_host(&mut self, host: usize) {
        let now = self.now;
        let moment = self.hosts[host].clock.moment(now);
        self.note(|_| format!("host {host} starts"));
        self.hosts[host].client = self.new_client(host);
        let peers = Peers::new(self.quorum);
        let links = self.quorum.ids().map(|id| Link::new(moment, id)).collect();
        let this = &mut self.hosts[host];
        (this.peers, this.links, this.limiter) = (peers, links, Limiter::new(moment));
        this.limiter_alarm = None;
        for endpoint in 0..self.plan.endpoints {
            self.connect(host, endpoint, 0);
        }
        for task in 0..self.hosts[host].tasks.len() {
            self.rest(host, task);
        }
    }

    /// The process dies with all it holds.
    pub(super) fn kill_host(&mut self, host: usize) {
        self.note(|_| format!("host {host} dies"));
        let parties = std::mem::take(&mut self.hosts[host].parties);
        for party in parties.into_values() {
            self.busy[party.name].count -= u32::from(party.machine.is_after_a_lock());
            if let Machine::Hold(holding) = party.machine {
                self.referee.ended(holding.grant, self.now, End::Crashed);
                self.referee.acts_no_more(holding.grant);
            }
        }
        self.lose_lines(host);
        for task in 0..self.hosts[host].tasks.len() {
            self.stop_task(host, task);
        }
        for endpoint in 0..self.plan.endpoints {
            self.cut(host, endpoint);
        }
        self.hosts[host].missed.clear();
    }

    /// What happens to a process that stands still happens when it runs again; to one that is dead, never.
    pub(super) fn defer_if_asleep(&mut self, event: Event) -> Option<Event> {
        let host = match &event {
            Event::Timer { host, .. }
            | Event::Limiter { host, .. }
            | Event::Task { host, .. }
            | Event::Cancel { host, .. }
            | Event::Poke { host, .. }
            | Event::Answer { host, .. }
            | Event::CallTimeout { host, .. }
            | Event::Broken { host, .. }
            | Event::Bell { host, .. }
            | Event::Word { host, .. }
            | Event::Linked { host, .. } => *host,
            _ => return Some(event),
        };
        let this = &mut self.hosts[host];
        if this.dead > 0 {
            return None;
        }
        if this.asleep > 0 {
            this.missed.push(event);
            return None;
        }
        Some(event)
    }

    /// It runs again: timers and messages come in no particular order, but messages of one connection in theirs.
    pub(super) fn wake_host(&mut self, host: usize) {
        self.note(|_| format!("host {host} runs again"));
        let missed = std::mem::take(&mut self.hosts[host].missed);
        let mut newest = vec![At(0); self.plan.endpoints];
        for event in missed {
            let mut at = self.now.plus_ns(self.hosts[host].dice.below(NS_PER_MS / 2));
            if let Event::Answer { endpoint, .. } | Event::Word { endpoint, .. } = event {
                at = at.max(newest[endpoint].plus_ns(1));
                newest[endpoint] = at;
            }
            self.queue.plan(at, event);
        }
    }

    /// Now, by a host's own clock.
    pub(super) fn moment(&self, host: usize) -> Moment {
        self.hosts[host].clock.moment(self.now)
    }

    /// When a timer of a host rings that is set to `moment`: a little late.
    pub(super) fn ring_at(&mut self, host: usize, moment: Moment) -> At {
        let late_ns = match self.hosts[host].dice.below(8) {
            0 => self.hosts[host].dice.below(3 * NS_PER_MS),
            _ => self.hosts[host].dice.below(NS_PER_MS / 5),
        };
        self.hosts[host].clock.at(moment).max(self.now).plus_ns(late_ns)
    }

    /// Sets a machine's timer anew, if it wants another.
    pub(super) fn set_alarm(&mut self, host: usize, id: PartyId, wanted: Option<Moment>) {
        let current = self.hosts[host].parties.get(&id).and_then(|party| party.alarm);
        if wanted == current.map(|(moment, _)| moment) {
            return;
        }
        let stamp = self.next_serial();
        if let Some(moment) = wanted {
            let at = self.ring_at(host, moment);
            self.queue.plan(at, Event::Timer { host, party: id, stamp });
        }
        if let Some(party) = self.hosts[host].parties.get_mut(&id) {
            party.alarm = wanted.map(|moment| (moment, stamp));
        }
    }

    pub(super) fn handle_timer(&mut self, host: usize, id: PartyId, stamp: u64) {
        let Some(party) = self.hosts[host].parties.get_mut(&id) else {
            return;
        };
        let Some((moment, _)) = party.alarm.take_if(|(_, newest)| *newest == stamp) else {
            return;
        };
        // A clock that was slowed or stopped meanwhile does not show that moment yet.
        if self.moment(host) < moment {
            self.set_alarm(host, id, Some(moment));
            return;
        }
        match self.hosts[host].parties.get(&id).map(|party| &party.machine) {
            Some(Machine::Attempt { .. }) => {
                self.drive_attempt(host, id, |attempt, now| attempt.handle_timeout(now));
            }
            Some(Machine::Hold(_)) => self.drive_hold(host, id, |hold, now| hold.handle_timeout(now)),
            Some(Machine::Validation(_)) => {
                self.drive_validation(host, id, |validation, now| validation.handle_timeout(now));
            }
            None => {}
        }
    }

    /// Forgets a machine that nobody waits for any more.
    pub(super) fn bury_if_over(&mut self, host: usize, id: PartyId) {
        let parties = &mut self.hosts[host].parties;
        if parties.get(&id).is_some_and(|party| party.over && party.outstanding == 0)
            && let Some(party) = parties.remove(&id)
            && party.machine.is_after_a_lock()
        {
            self.busy[party.name].count -= 1;
        }
    }
}
