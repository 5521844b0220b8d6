//! A client that acquires: all endpoints at once, decided at the first majority, token settled, undone if it fails.

use crate::rules::{Control, Rules, Tokens};
use crate::state::{
    AGAIN, ASKS, Answer, CLIENTS, Client, Op, Owner, Phase, Purpose, RAISE, ROUNDS, Request, Round, Slot,
    State, VOTE, Won,
};

impl State {
    /// Who the client's attempt is.
    #[must_use]
    pub fn owner(&self, rules: &Rules, client: usize) -> Owner {
        let attempt = self.clients[client].attempt;
        Owner {
            client: u8::try_from(client).unwrap_or(u8::MAX),
            attempt: if rules.broken(Control::OwnerPerAcquisition) { 0 } else { attempt },
        }
    }

    /// The largest token handed out so far.
    #[must_use]
    pub fn highest(&self) -> u8 {
        u8::try_from(self.handed_out.checked_ilog2().unwrap_or(0)).unwrap_or(u8::MAX)
    }

    /// The client begins an attempt.
    pub fn call(&mut self, rules: &Rules, client: usize, ttl: u8, proposal: u8) {
        let floor = self.highest();
        let caller = &mut self.clients[client];
        *caller = Client { phase: Phase::Voting, attempt: caller.attempt + 1, floor, ..Client::default() };
        caller.rounds[VOTE] = Some(Round { purpose: Purpose::Vote, ttl, left: rules.validity(ttl) });
        let op = if rules.waits(client) { Op::Wait } else { Op::Acquire };
        let request = Request { op, owner: self.owner(rules, client), token: proposal, ttl };
        for column in &mut self.columns {
            column.wires[client].slots[VOTE] = Slot::Sent(request);
        }
    }

    /// The client gives up, or runs out of validity.
    pub fn give_up(&mut self, rules: &Rules, client: usize) {
        let owner = self.owner(rules, client);
        for column in &mut self.columns {
            let wire = &mut column.wires[client];
            // Owners are new for each attempt: an endpoint that said no holds nothing of this one, unless asked twice.
            let reached = match wire.slots[VOTE] {
                _ if rules.waits(client) => true,
                Slot::Idle => false,
                Slot::Sent(_) | Slot::Answered(_) => true,
                Slot::Counted(answer) => matches!(answer, Answer::Granted(_)),
            };
            [VOTE, RAISE, AGAIN].into_iter().for_each(|round| wire.abandon(round));
            if reached {
                wire.stray(Request { op: Op::Release, owner, token: 0, ttl: 0 });
            }
        }
        self.retire(client);
    }

    /// Nothing is held and nothing awaited any more.
    pub(crate) fn retire(&mut self, client: usize) {
        let attempt = self.clients[client].attempt;
        self.clients[client] = Client { attempt, ..Client::default() };
        for column in &mut self.columns {
            let wire = &mut column.wires[client];
            (wire.voter, wire.words, wire.told) = (false, [None; ASKS], [false; ASKS]);
        }
        self.forget_tokens();
        if self.clients.iter().all(|client| client.phase != Phase::Held) {
            self.last = None;
        }
    }

    /// What an attempt waited for has come, and is counted.
    pub fn count_vote(&mut self, rules: &Rules, client: usize, what: Won) {
        match self.clients[client].phase {
            Phase::Voting => {
                let (yes, no) = self.votes(client);
                if yes >= rules.majority() {
                    self.settle_token(rules, client, what);
                } else if self.columns.len() - no < rules.majority() {
                    self.give_up(rules, client);
                }
            }
            Phase::Raising => self.conclude(rules, client),
            Phase::Idle | Phase::Held => {}
        }
    }

    /// How many have said yes in this round, and how many anything else.
    #[must_use]
    pub fn tally(&self, client: usize, round: usize) -> (usize, usize) {
        self.columns.iter().fold((0, 0), |(yes, no), column| match column.wires[client].slots[round] {
            Slot::Counted(Answer::Granted(_)) => (yes + 1, no),
            Slot::Counted(_) => (yes, no + 1),
            _ => (yes, no),
        })
    }

    /// M agreed. The token is the largest they drew; those with a smaller one are asked to raise it.
    fn settle_token(&mut self, rules: &Rules, client: usize, what: Won) {
        let drawn = self.columns.iter().filter_map(|column| match column.wires[client].vote() {
            Some((_, Answer::Granted(token))) => Some(token),
            _ => None,
        });
        let token = drawn.max().unwrap_or(0);
        let left = self.worth(rules, client, what);
        let request = Request { op: Op::Raise, owner: self.owner(rules, client), token, ttl: 0 };
        for column in &mut self.columns {
            let wire = &mut column.wires[client];
            wire.slots[RAISE] = match wire.vote() {
                Some((_, Answer::Granted(drawn)))
                    if drawn == token || rules.broken(Control::TokenUnraised) =>
                {
                    Slot::Counted(Answer::Granted(token))
                }
                Some((_, Answer::Granted(_))) => Slot::Sent(request),
                _ => Slot::Counted(Answer::Missing),
            };
            if rules.waits(client) {
                wire.leave_to_itself();
            }
        }
        let winner = &mut self.clients[client];
        (winner.phase, winner.token, winner.won) = (Phase::Raising, token, what);
        winner.rounds[AGAIN] = None;
        winner.rounds[VOTE].iter_mut().for_each(|round| round.left = left);
        self.conclude(rules, client);
    }

    /// Hands out the lease once M hold exactly its token, if anything is left of it.
    fn conclude(&mut self, rules: &Rules, client: usize) {
        let (yes, no) = self.tally(client, RAISE);
        let carried = yes >= rules.majority();
        let left = self.clients[client].rounds[VOTE].map_or(0, |round| round.left);
        if carried && left > 0 {
            self.hand_out(rules, client);
        } else if carried || self.columns.len() - no < rules.majority() {
            self.give_up(rules, client);
        }
    }

    fn hand_out(&mut self, rules: &Rules, client: usize) {
        let Some(round) = self.clients[client].rounds[VOTE] else { return };
        let Client { token, floor, .. } = self.clients[client];
        let owner = self.owner(rules, client);
        for column in &mut self.columns {
            let wire = &mut column.wires[client];
            wire.voter = matches!(wire.slots[RAISE], Slot::Counted(Answer::Granted(_)));
            if wire.voter && rules.broken(Control::StripeAtHandOut) {
                wire.stray(Request { op: Op::Lift, owner, token, ttl: 0 });
            }
            wire.abandon(VOTE);
            wire.abandon(RAISE);
        }
        let late = rules.broken(Control::DeadlineFromReply);
        let winner = &mut self.clients[client];
        winner.phase = Phase::Held;
        winner.left = if late { rules.validity(round.ttl) } else { round.left };
        winner.rounds = [None; ROUNDS];
        self.last = Some(owner.client);
        if rules.tokens != Tokens::Off {
            let bit = 1 << token;
            self.out_of_order |= token <= floor || self.handed_out & bit != 0;
            self.handed_out |= bit;
            self.forget_tokens();
        }
    }

    /// Tokens below everybody's floor cannot be drawn twice without being out of order: they need not be remembered.
    fn forget_tokens(&mut self) {
        let awaiting = |client: &&Client| matches!(client.phase, Phase::Voting | Phase::Raising);
        let floors = self.clients[..CLIENTS].iter().filter(awaiting).map(|client| client.floor);
        let floor = floors.min().unwrap_or_else(|| self.highest());
        self.handed_out &= u64::MAX << floor.min(self.highest());
    }
}
