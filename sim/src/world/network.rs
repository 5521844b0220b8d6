//! How messages travel between one host and one endpoint: in order over one connection, in any order across connections,
//! and sometimes not, twice, or much later.

use std::rc::Rc;

use leasehold::protocol::call::{CallError, Connection};

use super::{Event, Message, World};
use crate::plan::{Direction, Extra, FaultKind};
use crate::random::Dice;
use crate::server::{Ask, Told};
use crate::time::{At, NS_PER_MS};

/// The network between one host and one endpoint.
pub(super) struct Path {
    dice: Dice,
    /// Counts connections, with or without word of them.
    pub(super) wire: u64,
    /// The server's process that the newest leads to.
    process: u64,
    up: bool,
    /// Whether what was written to older connections still arrives.
    stale_arrives: bool,
    /// When the newest request arrives, and the newest reply: the next of this connection comes later.
    request_at: At,
    reply_at: At,
    /// What a plan to connect must show to be the newest.
    stamp: u64,
    /// How many faults touch it, and since when it has been well.
    pub(super) troubles: u32,
    pub(super) well_since: At,
}

impl Path {
    pub(super) fn new(dice: Dice) -> Self {
        Self {
            dice,
            wire: 0,
            process: 0,
            up: false,
            stale_arrives: false,
            request_at: At(0),
            reply_at: At(0),
            stamp: 0,
            troubles: 0,
            well_since: At(0),
        }
    }

    /// Something went wrong here, or will have by then.
    pub(super) fn disturb(&mut self, at: At) {
        self.well_since = self.well_since.max(at);
    }
}

