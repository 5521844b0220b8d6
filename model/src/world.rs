//! All steps that may follow a state.

use stateright::{Model, Property};

use crate::referee::{self, Sight};
use crate::rules::{Control, Rules, Tokens};
use crate::state::{ASKS, Column, ENDPOINTS, Op, Phase, Purpose, Request, Slot, State, UNITS, Won};

/// One slice of the protocol's possibilities.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Its bounds.
    pub rules: Rules,
    /// What must be seen in it.
    pub sight: Sight,
}

/// A step. Clients, endpoints and rounds are named by their places; `first` is who is given the lock, if anybody in line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "what each does is said in `next_state`")]
pub enum Step {
    Call { client: usize, ttl: u8, proposal: u8 },
    Execute { client: usize, endpoint: usize, round: usize, first: Option<usize> },
    ExecuteTwice { client: usize, endpoint: usize, round: usize, first: Option<usize> },
    ExecuteStray { client: usize, endpoint: usize, stray: usize, first: Option<usize> },
    Arrive { client: usize, endpoint: usize, round: usize },
    Hear { client: usize, endpoint: usize, ask: usize },
    AskAgain { client: usize, proposal: u8 },
    GiveUp { client: usize },
    Begin { client: usize, purpose: Purpose, ttl: u8 },
    Release { client: usize },
    Pause { client: usize },
    Wake { client: usize },
    Tick,
    TickWithoutClient { client: usize },
    TickOfEndpoint { endpoint: usize },
    LockEnds { endpoint: usize },
    Forget { endpoint: usize },
    Restart { endpoint: usize },
}

/// Places in `State::faults`.
const AMNESIA: usize = 0;
const RESTART: usize = 1;
const LAG: usize = 2;
const DUPLICATE: usize = 3;

impl World {
    fn client_steps(&self, state: &State, client: usize, steps: &mut Vec<Step>) {
        let rules = &self.rules;
        let who = &state.clients[client];
        for (endpoint, column) in state.columns.iter().enumerate() {
            let wire = &column.wires[client];
            let firsts = |request| column.endpoint.firsts(rules, request);
            for (round, slot) in wire.slots.iter().enumerate() {
                match slot {
                    Slot::Sent(request) => {
                        for first in firsts(*request) {
                            steps.push(Step::Execute { client, endpoint, round, first });
                            if state.faults[DUPLICATE] < rules.duplicates {
                                steps.push(Step::ExecuteTwice { client, endpoint, round, first });
                            }
                        }
                    }
                    Slot::Answered(_) if !who.paused => steps.push(Step::Arrive { client, endpoint, round }),
                    _ => {}
                }
            }
            for (stray, request) in wire.strays.iter().flatten().enumerate() {
                let execute = |first| Step::ExecuteStray { client, endpoint, stray, first };
                steps.extend(firsts(*request).map(execute));
            }
            let told = (0..ASKS).filter(|&ask| wire.words[ask].is_some() && !who.paused);
            steps.extend(told.map(|ask| Step::Hear { client, endpoint, ask }));
        }
        if who.paused {
            steps.push(Step::Wake { client });
            return;
        }
        match who.phase {
            Phase::Idle if who.attempt < rules.attempts[client] => self.call_steps(state, client, steps),
            Phase::Idle => {}
            Phase::Voting | Phase::Raising => {
                steps.push(Step::GiveUp { client });
                if state.may_ask_again(rules, client) {
                    self.each_proposal(|proposal| steps.push(Step::AskAgain { client, proposal }));
                }
            }
            Phase::Held => {
                for purpose in [Purpose::Renew, Purpose::Shadow, Purpose::Grow] {
                    if state.may_begin(rules, client, purpose) {
                        let shadow_ttl = [rules.shadow_ttl];
                        let ttls = if purpose == Purpose::Shadow { &shadow_ttl } else { rules.ttls };
                        steps.extend(ttls.iter().map(|&ttl| Step::Begin { client, purpose, ttl }));
                    }
                }
                if rules.release {
                    steps.push(Step::Release { client });
                }
                if rules.pauses {
                    steps.push(Step::Pause { client });
                }
            }
        }
    }

    fn call_steps(&self, state: &State, client: usize, steps: &mut Vec<Step>) {
        for &ttl in self.rules.ttls {
            self.each_proposal(|proposal| steps.push(Step::Call { client, ttl, proposal }));
        }
        debug_assert!(state.clients[client].phase == Phase::Idle);
    }

    fn each_proposal(&self, ask: impl FnMut(u8)) {
        if let Tokens::Clocks { .. } = self.rules.tokens {
            // A client's clock may be anywhere: far behind, far ahead.
            [0, 7 * UNITS].into_iter().for_each(ask);
        } else {
            (0..=self.rules.proposals()).for_each(ask);
        }
    }

    fn fault_steps(&self, state: &State, endpoint: usize, steps: &mut Vec<Step>) {
        let rules = &self.rules;
        let holds = &state.columns[endpoint].endpoint;
        if !rules.timed() && holds.lock.is_some() {
            steps.push(Step::LockEnds { endpoint });
        }
        if state.faults[AMNESIA] < rules.amnesias {
            steps.push(Step::Forget { endpoint });
        }
        if state.faults[RESTART] < rules.restarts {
            steps.push(Step::Restart { endpoint });
        }
        if state.faults[LAG] < rules.lags && (holds.lock.is_some() || holds.shadow.is_some()) {
            steps.push(Step::TickOfEndpoint { endpoint });
        }
    }

