//! A client that holds: renewal, growing, shadows, loss and release.

use crate::rules::{Control, Rules};
use crate::state::{Answer, Op, Phase, Purpose, ROUNDS, Request, Round, Slot, State};

impl State {
    /// Whether the client may begin a round for this purpose.
    #[must_use]
    pub fn may_begin(&self, rules: &Rules, client: usize, purpose: Purpose) -> bool {
        let holder = &self.clients[client];
        let asked = |purpose| holder.rounds.iter().flatten().any(|round| round.purpose == purpose);
        let awake = holder.believes() && !holder.paused;
        awake
            && match purpose {
                Purpose::Renew => holder.renewals < rules.renewals[client],
                // For renewals without answers, a tick before the end, and never where somebody holds something else.
                Purpose::Shadow => {
                    rules.shadow_ttl > 0
                        && holder.left == 1
                        && !holder.degraded
                        && !asked(Purpose::Shadow)
                        && (0..holder.rounds_len()).any(|round| {
                            let renewal =
                                holder.rounds[round].is_some_and(|round| round.purpose == Purpose::Renew);
                            renewal && self.tally(client, round).0 < rules.majority()
                        })
                        && (0..holder.rounds_len()).all(|round| self.against(client, round) == 0)
                }
                Purpose::Grow => {
                    rules.grow
                        && !holder.grown
                        && holder.rounds_len() == 0
                        && self.columns.iter().any(|column| !column.wires[client].voter)
                }
                Purpose::Vote | Purpose::Raise => false,
            }
    }

    /// Begins a round of a holder.
    pub fn begin(&mut self, rules: &Rules, client: usize, purpose: Purpose, ttl: u8) {
        if self.clients[client].rounds_len() == usize::from(rules.rounds) {
            self.drop_rounds(client, 1);
        }
        let owner = self.owner(rules, client);
        let holder = &mut self.clients[client];
        let place = holder.rounds_len();
        let op = match purpose {
            Purpose::Shadow => Op::Shadow,
            Purpose::Grow => Op::Heal,
            _ => Op::Extend,
        };
        let request = Request { op, owner, token: holder.token, ttl };
        holder.rounds[place] = Some(Round { purpose, ttl, left: rules.validity(ttl) });
        holder.grown = true;
        if purpose == Purpose::Renew {
            holder.renewals += 1;
        }
        for column in &mut self.columns {
            let wire = &mut column.wires[client];
            if purpose != Purpose::Grow || !wire.voter {
                wire.slots[place] = Slot::Sent(request);
            }
        }
    }

    /// An answer to a holder has arrived, and is counted for its own round.
    pub fn count_renewal(&mut self, rules: &Rules, client: usize, column: usize, place: usize) {
        let Some(round) = self.clients[client].rounds[place] else { return };
        let newest = place + 1 == self.clients[client].rounds_len();
        let owner = self.owner(rules, client);
        let wire = &mut self.columns[column].wires[client];
        let Slot::Counted(answer) = wire.slots[place] else { return };
        if round.purpose == Purpose::Renew && answer == Answer::Missing && newest {
            let token = self.clients[client].token;
            wire.slots[place] = Slot::Sent(Request { op: Op::Heal, owner, token, ttl: round.ttl });
            return;
        }
        if rules.broken(Control::AnswersOfOlderRounds) && !newest {
            let last = self.clients[client].rounds_len() - 1;
            wire.abandon(last);
            wire.slots[last] = Slot::Counted(answer);
            self.carry(rules, client, last);
        }
        if round.purpose == Purpose::Grow {
            self.columns[column].wires[client].voter |= matches!(answer, Answer::Granted(_));
        } else if self.against(client, place) >= rules.majority() {
            self.lose(rules, client);
        } else {
            self.carry(rules, client, place);
        }
    }

    /// How many endpoints hold something else.
    fn against(&self, client: usize, round: usize) -> usize {
        let held = |slot: Slot| slot == Slot::Counted(Answer::Held);
        self.columns.iter().filter(|column| held(column.wires[client].slots[round])).count()
    }

    /// If M have confirmed a round, the deadline moves on, and older rounds do not matter any more.
    fn carry(&mut self, rules: &Rules, client: usize, place: usize) {
        let Some(round) = self.clients[client].rounds[place] else { return };
        if self.tally(client, place).0 < rules.majority() {
            return;
        }
        let late = rules.broken(Control::DeadlineFromReply);
        let holder = &mut self.clients[client];
        holder.left = holder.left.max(if late { rules.validity(round.ttl) } else { round.left });
        holder.degraded = round.purpose == Purpose::Shadow;
        self.drop_rounds(client, place);
    }

    /// Gives up the oldest rounds.
    fn drop_rounds(&mut self, client: usize, count: usize) {
        for column in &mut self.columns {
            let wire = &mut column.wires[client];
            (0..count).for_each(|round| wire.abandon(round));
            wire.slots.rotate_left(count);
        }
        let rounds = &mut self.clients[client].rounds;
        rounds[..count].fill(None);
        rounds.rotate_left(count);
    }

    /// The lease is over, released or lost. Either way it is taken back everywhere, shadows above all.
    pub fn lose(&mut self, rules: &Rules, client: usize) {
        let owner = self.owner(rules, client);
        for column in &mut self.columns {
            let wire = &mut column.wires[client];
            (0..ROUNDS).for_each(|round| wire.abandon(round));
            wire.stray(Request { op: Op::Release, owner, token: 0, ttl: 0 });
        }
        self.retire(client);
    }

    /// A holder looks at its clock: past the deadline, the lease is lost.
    pub fn notice(&mut self, rules: &Rules, client: usize) {
        let holder = &self.clients[client];
        let over = holder.phase == Phase::Held && holder.left == 0 && !holder.paused;
        if over && !rules.broken(Control::VotesAfterDeadline) {
            self.lose(rules, client);
        }
    }
}