impl World<'_> {
    /// Writes a call to the connection.
    pub(super) fn write(&mut self, host: usize, endpoint: usize, call: u64, ask: Ask) {
        let (now, network, noise) = (self.now, self.plan.network, self.noise);
        let delay_ns = self.delay_ns(host, endpoint, Direction::Requests);
        let held = self.partition(host, endpoint, Direction::Requests);
        let timeout_ms = u64::from(self.plan.terms.request_timeout_ms);
        let path = &mut self.paths[host][endpoint];
        if !path.up {
            // Refused by the host's own machine, or never written: silence until the timeout.
            if path.dice.percent(50) {
                let told = match &ask {
                    Ask::Admit { .. } => Told::Admit(Err(CallError::Refused("not connected".into()))),
                    Ask::Run { .. } => Told::Run(Err(CallError::Refused("not connected".into()))),
                };
                let (told, wire) = (Box::new(told), path.wire);
                self.queue.plan(now.plus_ns(10_000), Event::Answer { host, endpoint, wire, call, told });
            }
            return;
        }
        let mut at = now.plus_ns(delay_ns);
        let (mut lost, mut noisy) = (false, false);
        match held {
            Some(None) => lost = true,
            Some(Some(until)) => at = at.max(until.plus_ns(delay_ns)),
            None => {}
        }
        if noise && path.dice.chance(network.lose_request_ppm) {
            (lost, noisy) = (true, true);
            path.disturb(now);
        }
        if noise && path.dice.chance(network.stall_ppm) {
            at = at.plus_ms(path.dice.spread(timeout_ms.max(2) / 2, timeout_ms * 8));
            noisy = true;
            path.disturb(at);
        }
        at = at.max(path.request_at.plus_ns(1));
        path.request_at = at;
        let ghost_at = (noise && path.dice.chance(network.duplicate_ppm))
            .then(|| now.plus_ns(delay_ns).plus_ms(path.dice.spread(1, timeout_ms * 10)));
        let breaks_at = (noise && path.dice.chance(network.break_ppm))
            .then(|| now.plus_ns(path.dice.below(delay_ns * 3 + 1)));
        let (wire, process) = (path.wire, path.process);
        let message = Message { host, endpoint, wire, process, call, ask: Rc::new(ask), ghost: false };
        if let Some(ghost_at) = ghost_at {
            noisy = true;
            // What it takes again is nobody's, also when the attempt goes on a little and hears "held" from the first of the two:
            // for one timeout in a queue and one on the way, by a clock that may be slow.
            path.disturb(ghost_at.max(now.plus_ms(timeout_ms * 3)));
            let ghost = Message { ghost: true, ..message.clone() };
            self.queue.plan(ghost_at, Event::Arrive(Box::new(ghost)));
        }
        if breaks_at.is_some() {
            noisy = true;
            let silent = path.dice.percent(30);
            self.break_link(host, endpoint, silent);
        }
        if noisy {
            self.note_noise(&message);
        }
        if lost {
            self.note(|_| format!("  lost: request {call} of host {host} to {endpoint}"));
        } else {
            self.queue.plan(at, Event::Arrive(Box::new(message)));
        }
    }

    /// Whose grants a disturbed message is about.
    fn note_noise(&mut self, message: &Message) {
        let Ask::Run { operations, .. } = &*message.ask else {
            return;
        };
        for operation in operations {
            self.note_disturbed_owner(message.host, operation.owner);
        }
    }

    pub(super) fn handle_arrival(&mut self, message: Message) {
        let Message { host, endpoint, wire, process, call, ghost, .. } = message;
        let path = &self.paths[host][endpoint];
        if self.servers[endpoint].down > 0 {
            self.refuse_connection(host, endpoint, wire);
            return;
        }
        if self.servers[endpoint].hung > 0 {
            self.inboxes[endpoint].push(message);
            return;
        }
        if !ghost && process != self.servers[endpoint].process {
            // The process that this connection led to is gone.
            self.refuse_connection(host, endpoint, wire);
            return;
        }
        if !ghost && wire != path.wire {
            if !path.stale_arrives {
                return;
            }
            self.paths[host][endpoint].disturb(self.now);
        }
        let told = self.servers[endpoint].execute(self.now, &message.ask);
        self.after_execution(&message, &told);
        self.ring_bells(endpoint);
        let how = if ghost { " (written twice)" } else { "" };
        self.note(|_| format!("  server {endpoint} carries out {call} of host {host}{how}"));
        if !ghost {
            self.reply(host, endpoint, wire, call, told, &message);
        }
    }

    fn after_execution(&mut self, message: &Message, told: &Told) {
        use leasehold::protocol::wire::AdmitReply;
        if let Told::Admit(Ok(AdmitReply::Admitted { quarantined_ms: 1.., .. })) = told {
            let until = self.now.plus_ms(30_302);
            self.quarantines.push((message.endpoint, self.now, until));
        }
        if let Some((_, _)) = self.servers[message.endpoint].second_write {
            let after_ms = self.paths[message.host][message.endpoint].dice.spread(1, 2_000);
            self.queue.plan(self.now.plus_ms(after_ms), Event::SecondWrite { endpoint: message.endpoint });
        }
    }

    fn reply(&mut self, host: usize, endpoint: usize, wire: u64, call: u64, told: Told, message: &Message) {
        let now = self.now;
        let delay_ns = self.delay_ns(host, endpoint, Direction::Replies);
        let held = self.partition(host, endpoint, Direction::Replies);
        let (noise, lose_ppm) = (self.noise, self.plan.network.lose_reply_ppm);
        let path = &mut self.paths[host][endpoint];
        let mut at = now.plus_ns(delay_ns);
        match held {
            Some(None) => return,
            Some(Some(until)) => at = at.max(until.plus_ns(delay_ns)),
            None => {}
        }
        if noise && path.dice.chance(lose_ppm) {
            path.disturb(now);
            self.note(|_| format!("  lost: reply {call} of {endpoint} to host {host}"));
            self.note_noise(message);
            return;
        }
        if wire == path.wire {
            at = at.max(path.reply_at.plus_ns(1));
            path.reply_at = at;
        }
        self.queue.plan(at, Event::Answer { host, endpoint, wire, call, told: Box::new(told) });
    }

    pub(super) fn delay_ns(&mut self, host: usize, endpoint: usize, way: Direction) -> u64 {
        let (network, plan) = (self.plan.network, self.plan);
        let dice = &mut self.paths[host][endpoint].dice;
        let mut us = network.delay_us_min;
        for &place in &self.active {
            if let FaultKind::Slow { hosts, endpoint: slow, direction, extra } = plan.faults[place].kind
                && slow == endpoint
                && hosts & (1 << host) != 0
                && (direction == Direction::Both || direction == way)
            {
                us += match extra {
                    Extra::Constant { us } => us,
                    Extra::Uniform { us_min, us_max } => dice.between(us_min, us_max),
                    Extra::Exponential { us_mean } => dice.tail(us_mean).min(extra.us_max()),
                };
            }
        }
        let tail_ns = dice.tail(network.delay_us_tail * 1_000).min(network.delay_us_tail * 6_000);
        us * 1_000 + tail_ns
    }

    /// Whether messages in this direction are lost (`Some(None)`), or wait until some moment.
    pub(super) fn partition(&self, from_host: usize, to: usize, way: Direction) -> Option<Option<At>> {
        let mut held = None;
        for &place in &self.active {
            let fault = self.plan.faults[place];
            match fault.kind {
                FaultKind::Partition { hosts, endpoints, direction, lose }
                    if hosts & (1 << from_host) != 0
                        && endpoints & (1 << to) != 0
                        && (direction == Direction::Both || direction == way) =>
                {
                    if lose {
                        return Some(None);
                    }
                    held = held.max(Some(Some(fault.until)));
                }
                FaultKind::Stall { host, endpoint }
                    if host == from_host && endpoint == to && way == Direction::Requests =>
                {
                    held = held.max(Some(Some(fault.until)));
                }
                _ => {}
            }
        }
        held
    }

    /// A connection that leads nowhere: the other side says so, at once or never.
    fn refuse_connection(&mut self, host: usize, endpoint: usize, wire: u64) {
        let path = &mut self.paths[host][endpoint];
        if path.up && path.wire == wire {
            let silent = path.dice.percent(25);
            self.break_link(host, endpoint, silent);
        }
    }

    /// The connection breaks. Silently: the host's library connects again before anybody asks.
    pub(super) fn break_link(&mut self, host: usize, endpoint: usize, silent: bool) {
        let server = &self.servers[endpoint];
        let (process, down) = (server.process, server.down > 0);
        let (stamp, delay_ns) = (self.next_serial(), self.plan.network.delay_us_min * 1_000);
        let path = &mut self.paths[host][endpoint];
        path.disturb(self.now);
        path.wire += 1;
        path.stale_arrives = path.dice.percent(30);
        (path.request_at, path.reply_at) = (self.now, self.now);
        if silent && !down {
            (path.process, path.up) = (process, true);
            return;
        }
        path.up = false;
        path.stamp = stamp;
        self.queue.plan(self.now.plus_ns(delay_ns), Event::Broken { host, endpoint, stamp });
    }

    /// A process is gone, and its ends of connections with it.
    pub(super) fn cut(&mut self, host: usize, endpoint: usize) {
        let stamp = self.next_serial();
        let path = &mut self.paths[host][endpoint];
        path.disturb(self.now);
        path.wire += 1;
        path.stale_arrives = path.dice.percent(50);
        (path.up, path.stamp) = (false, stamp);
        (path.request_at, path.reply_at) = (self.now, self.now);
    }

    pub(super) fn handle_broken(&mut self, host: usize, endpoint: usize, stamp: u64) {
        let path = &mut self.paths[host][endpoint];
        if path.stamp != stamp {
            return;
        }
        let fails_at_once = path.dice.percent(60);
        let pause_ms = path.dice.between(1, self.plan.network.reconnect_ms);
        self.note(|_| format!("host {host}: its connection to {endpoint} is broken"));
        self.hosts[host].links[endpoint].connection = Connection::Down("reset".into());
        if fails_at_once {
            self.fail_call(host, endpoint, CallError::Unknown("the connection broke".into()));
        }
        self.connect(host, endpoint, pause_ms);
        self.stir(host, endpoint);
    }

    /// The host will try to connect.
    pub(super) fn connect(&mut self, host: usize, endpoint: usize, after_ms: u64) {
        let stamp = self.next_serial();
        let network = self.plan.network;
        self.paths[host][endpoint].stamp = stamp;
        let after_ns = after_ms * NS_PER_MS + network.delay_us_min * 2_000;
        self.queue.plan(self.now.plus_ns(after_ns), Event::Linked { host, endpoint, stamp });
    }

    pub(super) fn handle_linked(&mut self, host: usize, endpoint: usize, stamp: u64) {
        if self.paths[host][endpoint].stamp != stamp {
            return;
        }
        let reachable = self.partition(host, endpoint, Direction::Requests).is_none()
            && self.partition(host, endpoint, Direction::Replies).is_none()
            && self.servers[endpoint].is_well();
        if !reachable {
            let reconnect_ms = self.plan.network.reconnect_ms;
            self.connect(host, endpoint, reconnect_ms.max(5));
            return;
        }
        let process = self.servers[endpoint].process;
        let path = &mut self.paths[host][endpoint];
        path.wire += 1;
        (path.up, path.process) = (true, process);
        (path.request_at, path.reply_at) = (self.now, self.now);
        path.disturb(self.now);
        let link = &mut self.hosts[host].links[endpoint];
        link.epoch += 1;
        link.connection = Connection::Up { epoch: link.epoch };
        self.note(|_| format!("host {host}: connected to {endpoint}"));
        self.stir(host, endpoint);
    }
}