    /// Time passes for all but one client, or for all. Whoever is awake notices what is over.
    pub fn tick(&self, state: &mut State, without: Option<usize>) {
        for column in &mut state.columns {
            column.endpoint.tick(&self.rules);
        }
        for (client, who) in state.clients.iter_mut().enumerate() {
            if without != Some(client) {
                who.left = who.left.saturating_sub(1);
                who.rounds.iter_mut().flatten().for_each(|round| round.left = round.left.saturating_sub(1));
            }
        }
        if let Tokens::Clocks { .. } = self.rules.tokens {
            state.now += 1;
        }
        for client in 0..usize::from(self.rules.clients) {
            state.notice(&self.rules, client);
            if state.has_waited_in_vain(&self.rules, client) {
                state.give_up(&self.rules, client);
            }
        }
    }

    fn execute(
        &self,
        state: &mut State,
        client: usize,
        endpoint: usize,
        round: usize,
        first: Option<usize>,
    ) -> Option<Request> {
        let Slot::Sent(request) = state.columns[endpoint].wires[client].slots[round] else { return None };
        let answer = state.serve(&self.rules, endpoint, request, first);
        state.columns[endpoint].wires[client].slots[round] = Slot::Answered(answer);
        Some(request)
    }

    fn arrive(&self, state: &mut State, client: usize, endpoint: usize, round: usize) -> Option<()> {
        let wire = &mut state.columns[endpoint].wires[client];
        let Slot::Answered(answer) = wire.slots[round] else { return None };
        wire.slots[round] = Slot::Counted(answer);
        if state.clients[client].phase == Phase::Held {
            state.count_renewal(&self.rules, client, endpoint, round);
        } else {
            let unheard = wire.forget_older(round);
            state.count_vote(&self.rules, client, if unheard { Won::Unheard } else { Won::Asked });
        }
        Some(())
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let most = match self.rules.tokens {
            Tokens::Clocks { skew, .. } => 2 * skew,
            _ => self.rules.proposals(),
        };
        let mut states = Vec::new();
        for first in 0..=most {
            for second in first..=most {
                for third in second..=most {
                    let mut state = State::default();
                    for (column, start) in state.columns.iter_mut().zip([first, second, third]) {
                        match self.rules.tokens {
                            Tokens::Clocks { .. } => column.endpoint.skew = start,
                            _ => column.endpoint.stripe = start,
                        }
                        column.precede(&self.rules);
                    }
                    states.push(state);
                }
            }
        }
        states
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let clients = 0..usize::from(self.rules.clients);
        clients.clone().for_each(|client| self.client_steps(state, client, steps));
        (0..ENDPOINTS).for_each(|endpoint| self.fault_steps(state, endpoint, steps));
        if self.rules.timed() {
            steps.push(Step::Tick);
            if state.faults[LAG] < self.rules.lags {
                steps.extend(clients.map(|client| Step::TickWithoutClient { client }));
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let rules = &self.rules;
        let mut next = *state;
        match step {
            Step::Call { client, ttl, proposal } => next.call(rules, client, ttl, proposal),
            Step::Execute { client, endpoint, round, first } => {
                self.execute(&mut next, client, endpoint, round, first)?;
            }
            Step::ExecuteTwice { client, endpoint, round, first } => {
                let request = self.execute(&mut next, client, endpoint, round, first)?;
                next.columns[endpoint].wires[client].stray(request);
                next.faults[DUPLICATE] += 1;
            }
            Step::ExecuteStray { client, endpoint, stray, first } => {
                let request = next.columns[endpoint].wires[client].take_stray(stray)?;
                next.serve(rules, endpoint, request, first);
            }
            Step::Arrive { client, endpoint, round } => self.arrive(&mut next, client, endpoint, round)?,
            Step::Hear { client, endpoint, ask } => next.hear(rules, client, endpoint, ask)?,
            Step::AskAgain { client, proposal } => next.ask_again(rules, client, proposal),
            Step::GiveUp { client } => next.give_up(rules, client),
            Step::Begin { client, purpose, ttl } => next.begin(rules, client, purpose, ttl),
            Step::Release { client } => next.lose(rules, client),
            Step::Pause { client } => next.clients[client].paused = true,
            Step::Wake { client } => {
                next.clients[client].paused = false;
                next.notice(rules, client);
            }
            Step::Tick => self.tick(&mut next, None),
            Step::TickWithoutClient { client } => {
                self.tick(&mut next, Some(client));
                next.faults[LAG] += 1;
            }
            Step::TickOfEndpoint { endpoint } => {
                next.columns[endpoint].endpoint.tick(rules);
                next.faults[LAG] += 1;
            }
            Step::LockEnds { endpoint } => next.columns[endpoint].endpoint.lock = None,
            Step::Forget { endpoint } => {
                next.columns[endpoint].endpoint.restart(rules, false);
                next.faults[AMNESIA] += 1;
            }
            Step::Restart { endpoint } => {
                next.columns[endpoint].endpoint.restart(rules, true);
                next.faults[RESTART] += 1;
            }
        }
        // Where a rule is broken that looks at the owner, a request may do something though its owner has nothing there.
        let unowned = [Control::ReleaseUnowned, Control::RaiseUnowned, Control::UndoGives];
        if !unowned.into_iter().any(|control| rules.broken(control)) {
            next.columns.iter_mut().for_each(Column::drop_dead);
        }
        Some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        !matches!(self.rules.tokens, Tokens::Clocks { end, .. } if state.now > end)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = referee::always();
        properties.push(Property::sometimes(self.sight.name, self.sight.seen));
        properties
    }
}

/// Requests that a referee runs by itself.
pub(crate) fn acquire(state: &State, rules: &Rules, client: usize, ttl: u8) -> Request {
    Request { op: Op::Acquire, owner: state.owner(rules, client), token: 0, ttl }
}
