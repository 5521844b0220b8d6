//! Waiting in line: what the shell does between tasks, the machine of each waiter, and the hand-overs of endpoints, word of which
//! comes over a connection of their own and may be lost, late, or of a connection that is no more.

use std::collections::VecDeque;

use leasehold::protocol::operation::HandOver;
use leasehold::protocol::{ClientId, EndpointId, EndpointSet, Moment, Quorum, Waiting};

use super::host::Machine;
use super::{Event, PartyId, World};
use crate::plan::Direction;
use crate::sabotage::Control;
use crate::time::{At, NS_PER_MS};

/// A host's lines, one a name, of which the first asks the endpoints; and its ears.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) tasks: Vec<VecDeque<usize>>,
    /// Whether wake-ups are listened for: from the first lock on that was found held.
    pub(super) open: bool,
    pub(super) heard: EndpointSet,
    /// The connection of each endpoint over which wake-ups come; one that is made anew has another number.
    bells: Vec<Bell>,
}

#[derive(Clone, Copy, Default)]
struct Bell {
    number: u64,
    up: bool,
    /// When the newest word over it arrives: the next comes later.
    word_at: At,
}

/// A task's place in the line of its host.
pub(super) struct Seat {
    machine: Waiting,
    /// Whether nobody of its host is before it.
    first: bool,
    since: At,
    /// What a control makes of it: nothing but a wake-up lets it try again.
    asleep: bool,
}

/// A word to a host that listens.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// A lock was given to this host.
    HandedOver(Box<HandOver>),
    /// It is listened to from here on.
    Heard,
    /// No longer.
    Unheard,
}

impl Lines {
    pub(super) fn new(names: usize, endpoints: usize) -> Self {
        let (tasks, bells) = (vec![VecDeque::new(); names], vec![Bell::default(); endpoints]);
        Self { tasks, bells, ..Self::default() }
    }
}

impl Seat {
    fn new(quorum: Quorum, jitter_seed: u64, first: bool, since: At) -> Self {
        Self { machine: Waiting::new(quorum, jitter_seed), first, since, asleep: false }
    }

    /// When it should try; `None` while others are before it.
    pub(super) fn try_at(&self) -> Option<Moment> {
        (self.first && !self.asleep).then(|| self.machine.poll_timeout())
    }
}

