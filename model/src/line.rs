//! Hand-over: an acquire that finds the lock held is parked in line; whoever frees the lock there gives it to the first in line,
//! in the same step, and word of it goes to the client.
//!
//! Tickets may stand in any order, on each endpoint another: who is first there is left open. A waiter that sleeps needs no step
//! of its own, since it is one that hears late.

use crate::rules::{Control, Rules};
use crate::state::{
    AGAIN, ASKS, Answer, Column, Endpoint, Lock, Op, Owner, Parked, Phase, Purpose, Request, Round, Slot,
    State, VOTE, Wire, Won,
};

/// Where the times of asking stand among an attempt's rounds.
const PLACES: [usize; ASKS] = [VOTE, AGAIN];

impl Endpoint {
    /// To whom this request may give the lock; `None`: to nobody in line.
    pub fn firsts(&self, rules: &Rules, request: Request) -> impl Iterator<Item = Option<usize>> {
        let Request { op, owner, .. } = request;
        let gives = match op {
            Op::Acquire | Op::Wait | Op::WaitAgain => {
                self.quarantine == 0 && self.lock.is_none() && !self.foreign_shadow(owner)
            }
            Op::Release => {
                let votes = self.quarantine == 0 || rules.broken(Control::HandOverInQuarantine);
                votes && (self.frees(owner) || rules.broken(Control::UndoGives))
            }
            _ => false,
        };
        // Who asks is not given the lock but takes it; who releases may have another attempt in line.
        let other = move |parked: Parked| {
            let Owner { client, .. } = parked.request.owner;
            if op.asks() { client != owner.client } else { parked.request.owner != owner }
        };
        let line = self.line.map(|parked| gives && parked.is_some_and(other));
        // Whoever asks may have waited longest; and where no clock can be trusted, what is parked may have ended.
        let nobody = op.asks() || !line.contains(&true) || !rules.timed();
        let clients = line.into_iter().enumerate().filter(|(_, may)| *may).map(|(client, _)| Some(client));
        nobody.then_some(None).into_iter().chain(clients)
    }

    /// Whether a release by this owner frees anything.
    fn frees(&self, owner: Owner) -> bool {
        let own = |lock: Lock| lock.owner == owner;
        self.lock.or(self.shadow).is_some_and(own)
    }

    /// What is parked ends.
    pub(crate) fn tick_line(&mut self, rules: &Rules) {
        if rules.broken(Control::ParkedWithoutEnd) {
            return;
        }
        for place in &mut self.line {
            if let Some(parked) = place {
                parked.left -= 1;
                place.take_if(|parked| parked.left == 0);
            }
        }
    }

    /// An owner is done: what it has parked goes.
    fn leave(&mut self, owner: Owner) {
        self.line[usize::from(owner.client)].take_if(|parked| parked.request.owner == owner);
    }
}

impl Wire {
    /// The vote of the endpoint: its answer to the newest time of asking that was answered.
    #[must_use]
    pub fn vote(&self) -> Option<(usize, Answer)> {
        [AGAIN, VOTE].into_iter().find_map(|round| match self.slots[round] {
            Slot::Counted(answer) => Some((round, answer)),
            _ => None,
        })
    }

    /// An answer of this round has come: those of an older one are no news. Says whether word is among them.
    pub fn forget_older(&mut self, round: usize) -> bool {
        if round != AGAIN {
            return false;
        }
        self.abandon(VOTE);
        self.told = [false; ASKS];
        self.words[0].take().is_some()
    }

    /// The vote is decided: what else comes of it does not matter any more.
    pub fn leave_to_itself(&mut self) {
        PLACES.into_iter().for_each(|round| self.abandon(round));
        (self.words, self.told) = ([None; ASKS], [false; ASKS]);
    }
}

impl Column {
    /// An earlier holder, as an attempt of the first client's before its first, has the lock and some requests under way.
    pub fn precede(&mut self, rules: &Rules) {
        let (owner, token, ttl) = (Owner::default(), 0, rules.ttls[0]);
        if !rules.predecessor.is_empty() {
            self.endpoint.lock = Some(Lock { owner, token, left: ttl });
        }
        for &op in rules.predecessor {
            self.wires[0].stray(Request { op, owner, token, ttl });
        }
    }
}

impl State {
    /// An endpoint executes a request, and gives the lock to `first` if it does not go to the asker.
    pub fn serve(
        &mut self,
        rules: &Rules,
        endpoint: usize,
        request: Request,
        first: Option<usize>,
    ) -> Answer {
        let now = self.now;
        let here = &mut self.columns[endpoint].endpoint;
        let Request { op, owner, .. } = request;
        let answer = match first {
            Some(_) if op.asks() => Answer::Held,
            _ => here.execute(rules, now, request),
        };
        if op == Op::Release {
            here.leave(owner);
        }
        if let Some(first) = first {
            self.give(rules, endpoint, first);
        }
        let place = &mut self.columns[endpoint].endpoint.line[usize::from(owner.client)];
        match answer {
            Answer::Held if matches!(op, Op::Wait | Op::WaitAgain) => {
                *place = Some(Parked { request, left: rules.parked });
                Answer::Waiting
            }
            Answer::Granted(_) if op.asks() => {
                *place = None;
                answer
            }
            _ => answer,
        }
    }

