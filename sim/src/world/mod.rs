//! One run in virtual time: hosts whose clients are the protocol's own machines, servers, the network between them, and the
//! faults of the plan. One thread, one queue of events, and no chance but the seed's.

mod attempt;
mod calm;
mod faults;
mod hold;
mod host;
mod line;
mod link;
mod network;
mod starving;
mod task;

use std::rc::Rc;

use leasehold::protocol::{LeaseName, Quorum};
use leasehold::scripts::Settings;

use crate::plan::{Assumptions, Plan};
use crate::queue::Queue;
use crate::random::{Dice, Stream};
use crate::referee::{Counts, Referee, Violation};
use crate::sabotage::Control;
use crate::server::{Ask, SNAPSHOT_MS, Server, Told};
use crate::time::{At, NS_PER_MS};
use host::Host;

/// A machine of one host, by the order in which they were made.
type PartyId = u64;

/// What is to happen.
#[derive(Debug)]
enum Event {
    /// A machine wants to be told that time has passed.
    Timer { host: usize, party: PartyId, stamp: u64 },
    /// A renewal may be admitted.
    Limiter { host: usize, stamp: u64 },
    /// A task goes on.
    Task { host: usize, task: usize, stamp: u64 },
    /// A task's future is dropped.
    Cancel { host: usize, task: usize, stamp: u64 },
    /// A courier looks again.
    Poke { host: usize, endpoint: usize, stamp: u64 },
    /// A request arrives at a server.
    Arrive(Box<Message>),
    /// A reply arrives at a host.
    Answer { host: usize, endpoint: usize, wire: u64, call: u64, told: Box<Told> },
    /// A call has had its time.
    CallTimeout { host: usize, endpoint: usize, call: u64 },
    /// A host learns that a connection is broken.
    Broken { host: usize, endpoint: usize, stamp: u64 },
    /// A host has connected, or tries again.
    Linked { host: usize, endpoint: usize, stamp: u64 },
    /// A host's ear to an endpoint is connected, or tries again.
    Bell { host: usize, endpoint: usize, number: u64 },
    /// A word of an endpoint arrives at a host that listens.
    Word { host: usize, endpoint: usize, number: u64, word: line::Word },
    /// A look at a name that somebody waits for.
    Look { name: usize },
    /// A fault begins, or is over.
    Fault { place: usize, begins: bool },
    /// Servers keep their data sets.
    Snapshot,
    /// The second half of an admission, where a control has split it.
    SecondWrite { endpoint: usize },
    /// A lock must be gone by now, if nothing went wrong meanwhile.
    Remains(Box<calm::Remains>),
    /// The calm goes on.
    Calm(calm::Stage),
}

/// A request on its way.
#[derive(Clone, Debug)]
struct Message {
    host: usize,
    endpoint: usize,
    /// The connection it was written to, and the process that led to.
    wire: u64,
    process: u64,
    call: u64,
    ask: Rc<Ask>,
    /// Written a second time by somebody on the way: nobody waits for its reply, and no connection's end stops it.
    ghost: bool,
}

/// How a run is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Write down what happens, in words.
    pub trace: bool,
    /// A rule that is broken on purpose.
    pub sabotage: Option<Control>,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What there was.
    pub counts: Counts,
    /// What was found wrong. Beyond the plan's assumptions, only rules that hold there.
    pub violations: Vec<Violation>,
    /// What happened, if that was asked for.
    pub trace: String,
}

/// Events of one run at the most: a run that does not come to its end is a finding.
const EVENTS_MAX: u64 = 20_000_000;

struct World<'a> {
    plan: &'a Plan,
    options: Options,
    quorum: Quorum,
    names: Vec<LeaseName>,
    now: At,
    queue: Queue<Event>,
    hosts: Vec<Host>,
    servers: Vec<Server>,
    /// The network between each host and each endpoint.
    paths: Vec<Vec<network::Path>>,
    /// Faults that are active, by place in the plan.
    active: Vec<usize>,
    /// Attempts and leases of each name that are under way, and the newest beginning of one.
    busy: Vec<Busy>,
    watches: Vec<starving::Watch>,
    referee: Referee,
    counts: Counts,
    serial: u64,
    /// Whether messages get lost, doubled and stalled as planned.
    noise: bool,
    /// Couriers with something to do.
    stirred: Vec<(usize, usize)>,
    /// Which endpoint gave no votes from when until when.
    quarantines: Vec<(usize, At, At)>,
    /// What arrived at servers that stand still.
    inboxes: Vec<Vec<Message>>,
    /// The probe under way, by its turn.
    probing: Option<usize>,
    /// Probes that came while a majority was in quarantine.
    probes_put_off: usize,
    trace: String,
    over: bool,
}

/// Who is after a name.
#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    count: u32,
    newest: At,
    /// Tasks in line for it.
    waiters: u32,
}

