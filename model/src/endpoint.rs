//! The operations of the script, on one endpoint. `client/src/scripts/lease.lua` is what they follow.

use crate::rules::{Control, Rules, Tokens};
use crate::state::{Answer, Endpoint, Lock, Op, Owner, Request, UNITS};

impl Endpoint {
    /// Executes a request. `now` is true time, where clocks count.
    pub fn execute(&mut self, rules: &Rules, now: u8, request: Request) -> Answer {
        match request.op {
            Op::Acquire | Op::Wait | Op::WaitAgain => self.acquire(rules, now, request),
            Op::Extend => self.extend(rules, request),
            Op::Heal => self.heal(rules, request),
            Op::Raise => self.raise(rules, request),
            Op::Shadow => self.cast_shadow(rules, request),
            Op::Release => self.release(rules, request.owner),
            Op::Lift => {
                self.stripe = self.stripe.max(request.token);
                Answer::Missing
            }
        }
    }

    fn acquire(&mut self, rules: &Rules, now: u8, request: Request) -> Answer {
        if self.quarantine > 0 && !rules.broken(Control::VotesInQuarantine) {
            return Answer::Quarantined;
        }
        if self.foreign_shadow(request.owner) && !rules.broken(Control::ShadowsIgnored) {
            return Answer::Held;
        }
        match &mut self.lock {
            None => {
                let token = self.draw(rules, now, request.token);
                if !rules.broken(Control::StripeAtHandOut) {
                    self.stripe = token;
                }
                self.lock = Some(Lock { owner: request.owner, token, left: request.ttl });
                Answer::Granted(token)
            }
            Some(lock) if lock.owner == request.owner => {
                // Who may ask again counts a yes from the newest time: it must be worth a whole TTL.
                if request.op != Op::Acquire && !rules.broken(Control::RefreshKeepsExpiry) {
                    lock.left = lock.left.max(request.ttl);
                }
                Answer::Granted(lock.token)
            }
            Some(_) => Answer::Held,
        }
    }

    /// The token that an acquire with this proposal draws.
    pub(crate) fn draw(&self, rules: &Rules, now: u8, proposal: u8) -> u8 {
        let clamped = match rules.tokens {
            Tokens::Off => return 0,
            Tokens::Clocks { slack, .. } if !rules.broken(Control::ProposalUnclamped) => {
                // Skews count up from the slowest clock; one slack more keeps the lowest clamp at zero or above.
                let clock = UNITS * (now + self.skew + slack);
                proposal.clamp(clock - UNITS * slack, clock + UNITS * slack)
            }
            _ => proposal,
        };
        clamped.max(self.stripe + 1)
    }

    fn extend(&mut self, rules: &Rules, request: Request) -> Answer {
        match &mut self.lock {
            None => Answer::Missing,
            Some(lock) if lock.owner == request.owner => {
                let shortens = rules.broken(Control::ExtendShortens);
                lock.left = if shortens { request.ttl } else { lock.left.max(request.ttl) };
                self.stripe = self.stripe.max(request.token);
                if rules.broken(Control::ExtendDropsShadow) && !self.foreign_shadow(request.owner) {
                    self.shadow = None;
                }
                self.yes(rules, request.token)
            }
            Some(_) => Answer::Held,
        }
    }

    fn heal(&mut self, rules: &Rules, request: Request) -> Answer {
        if self.foreign_shadow(request.owner) {
            return Answer::Held;
        }
        if self.lock.is_some() {
            return self.extend(rules, request);
        }
        self.lock = Some(Lock { owner: request.owner, token: request.token, left: request.ttl });
        self.stripe = self.stripe.max(request.token);
        self.yes(rules, request.token)
    }

    fn raise(&mut self, rules: &Rules, request: Request) -> Answer {
        let Some(lock) = &mut self.lock else {
            return if rules.broken(Control::RaiseUnowned) {
                self.lift(request.token)
            } else {
                Answer::Missing
            };
        };
        if lock.owner != request.owner {
            return if rules.broken(Control::RaiseUnowned) { self.lift(request.token) } else { Answer::Held };
        }
        if lock.token > request.token && !rules.broken(Control::RaiseByOwnerAlone) {
            return Answer::Superseded;
        }
        lock.token = request.token;
        if !rules.broken(Control::StripeAtHandOut) {
            self.stripe = self.stripe.max(request.token);
        }
        self.yes(rules, request.token)
    }

    /// Only the control that does not ask whose lock it is.
    fn lift(&mut self, token: u8) -> Answer {
        self.stripe = self.stripe.max(token);
        Answer::Granted(token)
    }

    fn cast_shadow(&mut self, rules: &Rules, request: Request) -> Answer {
        let foreign = |lock: Lock| lock.owner != request.owner;
        if self.lock.is_some_and(foreign) || self.foreign_shadow(request.owner) {
            return Answer::Held;
        }
        let left = self.shadow.map_or(0, |shadow| shadow.left).max(request.ttl);
        self.shadow = Some(Lock { owner: request.owner, token: 0, left });
        self.yes(rules, 0)
    }

    fn release(&mut self, rules: &Rules, owner: Owner) -> Answer {
        let own = |lock: &mut Lock| lock.owner == owner || rules.broken(Control::ReleaseUnowned);
        self.lock.take_if(own);
        self.shadow.take_if(|shadow| shadow.owner == owner);
        Answer::Missing
    }

    pub(crate) fn foreign_shadow(&self, owner: Owner) -> bool {
        self.shadow.is_some_and(|shadow| shadow.owner != owner)
    }

    /// In quarantine an operation is carried out, but its answer does not count.
    fn yes(&self, rules: &Rules, token: u8) -> Answer {
        if self.quarantine > 0 && !rules.broken(Control::VotesInQuarantine) {
            Answer::Quarantined
        } else {
            Answer::Granted(token)
        }
    }

    /// A tick passes here.
    pub fn tick(&mut self, rules: &Rules) {
        for lock in [&mut self.lock, &mut self.shadow] {
            if let Some(held) = lock {
                held.left -= 1;
                lock.take_if(|lock| lock.left == 0);
            }
        }
        self.tick_line(rules);
        if !rules.broken(Control::QuarantineWithoutEnd) {
            self.quarantine = self.quarantine.saturating_sub(1);
        }
    }

    /// It starts anew, without its data or with it: either way it is put into quarantine before it votes again.
    pub fn restart(&mut self, rules: &Rules, with_data: bool) {
        let quarantine = rules.quarantine();
        *self = if with_data {
            Self { quarantine, ..*self }
        } else {
            // A copy that is older than a vote may know of who was parked before it.
            let line = if rules.line_kept { self.line } else { Default::default() };
            Self { quarantine, skew: self.skew, line, ..Self::default() }
        };
    }
}
