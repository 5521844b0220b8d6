//! How an endpoint that may have forgotten earns its vote: one endpoint, its clients' knowledge of it, and every way to lose
//! data that the protocol must notice.
//!
//! The other slices take for granted what this one shows: between a loss of data and the next vote lies a quarantine.

use stateright::{Model, Property};

use crate::rules::Control;

const CLIENTS: usize = 2;

/// Under which identity a server votes: new at each start and promotion, and new at each start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    replid: u8,
    run: u8,
}

/// What an endpoint stores, and may lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Data {
    member: Option<Identity>,
    /// Ticks until it gives votes.
    quarantine: u8,
    /// Ticks until the lock that it voted for ends.
    lock: u8,
}

/// An admission under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Admit {
    #[default]
    None,
    Sent,
    /// Only controls have one: the first of two writes is done.
    Half,
    Answered(Identity),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Client {
    knows: Option<Identity>,
    admit: Admit,
    /// A batch under way, and the identity it names. The driver may send it over another connection.
    batch: Option<Identity>,
}

/// The endpoint, its clients, and what was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    identity: Identity,
    script: bool,
    data: Data,
    /// An older copy: on disk, or on a replica.
    copy: Option<Data>,
    clients: [Client; CLIENTS],
    /// Ticks until the longest vote ends that the data no longer knows of.
    forgotten: u8,
    faults: u8,
    voted_twice: bool,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "what each does is said in `next_state`")]
pub enum Step {
    SendAdmit(usize),
    ExecuteAdmit(usize),
    ArriveAdmit(usize),
    SendBatch(usize),
    ExecuteBatch(usize),
    Tick,
    Copy,
    Restart,
    RestartFromCopy,
    Flush,
    FlushScripts,
    ReplaceData,
    RestoreCopy,
    PromoteCopy,
}

const FAULTS: [Step; 7] = [
    Step::Restart,
    Step::RestartFromCopy,
    Step::Flush,
    Step::FlushScripts,
    Step::ReplaceData,
    Step::RestoreCopy,
    Step::PromoteCopy,
];

/// The slice.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// The rule that is broken, if any.
    pub control: Option<Control>,
    /// The TTL of locks.
    pub ttl: u8,
    /// How long an endpoint that may have forgotten gives no votes.
    pub quarantine: u8,
    /// How many faults there are.
    pub faults: u8,
}

/// No vote is given while one may stand that was forgotten.
pub const EARNED: &str = "no vote while a forgotten one stands";

impl Admission {
    fn broken(&self, control: Control) -> bool {
        self.control == Some(control)
    }

    fn same(&self, one: Identity, other: Identity) -> bool {
        one.run == other.run && (one.replid == other.replid || self.broken(Control::RunIdAlone))
    }

    /// Looks at the server and at what it stores, and admits it, in one step.
    fn admit(&self, state: &mut State, client: usize) {
        state.script = true;
        let admitted = state.data.member.is_some_and(|member| self.same(member, state.identity));
        let half = state.clients[client].admit == Admit::Half;
        let member_first = self.broken(Control::MemberBeforeQuarantine);
        let quarantine_first = self.broken(Control::QuarantineBeforeMember);
        let splits = member_first || quarantine_first;
        let anew = half || !admitted;
        if anew && (!splits || half == member_first) {
            state.data.quarantine = if self.broken(Control::NoQuarantine) { 0 } else { self.quarantine };
        }
        if anew && (!splits || half == quarantine_first) {
            state.data.member = Some(state.identity);
        }
        let admit = if splits && anew && !half { Admit::Half } else { Admit::Answered(state.identity) };
        state.clients[client].admit = admit;
    }

    /// A batch with one acquire in it.
    fn execute(&self, state: &mut State, named: Identity) {
        let proven = self.broken(Control::HashAsProof);
        let member = state.data.member.is_some_and(|member| self.same(member, named));
        let identity = self.same(named, state.identity);
        let admitted = state.script
            && (proven || member || self.broken(Control::MemberUnread))
            && (proven || identity || self.broken(Control::IdentityUnread));
        if admitted && state.data.quarantine == 0 && state.data.lock == 0 {
            state.data.lock = self.ttl;
            state.voted_twice |= state.forgotten > 0;
        }
    }