    /// An endpoint executes a request, and whoever is in line is before its client.
    pub(crate) fn serve_last(&mut self, rules: &Rules, endpoint: usize, request: Request) -> Answer {
        let first = self.columns[endpoint].endpoint.firsts(rules, request).last().flatten();
        self.serve(rules, endpoint, request, first)
    }

    /// An endpoint gives the lock to a client in line, and tells it so.
    fn give(&mut self, rules: &Rules, endpoint: usize, first: usize) {
        let here = &mut self.columns[endpoint].endpoint;
        let Some(Parked { request, .. }) = here.line[first].take() else { return };
        let token = here.draw(rules, self.now, request.token);
        here.stripe = token;
        here.lock = Some(Lock { owner: request.owner, token, left: request.ttl - rules.given_less });
        self.tell(rules, endpoint, request, token);
        if rules.broken(Control::TwoGiven)
            && let Some(second) = self.columns[endpoint].endpoint.line.into_iter().flatten().next()
        {
            self.tell(rules, endpoint, second.request, token);
        }
    }

    /// Word of a hand-over leaves the endpoint. Only to an attempt that waits for it does it mean anything.
    fn tell(&mut self, rules: &Rules, endpoint: usize, request: Request, token: u8) {
        let client = usize::from(request.owner.client);
        if self.clients[client].phase == Phase::Voting && self.owner(rules, client) == request.owner {
            let ask = usize::from(request.op == Op::WaitAgain);
            self.columns[endpoint].wires[client].words[ask] = Some(token);
        }
    }

    /// Word of a hand-over has arrived: a yes to the request that was parked.
    pub fn hear(&mut self, rules: &Rules, client: usize, endpoint: usize, ask: usize) -> Option<()> {
        let newest = self.newest(client);
        let wire = &mut self.columns[endpoint].wires[client];
        let token = wire.words[ask].take()?;
        let round = if rules.broken(Control::HandOverForNewest) { newest } else { PLACES[ask] };
        wire.abandon(round);
        wire.slots[round] = Slot::Counted(Answer::Granted(token));
        wire.forget_older(round);
        wire.told[ask] = rules.given_less > 0;
        self.count_vote(rules, client, Won::Told);
        Some(())
    }

    /// Whether an attempt may ask a second time.
    #[must_use]
    pub fn may_ask_again(&self, rules: &Rules, client: usize) -> bool {
        let asks = usize::from(rules.asks[client]) == ASKS && self.newest(client) == VOTE;
        asks && self.clients[client].phase == Phase::Voting
    }

    /// An attempt in line asks again, as the same owner.
    pub fn ask_again(&mut self, rules: &Rules, client: usize, proposal: u8) {
        let Some(Round { ttl, .. }) = self.clients[client].rounds[VOTE] else { return };
        let left = rules.validity(ttl);
        self.clients[client].rounds[AGAIN] = Some(Round { purpose: Purpose::Vote, ttl, left });
        let owner = self.owner(rules, client);
        for column in &mut self.columns {
            column.wires[client].slots[AGAIN] =
                Slot::Sent(Request { op: Op::WaitAgain, owner, token: proposal, ttl });
        }
    }

    /// The newest time of asking.
    fn newest(&self, client: usize) -> usize {
        if self.clients[client].rounds[AGAIN].is_some() { AGAIN } else { VOTE }
    }

    /// How many have said yes, and how many something else than yes or a place in line to the newest time of asking.
    #[must_use]
    pub fn votes(&self, client: usize) -> (usize, usize) {
        let newest = self.newest(client);
        self.columns.iter().fold((0, 0), |(yes, no), column| match column.wires[client].vote() {
            Some((_, Answer::Granted(_))) => (yes + 1, no),
            Some((round, answer)) if round == newest && answer != Answer::Waiting => (yes, no + 1),
            _ => (yes, no),
        })
    }

    /// For how long the votes for an attempt may be counted on: each from when the request that it answers was sent, and what was
    /// given for less than what was taken.
    pub(crate) fn worth(&self, rules: &Rules, client: usize, what: Won) -> u8 {
        let asked = self.clients[client].rounds;
        if what == Won::Told && rules.broken(Control::HandOverFromHearing) {
            return asked[VOTE].map_or(0, |round| rules.validity(round.ttl));
        }
        let wires = self.columns.iter().map(|column| &column.wires[client]);
        let yes = wires.filter_map(|wire| match wire.vote() {
            Some((round, Answer::Granted(_))) => {
                let told = PLACES.iter().position(|&place| place == round).is_some_and(|ask| wire.told[ask]);
                let less = if told && !rules.broken(Control::GivenInFull) { rules.given_less } else { 0 };
                asked[round].map(|round| round.left.saturating_sub(less))
            }
            _ => None,
        });
        yes.min().unwrap_or(0)
    }

    /// Whether nothing can come of an attempt any more, so late is it. One in line may ask again, as often as the slice allows.
    #[must_use]
    pub fn has_waited_in_vain(&self, rules: &Rules, client: usize) -> bool {
        let who = &self.clients[client];
        match who.phase {
            Phase::Voting if self.may_ask_again(rules, client) => false,
            Phase::Voting | Phase::Raising => {
                who.rounds[self.newest(client)].is_some_and(|round| round.left == 0)
            }
            Phase::Idle | Phase::Held => false,
        }
    }
}