impl World<'_> {
    /// A task stands at the end of its host's line.
    pub(super) fn take_seat(&mut self, host: usize, task: usize, name: usize) {
        if self.hosts[host].tasks[task].seat.is_some() {
            return;
        }
        let this = &mut self.hosts[host];
        let first = this.lines.tasks[name].is_empty();
        this.lines.tasks[name].push_back(task);
        let seat = Seat::new(self.quorum, this.dice.bits(), first, self.now);
        this.tasks[task].seat = Some(seat);
        self.busy[name].waiters += 1;
        self.busy[name].newest = self.now;
        self.watch(name);
    }

    /// It asks.
    pub(super) fn seat_starts(&mut self, host: usize, task: usize) {
        if let Some(seat) = &mut self.hosts[host].tasks[task].seat {
            seat.machine.handle_start();
        }
    }

    /// It is in line on endpoints, and this is what each of them said.
    pub(super) fn seat_in_line(&mut self, host: usize, task: usize, party: PartyId) {
        let (now, replies) = (self.moment(host), self.replies_to(host, party));
        let ttl_ms = self.hosts[host].parties.get(&party).map_or(0, |party| party.ttl_ms);
        let asleep = self.sabotaged(Control::NoPoll);
        if let Some(seat) = &mut self.hosts[host].tasks[task].seat {
            seat.asleep = asleep;
            seat.machine.handle_in_line(now, &replies, ttl_ms);
        }
    }

    /// It asked in vain.
    pub(super) fn seat_failed(&mut self, host: usize, task: usize) {
        let now = self.moment(host);
        if let Some(seat) = &mut self.hosts[host].tasks[task].seat {
            seat.machine.handle_failure(now);
        }
    }

    /// It leaves the line, and whoever comes next in its host is the first.
    pub(super) fn leave_seat(&mut self, host: usize, task: usize) {
        let name = self.hosts[host].tasks[task].name;
        let this = &mut self.hosts[host];
        if this.tasks[task].seat.take().is_none() {
            return;
        }
        self.busy[name].waiters -= 1;
        let line = &mut this.lines.tasks[name];
        let was_first = line.front() == Some(&task);
        line.retain(|other| *other != task);
        match line.front().copied() {
            Some(next) if was_first && !self.sabotaged(Control::WaiterForgotten) => {
                if let Some(seat) = &mut self.hosts[host].tasks[next].seat {
                    seat.first = true;
                }
                self.disturb(host, next);
            }
            Some(_) | None => {}
        }
    }

    /// A process dies, and its lines with it.
    pub(super) fn lose_lines(&mut self, host: usize) {
        for task in 0..self.hosts[host].tasks.len() {
            let name = self.hosts[host].tasks[task].name;
            if self.hosts[host].tasks[task].seat.take().is_some() {
                self.busy[name].waiters -= 1;
            }
        }
        self.hosts[host].lines = Lines::new(self.plan.names, self.plan.endpoints);
        let client = self.hosts[host].client;
        for endpoint in 0..self.plan.endpoints {
            self.servers[endpoint].stop_listening(client);
        }
    }

    /// A waiting task looks up soon.
    fn disturb(&mut self, host: usize, task: usize) {
        if self.hosts[host].tasks[task].waits() {
            let after_ns = self.hosts[host].dice.below(100_000);
            self.plan_task(host, task, after_ns);
        }
    }

    /// Lines are opened, and wake-ups listened for.
    pub(super) fn listen(&mut self, host: usize) {
        if std::mem::replace(&mut self.hosts[host].lines.open, true) {
            return;
        }
        for endpoint in 0..self.plan.endpoints {
            self.ring_up(host, endpoint, 0);
        }
    }

    /// The host will try to connect its ear to an endpoint.
    fn ring_up(&mut self, host: usize, endpoint: usize, after_ms: u64) {
        let number = self.next_serial();
        self.hosts[host].lines.bells[endpoint] = Bell { number, up: false, word_at: self.now };
        let after_ns = after_ms * NS_PER_MS + self.plan.network.delay_us_min * 2_000;
        self.queue.plan(self.now.plus_ns(after_ns), Event::Bell { host, endpoint, number });
    }

    pub(super) fn handle_bell(&mut self, host: usize, endpoint: usize, number: u64) {
        if self.hosts[host].lines.bells[endpoint].number != number {
            return;
        }
        if !self.servers[endpoint].is_well() || self.is_cut_off(host, endpoint) {
            let reconnect_ms = self.plan.network.reconnect_ms.max(5);
            self.ring_up(host, endpoint, reconnect_ms);
            return;
        }
        let client = self.hosts[host].client;
        self.servers[endpoint].listen(client);
        self.hosts[host].lines.bells[endpoint].up = true;
        self.say(host, endpoint, Word::Heard);
    }

    /// The ear to an endpoint is gone; what was said meanwhile is lost.
    pub(super) fn break_bell(&mut self, host: usize, endpoint: usize) {
        if !self.hosts[host].lines.open || !self.hosts[host].lines.bells[endpoint].up {
            return;
        }
        let client = self.hosts[host].client;
        // Half of the time the server has not learned of it, and goes on ringing there.
        if self.hosts[host].dice.percent(50) {
            self.servers[endpoint].stop_listening(client);
        }
        let number = self.hosts[host].lines.bells[endpoint].number;
        let at = self.now.plus_ns(self.plan.network.delay_us_min * 1_000);
        self.queue.plan(at, Event::Word { host, endpoint, number, word: Word::Unheard });
        self.hosts[host].lines.bells[endpoint].up = false;
    }

    /// What an endpoint has given is told.
    pub(super) fn ring_bells(&mut self, endpoint: usize) {
        while let Some(word) = self.servers[endpoint].poll_hand_over() {
            let client = word.owner.client();
            let host = self.hosts.iter().position(|host| host.client == client && host.dead == 0);
            self.counts.hand_overs += 1;
            if let Some(host) = host {
                self.say(host, endpoint, Word::HandedOver(Box::new(word)));
            }
        }
        if let Some(what) = self.servers[endpoint].take_finding() {
            let what = format!("endpoint {endpoint} {what}");
            self.referee.violation(crate::referee::Rule::FalseHandOver, self.now, what);
        }
    }

    /// A word to a host: in order over one connection, lost where nobody hears it.
    fn say(&mut self, host: usize, endpoint: usize, word: Word) {
        let delay_ns = self.delay_ns(host, endpoint, Direction::Replies);
        let held = self.partition(host, endpoint, Direction::Replies);
        let (noise, lose_ppm) = (self.noise, self.plan.network.lose_reply_ppm);
        let lost = noise && self.hosts[host].dice.chance(lose_ppm) && matches!(word, Word::HandedOver(_));
        let bell = &mut self.hosts[host].lines.bells[endpoint];
        if lost || !bell.up || held == Some(None) {
            self.counts.hand_overs_lost += u64::from(matches!(word, Word::HandedOver(_)));
            return;
        }
        let at = held.flatten().unwrap_or(self.now).plus_ns(delay_ns).max(bell.word_at.plus_ns(1));
        bell.word_at = at;
        let number = bell.number;
        self.queue.plan(at, Event::Word { host, endpoint, number, word });
    }

    pub(super) fn handle_word(&mut self, host: usize, endpoint: usize, number: u64, word: Word) {
        // What was read off a connection before it broke may be heard after it.
        if self.hosts[host].lines.bells[endpoint].number != number && !matches!(word, Word::HandedOver(_)) {
            return;
        }
        let id = self.hosts[host].links[endpoint].id;
        let names = match word {
            Word::HandedOver(word) => {
                let Some(name) = self.handed_over(host, id, &word) else {
                    return;
                };
                name..name + 1
            }
            Word::Heard => {
                self.hosts[host].lines.heard.insert(id);
                self.tell_heard(host);
                0..self.names.len()
            }
            Word::Unheard => {
                self.hosts[host].lines.heard.remove(id);
                self.tell_heard(host);
                let reconnect_ms = self.plan.network.reconnect_ms;
                self.ring_up(host, endpoint, reconnect_ms);
                0..self.names.len()
            }
        };
        for name in names {
            if let Some(task) = self.hosts[host].lines.tasks[name].front().copied() {
                self.wake_seat(host, task, id);
            }
        }
    }

    /// Attempts learn which endpoints are heard.
    fn tell_heard(&mut self, host: usize) {
        let heard = self.hosts[host].lines.heard;
        let parties: Vec<PartyId> = self.hosts[host].parties.keys().copied().collect();
        for id in parties {
            self.drive_attempt(host, id, |attempt, now| attempt.handle_heard(now, heard));
        }
    }

    /// An endpoint gave a lock to an attempt: it counts as its vote if it is known to be from there. Gives the name, unless the
    /// attempt is over.
    fn handed_over(&mut self, host: usize, endpoint: EndpointId, word: &HandOver) -> Option<usize> {
        let known = self.hosts[host].links[endpoint.index()].gate.standing().vouches_for(&word.member);
        let newest = self.sabotaged(Control::HandOverForNewest);
        let mut parties = self.hosts[host].parties.iter();
        let (&id, name, proposal) = parties.find_map(|(id, party)| match party.machine {
            Machine::Attempt { newest: asked, .. } if party.owner == word.owner && party.task.is_some() => {
                Some((id, party.name, if newest { asked } else { word.proposal }))
            }
            _ => None,
        })?;
        if known {
            self.drive_attempt(host, id, |attempt, now| {
                attempt.handle_hand_over(now, endpoint, proposal, word.fence);
            });
        }
        Some(name)
    }

    fn wake_seat(&mut self, host: usize, task: usize, endpoint: EndpointId) {
        let now = self.moment(host);
        if let Some(seat) = &mut self.hosts[host].tasks[task].seat {
            seat.asleep = false;
            seat.machine.handle_wake(now, endpoint);
        }
        self.disturb(host, task);
    }

    fn is_cut_off(&self, host: usize, endpoint: usize) -> bool {
        self.partition(host, endpoint, Direction::Requests).is_some()
            || self.partition(host, endpoint, Direction::Replies).is_some()
    }

    /// How long the longest-waiting of the hosts that are well has waited for a name.
    pub(super) fn waits_since(&self, name: usize, well_since: At) -> Option<At> {
        let hosts = 0..self.hosts.len();
        hosts
            .filter(|&host| self.was_well(host, well_since))
            .flat_map(|host| self.hosts[host].lines.tasks[name].iter().map(move |&task| (host, task)))
            .filter_map(|(host, task)| self.hosts[host].tasks[task].seat.as_ref())
            .map(|seat| seat.since)
            .min()
    }

    /// The client of a process: no two processes have the same.
    pub(super) fn new_client(&mut self, host: usize) -> ClientId {
        let serial = self.next_serial();
        ClientId::new(((host as u64 + 1) << 48) | serial)
    }
}