/// Plays the plan.
#[must_use]
pub fn simulate(plan: &Plan, options: Options) -> Outcome {
    let mut world = World::new(plan, options);
    world.begin();
    while let Some((at, event)) = world.queue.pop() {
        world.now = at.max(world.now);
        world.counts.events += 1;
        world.handle(event);
        world.run_couriers();
        if world.over || world.counts.events > EVENTS_MAX {
            break;
        }
    }
    world.finish()
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, options: Options) -> Self {
        let quorum = Quorum::new(plan.endpoints).unwrap_or_else(|error| unreachable!("{error}"));
        let settings = Rc::new(Settings {
            namespace: "lh".to_owned(),
            database: 0,
            endpoints: quorum.endpoints(),
            ttl_ms_max: plan.terms.ttl_ms_max,
        });
        let name =
            |place| LeaseName::new(&format!("name:{place}")).unwrap_or_else(|error| unreachable!("{error}"));
        let server = |(place, &server)| {
            Server::new(Rc::clone(&settings), server, place, plan.terms.ttl_ms_high, options.sabotage)
        };
        let path = |host: usize, endpoint: usize| {
            network::Path::new(Dice::new(plan.seed, Stream::Network, host * 16 + endpoint))
        };
        let hosts = plan.hosts.len();
        Self {
            plan,
            options,
            quorum,
            names: (0..plan.names).map(name).collect(),
            now: At(0),
            queue: Queue::default(),
            hosts: (0..hosts).map(|place| Host::new(plan, quorum, place)).collect(),
            servers: plan.servers.iter().enumerate().map(server).collect(),
            paths: (0..hosts).map(|host| (0..plan.endpoints).map(|end| path(host, end)).collect()).collect(),
            active: Vec::new(),
            busy: vec![Busy::default(); plan.names],
            watches: vec![starving::Watch::default(); plan.names],
            referee: Referee::new(plan.names),
            counts: Counts::default(),
            serial: 0,
            noise: true,
            stirred: Vec::new(),
            quarantines: Vec::new(),
            inboxes: vec![Vec::new(); plan.endpoints],
            probing: None,
            probes_put_off: 0,
            trace: String::new(),
            over: false,
        }
    }

    fn begin(&mut self) {
        for server in &mut self.servers {
            server.declare(self.plan.fresh);
        }
        for (place, fault) in self.plan.faults.iter().enumerate() {
            self.queue.plan(fault.from, Event::Fault { place, begins: true });
            self.queue.plan(fault.until, Event::Fault { place, begins: false });
        }
        if self.plan.faults.iter().any(|fault| matches!(fault.kind.index(), 4..=6 | 8)) {
            self.queue.plan(At(0), Event::Snapshot);
        }
        for host in 0..self.hosts.len() {
            self.start_host(host);
        }
        self.queue.plan(self.plan.length, Event::Calm(calm::Stage::Begin));
    }

    fn handle(&mut self, event: Event) {
        let Some(event) = self.defer_if_asleep(event) else {
            return;
        };
        match event {
            Event::Timer { host, party, stamp } => self.handle_timer(host, party, stamp),
            Event::Limiter { host, stamp } => self.handle_limiter(host, stamp),
            Event::Task { host, task, stamp } => self.handle_task(host, task, stamp),
            Event::Cancel { host, task, stamp } => self.handle_cancel(host, task, stamp),
            Event::Poke { host, endpoint, stamp } => self.handle_poke(host, endpoint, stamp),
            Event::Arrive(message) => self.handle_arrival(*message),
            Event::Answer { host, endpoint, wire, call, told } => {
                self.handle_answer(host, endpoint, wire, call, *told);
            }
            Event::CallTimeout { host, endpoint, call } => self.handle_call_timeout(host, endpoint, call),
            Event::Broken { host, endpoint, stamp } => self.handle_broken(host, endpoint, stamp),
            Event::Linked { host, endpoint, stamp } => self.handle_linked(host, endpoint, stamp),
            Event::Bell { host, endpoint, number } => self.handle_bell(host, endpoint, number),
            Event::Word { host, endpoint, number, word } => self.handle_word(host, endpoint, number, word),
            Event::Look { name } => self.handle_look(name),
            Event::Fault { place, begins } => self.handle_fault(place, begins),
            Event::Snapshot => self.handle_snapshot(),
            Event::SecondWrite { endpoint } => self.servers[endpoint].write_second(self.now),
            Event::Remains(remains) => self.handle_remains(&remains),
            Event::Calm(stage) => self.handle_calm(stage),
        }
    }

    fn handle_snapshot(&mut self) {
        for server in self.servers.iter_mut().filter(|server| server.down == 0) {
            server.snapshot(self.now);
        }
        if self.now < self.plan.length {
            self.queue.plan(self.now.plus_ms(SNAPSHOT_MS), Event::Snapshot);
        }
    }

    fn finish(mut self) -> Outcome {
        if self.counts.events > EVENTS_MAX {
            let what = format!("the run had not come to its end after {EVENTS_MAX} events");
            self.referee.violation(crate::referee::Rule::NoProgress, self.now, what);
        }
        let quarantines: Vec<_> = self.quarantines.iter().map(|&(_, from, until)| (from, until)).collect();
        let (mut counts, mut violations) = self.referee.finish(self.now, &self.plan.faults, &quarantines);
        self.counts.virtual_ms = self.now.0 / NS_PER_MS;
        counts += &self.counts;
        if self.plan.assumptions == Assumptions::Broken {
            violations.retain(|violation| !violation.rule.needs_assumptions());
        }
        Outcome { counts, violations, trace: self.trace }
    }

    /// A number that no other thing of this run has.
    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn sabotaged(&self, control: Control) -> bool {
        self.options.sabotage == Some(control)
    }

    /// Writes down what happens, if that is asked for.
    fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.options.trace {
            let line = format!("{} {}\n", self.now, what(self));
            self.trace.push_str(&line);
        }
    }
}