    /// Other data are there from now on.
    fn replace(state: &mut State, data: Data) {
        if data.lock != state.data.lock {
            state.forgotten = state.forgotten.max(state.data.lock);
        }
        state.data = data;
    }

    fn fault(state: &mut State, step: Step) -> Option<()> {
        let copy = state.copy;
        let Identity { replid, run } = state.identity;
        let promoted = Identity { replid: replid + 1, run };
        let started = Identity { replid: replid + 1, run: run + 1 };
        match step {
            Step::Restart => {
                Self::replace(state, Data::default());
                (state.identity, state.script) = (started, false);
            }
            Step::RestartFromCopy => {
                Self::replace(state, copy?);
                (state.identity, state.script) = (started, false);
            }
            Step::Flush => Self::replace(state, Data::default()),
            Step::FlushScripts => state.script = false,
            Step::ReplaceData => {
                // Another endpoint's: its member names that endpoint.
                let member = Some(Identity { replid: u8::MAX, run: u8::MAX });
                Self::replace(state, Data { member, ..Data::default() });
                state.identity = promoted;
            }
            Step::RestoreCopy => {
                Self::replace(state, copy?);
                state.identity = promoted;
            }
            Step::PromoteCopy => {
                Self::replace(state, copy?);
                (state.identity, state.script) = (started, true);
            }
            _ => return None,
        }
        state.faults += 1;
        Some(())
    }

    fn tick(state: &mut State) {
        for data in std::iter::once(&mut state.data).chain(&mut state.copy) {
            data.quarantine = data.quarantine.saturating_sub(1);
            data.lock = data.lock.saturating_sub(1);
        }
        state.forgotten = state.forgotten.saturating_sub(1);
    }

    /// From here a newcomer comes to its vote, if everything calms down.
    fn progress(&self, state: &State) -> bool {
        let mut calm = *state;
        for client in 0..CLIENTS {
            if calm.clients[client].admit == Admit::Half {
                self.admit(&mut calm, client);
            }
        }
        calm.clients[0].admit = Admit::Sent;
        while !matches!(calm.clients[0].admit, Admit::Answered(_)) {
            self.admit(&mut calm, 0);
        }
        (0..self.quarantine.max(self.ttl)).for_each(|_| Self::tick(&mut calm));
        let identity = calm.identity;
        self.execute(&mut calm, identity);
        calm.data.lock == self.ttl
    }
}

impl Model for Admission {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (place, client) in state.clients.iter().enumerate() {
            match client.admit {
                Admit::None => steps.push(Step::SendAdmit(place)),
                Admit::Sent | Admit::Half => steps.push(Step::ExecuteAdmit(place)),
                Admit::Answered(_) => steps.push(Step::ArriveAdmit(place)),
            }
            match client.batch {
                None => steps.push(Step::SendBatch(place)),
                Some(_) => steps.push(Step::ExecuteBatch(place)),
            }
        }
        steps.extend([Step::Tick, Step::Copy]);
        if state.faults < self.faults {
            steps.extend(FAULTS);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = *state;
        match step {
            Step::SendAdmit(client) => next.clients[client].admit = Admit::Sent,
            Step::ExecuteAdmit(client) => self.admit(&mut next, client),
            Step::ArriveAdmit(client) => {
                let Admit::Answered(identity) = next.clients[client].admit else { return None };
                next.clients[client].admit = Admit::None;
                next.clients[client].knows = Some(identity);
            }
            Step::SendBatch(client) => next.clients[client].batch = Some(next.clients[client].knows?),
            Step::ExecuteBatch(client) => {
                let named = next.clients[client].batch.take()?;
                self.execute(&mut next, named);
            }
            Step::Tick => Self::tick(&mut next),
            Step::Copy => next.copy = Some(next.data),
            fault => Self::fault(&mut next, fault)?,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EARNED, |_, state: &State| !state.voted_twice),
            Property::always(crate::referee::PROGRESS, |model: &Self, state| model.progress(state)),
            Property::sometimes("it votes after it forgot", |model: &Self, state: &State| {
                state.faults == model.faults && state.data.lock == model.ttl && state.copy.is_some()
            }),
        ]
    }
}
