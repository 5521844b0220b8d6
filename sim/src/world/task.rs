//! Those who ask for leases, hold them, work under them and give them back, or do not.

use leasehold::protocol::backoff::retry_delay_ns;
use leasehold::protocol::{AttemptFailure, Hold, LossReason, Moment, OwnerId, Renewal};

use super::hold::HoldTerms;
use super::host::{Machine, Party};
use super::line::Seat;
use super::{Event, PartyId, World};
use crate::random::Dice;
use crate::referee::GrantId;
use crate::time::{At, NS_PER_MS};

pub(super) struct Task {
    dice: Dice,
    stage: Stage,
    /// What an event must show to be the newest.
    pub(super) stamp: u64,
    /// Counts acquisitions.
    era: u64,
    pub(super) name: usize,
    give_up: Moment,
    failures: u32,
    jitter_seed: u64,
    /// The owner of its newest attempt.
    pub(super) owner: Option<OwnerId>,
    /// Its place in the line of its host.
    pub(super) seat: Option<Seat>,
    /// When it began to wait, by the wall clock: its place in line on endpoints.
    ticket: u64,
    /// What it brings along to its first attempt, if the ticket serves.
    proposal: Option<u64>,
    /// It asks in order to see whether it is granted.
    pub(super) probe: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Between two leases.
    Rest,
    /// An attempt is under way.
    Ask { party: PartyId },
    /// Between two attempts, or in line with one.
    Wait { in_line: Option<PartyId> },
    /// It works under a lease.
    Work { party: PartyId, grant: GrantId, until: At },
    /// It takes a second look before it goes on.
    Check { validation: PartyId, party: PartyId, grant: GrantId, until: At },
    /// It waits for its release to be confirmed.
    Release { party: PartyId },
}

/// How an acquisition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Granted,
    Failed(AttemptFailure),
}

impl Task {
    pub(super) fn new(dice: Dice) -> Self {
        Self {
            dice,
            stage: Stage::Rest,
            stamp: 0,
            era: 0,
            name: 0,
            give_up: Moment::default(),
            failures: 0,
            jitter_seed: 0,
            owner: None,
            seat: None,
            ticket: 0,
            proposal: None,
            probe: false,
        }
    }

    /// Whether it waits for its turn.
    pub(super) const fn waits(&self) -> bool {
        matches!(self.stage, Stage::Wait { .. })
    }
}

