//! A held lease, told case by case; random histories are in `hold_histories`.

mod ending;
mod locks;
mod renewal;

use leasehold::protocol::validity::notice_at;
use leasehold::protocol::{
    Action, Fence, Hold, HoldEvent, HoldParams, Moment, Quorum, Reply, Request, Round,
};

use crate::support::{T0, id, terms, three};

const TTL_MS: u32 = 10_000;
const PATIENCE_MS: u32 = 500;
const TOKEN: u64 = 77;
const EXTEND: Action = Action::Extend { ttl_ms: TTL_MS, fence: Fence::new(TOKEN) };
const HEAL: Action = Action::Heal { ttl_ms: TTL_MS, fence: Fence::new(TOKEN) };

/// A hold of endpoints 0 and 1 with everything it said.
struct Played {
    machine: Hold,
    asked: Vec<Request>,
    events: Vec<HoldEvent>,
    warnings: u32,
    now: Moment,
}

impl Played {
    fn start() -> Self {
        Self::start_of(three())
    }

    fn start_of(quorum: Quorum) -> Self {
        Self::of(terms(quorum, TOKEN, TTL_MS))
    }

    fn of(params: HoldParams) -> Self {
        let mut played = Self {
            machine: Hold::new(params),
            asked: Vec::new(),
            events: Vec::new(),
            warnings: 0,
            now: T0.plus_ms(1),
        };
        played.listen();
        played
    }

    /// Takes down what the machine says; a renewal that is due is admitted at once.
    fn listen(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                HoldEvent::RenewalDue { .. } => self.machine.handle_admission(self.now, TTL_MS, 0),
                HoldEvent::ExpiringSoon => self.warnings += 1,
                event => self.events.push(event),
            }
        }
        self.asked.extend(std::iter::from_fn(|| self.machine.poll_request()));
    }

    /// Lets time pass until the machine wants to be called, and calls it.
    fn wake(&mut self) -> Moment {
        self.now = self.now.max(self.machine.poll_timeout().unwrap());
        self.machine.handle_timeout(self.now);
        self.listen();
        self.now
    }

    /// Goes on to the next renewal round, and says when it began.
    fn renewal(&mut self) -> Moment {
        let asked = self.count(EXTEND);
        while self.count(EXTEND) == asked {
            self.wake();
        }
        let round = self.round();
        assert!(
            self.asked
                .iter()
                .filter(|request| request.round == round)
                .all(|request| request.action == EXTEND)
        );
        self.now
    }

    fn round(&self) -> Round {
        self.asked.last().unwrap().round
    }

    fn answer(&mut self, index: usize, reply: &Reply) {
        self.answer_to(self.round(), index, reply);
    }

    fn answer_to(&mut self, round: Round, index: usize, reply: &Reply) {
        self.machine.handle_reply(self.now, id(index), round, reply);
        self.listen();
    }

    fn release(&mut self) {
        self.machine.handle_release(self.now);
        self.listen();
    }

    fn count(&self, action: Action) -> usize {
        self.asked.iter().filter(|request| request.action == action).count()
    }

    fn notice(&self) -> Moment {
        notice_at(self.machine.deadline(), TTL_MS)
    }
}