impl World<'_> {
    /// A task will go on after some time.
    pub(super) fn plan_task(&mut self, host: usize, task: usize, after_ns: u64) {
        let stamp = self.next_serial();
        self.hosts[host].tasks[task].stamp = stamp;
        self.queue.plan(self.now.plus_ns(after_ns), Event::Task { host, task, stamp });
    }

    /// A task thinks before it asks for its next lease.
    pub(super) fn rest(&mut self, host: usize, task: usize) {
        self.leave_seat(host, task);
        let think_us = self.plan.work.think_us;
        let this = &mut self.hosts[host].tasks[task];
        this.stage = Stage::Rest;
        if self.now < self.plan.length {
            let after_ns = this.dice.tail(think_us * 1_000);
            self.plan_task(host, task, after_ns);
        }
    }

    /// Its process has died.
    pub(super) fn stop_task(&mut self, host: usize, task: usize) {
        let stamp = self.next_serial();
        let this = &mut self.hosts[host].tasks[task];
        (this.stage, this.stamp, this.probe) = (Stage::Rest, stamp, false);
        this.era += 1;
    }

    /// It ends what it does: gives back what it holds, and drops what it asked for.
    pub(super) fn wind_up(&mut self, host: usize, task: usize) {
        match self.hosts[host].tasks[task].stage {
            Stage::Rest => self.rest(host, task),
            Stage::Wait { .. } | Stage::Ask { .. } => self.give_up(host, task),
            Stage::Work { party, grant, .. } => self.finish_work(host, task, party, grant),
            Stage::Check { validation, party, grant, .. } => {
                self.leave(host, validation);
                self.finish_work(host, task, party, grant);
            }
            Stage::Release { .. } => {}
        }
    }

    pub(super) fn handle_task(&mut self, host: usize, task: usize, stamp: u64) {
        if self.hosts[host].tasks[task].stamp != stamp {
            return;
        }
        match self.hosts[host].tasks[task].stage {
            Stage::Rest => self.ask(host, task),
            Stage::Wait { .. } if self.plan.work.line => self.wait_in_line(host, task),
            Stage::Wait { .. } => self.ask_again(host, task),
            Stage::Ask { party } => self.look_at_attempt(host, task, party),
            Stage::Work { party, grant, until } => self.work(host, task, party, grant, until),
            Stage::Check { validation, party, grant, until } => {
                self.leave(host, validation);
                self.go_on(host, task, party, grant, until);
            }
            Stage::Release { party } => {
                self.leave(host, party);
                self.rest(host, task);
            }
        }
    }

    /// A future is dropped before it was ready.
    pub(super) fn handle_cancel(&mut self, host: usize, task: usize, stamp: u64) {
        let this = &self.hosts[host].tasks[task];
        if this.era == stamp && matches!(this.stage, Stage::Ask { .. } | Stage::Wait { .. }) {
            self.note(|_| format!("host {host} task {task}: its future is dropped"));
            self.give_up(host, task);
        }
    }

    fn give_up(&mut self, host: usize, task: usize) {
        if let Stage::Ask { party } | Stage::Wait { in_line: Some(party) } =
            self.hosts[host].tasks[task].stage
        {
            self.drive_attempt(host, party, |attempt, _| attempt.handle_cancel());
            self.leave(host, party);
        }
        self.rest(host, task);
    }

    fn ask(&mut self, host: usize, task: usize) {
        if self.now >= self.plan.length {
            return;
        }
        let work = self.plan.work;
        let names = self.names.len();
        let dice = &mut self.hosts[host].tasks[task].dice;
        let name = if dice.percent(work.hot_percent) { 0 } else { dice.index(names) };
        let cancel_after_ns =
            dice.percent(work.cancel_percent).then(|| dice.spread(1_000, work.wait_ms * NS_PER_MS));
        self.begin_asking(host, task, name, work.wait_ms);
        if let Some(after_ns) = cancel_after_ns {
            let stamp = self.hosts[host].tasks[task].era;
            self.queue.plan(self.now.plus_ns(after_ns), Event::Cancel { host, task, stamp });
        }
    }

    pub(super) fn begin_asking(&mut self, host: usize, task: usize, name: usize, wait_ms: u64) {
        let give_up = self.moment(host).plus_ms(wait_ms);
        let this = &mut self.hosts[host].tasks[task];
        this.era += 1;
        (this.name, this.give_up, this.failures) = (name, give_up, 0);
        (this.jitter_seed, this.owner) = (this.dice.bits(), None);
        if !self.plan.work.line {
            self.ask_again(host, task);
            return;
        }
        let ticket = self.hosts[host].next_proposal(self.now);
        let open = self.hosts[host].lines.open;
        if open {
            self.take_seat(host, task, name);
        }
        let now = self.moment(host);
        let this = &mut self.hosts[host].tasks[task];
        let due = this.seat.as_ref().is_none_or(|seat| seat.try_at().is_some_and(|at| at <= now));
        // Whoever finds nobody before it begins to wait only now: its ticket serves as its proposal.
        (this.ticket, this.proposal) = (ticket, due.then_some(ticket));
        if open {
            this.stage = Stage::Wait { in_line: None };
            self.wait_in_line(host, task);
        } else {
            self.ask_again(host, task);
        }
    }

    /// Waits for its turn, and asks when that has come.
    fn wait_in_line(&mut self, host: usize, task: usize) {
        if let Stage::Wait { in_line: Some(party) } = self.hosts[host].tasks[task].stage
            && !self.is_in_line(host, party)
        {
            self.look_at_attempt(host, task, party);
            return;
        }
        let now = self.moment(host);
        let this = &self.hosts[host].tasks[task];
        let (give_up, failed) = (this.give_up, this.failures > 0);
        let try_at = this.seat.as_ref().and_then(Seat::try_at);
        let in_line = matches!(this.stage, Stage::Wait { in_line: Some(_) });
        if try_at.is_none_or(|at| at > now) && give_up <= now && failed && !in_line {
            self.fail(host, task, AttemptFailure::NoQuorum);
        } else if try_at.is_some_and(|at| at <= now) || give_up <= now {
            self.ask_again(host, task);
        } else {
            let until = try_at.map_or(give_up, |at| at.min(give_up));
            let at = self.ring_at(host, until);
            self.plan_task(host, task, at.ns_since(self.now));
        }
    }

    fn ask_again(&mut self, host: usize, task: usize) {
        if let Stage::Wait { in_line: Some(party) } = self.hosts[host].tasks[task].stage {
            self.ask_in_line(host, task, party);
            return;
        }
        let name = self.hosts[host].tasks[task].name;
        // The stage first: an attempt may be decided at once.
        let party = self.serial + 1;
        self.hosts[host].tasks[task].stage = Stage::Ask { party };
        let now = self.moment(host);
        let this = &mut self.hosts[host].tasks[task];
        // Who gives up unless it wins now wants no place on the endpoints.
        let ticket = (self.plan.work.line && now < this.give_up).then_some(this.ticket);
        let proposal = this.proposal.take();
        self.seat_starts(host, task);
        let party = self.attempt(host, task, name, proposal, ticket);
        self.hosts[host].tasks[task].stage = Stage::Ask { party };
    }

    /// Somebody in line asks again, or gives up.
    fn ask_in_line(&mut self, host: usize, task: usize, party: PartyId) {
        self.hosts[host].tasks[task].stage = Stage::Ask { party };
        if self.hosts[host].tasks[task].give_up <= self.moment(host) {
            self.drive_attempt(host, party, |attempt, _| attempt.handle_end_of_wait());
        } else {
            self.seat_starts(host, task);
            self.refresh(host, party);
        }
    }

    fn look_at_attempt(&mut self, host: usize, task: usize, party: PartyId) {
        match self.attempt_outcome(host, party) {
            None if self.is_in_line(host, party) => {
                let name = self.hosts[host].tasks[task].name;
                self.hosts[host].tasks[task].failures += 1;
                self.take_seat(host, task, name);
                self.seat_in_line(host, task, party);
                self.hosts[host].tasks[task].stage = Stage::Wait { in_line: Some(party) };
                self.wait_in_line(host, task);
            }
            None => self.hosts[host].tasks[task].stage = Stage::Ask { party },
            Some(Ok(grant)) => {
                self.counts.waited += u64::from(self.hosts[host].tasks[task].failures > 0);
                self.leave_seat(host, task);
                let terms = self.draw_hold_terms(host, task);
                let held = self.hold(host, task, party, grant, terms);
                self.leave(host, party);
                let Some(held) = held else {
                    return;
                };
                self.take(host, task, held);
            }
            Some(Err(failure)) => {
                self.leave(host, party);
                if self.plan.work.line {
                    self.stay_in_line(host, task, failure);
                    return;
                }
                self.retry_or_fail(host, task, failure);
            }
        }
    }

    fn retry_or_fail(&mut self, host: usize, task: usize, failure: AttemptFailure) {
        let now = self.moment(host);
        let this = &mut self.hosts[host].tasks[task];
        this.failures += 1;
        let delay_ns = retry_delay_ns(this.failures, this.jitter_seed);
        if is_worth_waiting(failure) && now.plus_ns(delay_ns) < this.give_up {
            this.stage = Stage::Wait { in_line: None };
            self.plan_task(host, task, delay_ns);
        } else {
            self.fail(host, task, failure);
        }
    }

    /// An attempt of somebody who stands in line, or will, has failed.
    fn stay_in_line(&mut self, host: usize, task: usize, failure: AttemptFailure) {
        let now = self.moment(host);
        let this = &mut self.hosts[host].tasks[task];
        this.failures += 1;
        let (name, over) = (this.name, this.give_up <= now);
        if over || !is_worth_waiting(failure) {
            self.fail(host, task, failure);
            return;
        }
        if matches!(failure, AttemptFailure::Held { .. }) {
            self.listen(host);
        }
        self.take_seat(host, task, name);
        self.seat_failed(host, task);
        self.hosts[host].tasks[task].stage = Stage::Wait { in_line: None };
        self.wait_in_line(host, task);
    }

    fn fail(&mut self, host: usize, task: usize, failure: AttemptFailure) {
        if self.hosts[host].tasks[task].probe {
            self.probed(host, task, Asked::Failed(failure));
        } else {
            self.rest(host, task);
        }
    }

    fn draw_hold_terms(&mut self, host: usize, task: usize) -> HoldTerms {
        let (work, ttl_ms) = (self.plan.work, u64::from(self.plan.terms.ttl_ms_low));
        let this = &mut self.hosts[host].tasks[task];
        if this.probe {
            return HoldTerms::default();
        }
        let renewal = if this.dice.percent(work.manual_percent) {
            Renewal::Manual
        } else if this.dice.percent(work.on_work_percent) {
            Renewal::OnWork
        } else {
            Renewal::Auto
        };
        let renew_for_ms =
            this.dice.percent(work.bounded_percent).then(|| this.dice.spread(1, ttl_ms.max(2) * 3));
        HoldTerms { renewal, renew_for_ms }
    }

    /// A lease is in hand.
    fn take(&mut self, host: usize, task: usize, party: PartyId) {
        let Some(grant) = self.holding(host, party).map(|holding| holding.grant) else {
            return;
        };
        let (work, ttl_ms) = (self.plan.work, u64::from(self.plan.terms.ttl_ms_high));
        let this = &mut self.hosts[host].tasks[task];
        let hold_ns = if this.probe {
            NS_PER_MS
        } else if this.dice.percent(work.long_percent) {
            this.dice.between(1, ttl_ms * 5 / 2) * NS_PER_MS
        } else {
            this.dice.tail(work.hold_us * 1_000)
        };
        let until = self.now.plus_ns(hold_ns);
        this.stage = Stage::Work { party, grant, until };
        if this.dice.percent(work.validate_percent)
            && let Some(validation) = self.validate(host, task, party)
        {
            self.hosts[host].tasks[task].stage = Stage::Check { validation, party, grant, until };
            return;
        }
        self.referee.writes(grant, self.now);
        self.go_on(host, task, party, grant, until);
    }

    /// Works on, until the next write.
    fn go_on(&mut self, host: usize, task: usize, party: PartyId, grant: GrantId, until: At) {
        let this = &mut self.hosts[host].tasks[task];
        this.stage = Stage::Work { party, grant, until };
        let left_ns = until.ns_since(self.now);
        let after_ns = if this.dice.percent(50) { left_ns } else { this.dice.between(0, left_ns) };
        self.plan_task(host, task, after_ns);
    }

    fn work(&mut self, host: usize, task: usize, party: PartyId, grant: GrantId, until: At) {
        let loss = self.holding(host, party).map_or(Some(LossReason::Expired), |holding| holding.hold.loss());
        if loss.is_some() {
            self.referee.acts_no_more(grant);
            self.leave(host, party);
            if self.hosts[host].tasks[task].probe {
                self.probed(host, task, Asked::Granted);
            } else {
                self.rest(host, task);
            }
            return;
        }
        self.referee.writes(grant, self.now);
        if self.now >= until {
            self.finish_work(host, task, party, grant);
            return;
        }
        let manual = self.hosts[host].tasks[task].dice.percent(30);
        if manual
            && matches!(self.hosts[host].parties.get(&party), Some(Party { machine: Machine::Hold(_), .. }))
        {
            self.renew(host, party);
        }
        self.drive_hold(host, party, |hold: &mut Hold, _| hold.handle_work());
        self.go_on(host, task, party, grant, until);
    }

    /// Gives the lease back, or drops it.
    fn finish_work(&mut self, host: usize, task: usize, party: PartyId, grant: GrantId) {
        let drops = {
            let percent = self.plan.work.drop_percent;
            self.hosts[host].tasks[task].dice.percent(percent)
        };
        self.referee.acts_no_more(grant);
        self.hosts[host].tasks[task].stage = Stage::Release { party };
        self.release(host, party);
        if self.hosts[host].tasks[task].probe {
            self.leave(host, party);
            self.probed(host, task, Asked::Granted);
        } else if drops {
            self.leave(host, party);
            self.rest(host, task);
        }
    }
}

/// Whether another attempt may fare better.
const fn is_worth_waiting(failure: AttemptFailure) -> bool {
    matches!(
        failure,
        AttemptFailure::Held { .. } | AttemptFailure::NoQuorum | AttemptFailure::ValidityExhausted
    )
}
