//! Leases that are held: what the shell does between a holder, its timers, the limiter and these machines.

use leasehold::protocol::operation::{Reply, Request};
use leasehold::protocol::quorum::EndpointId;
use leasehold::protocol::validity::{deadline, drift_ns};
use leasehold::protocol::{Action, Grant, Hold, HoldEvent, HoldParams, LossReason, Moment, Renewal, Round};

use super::attempt::draw_ttl;
use super::calm::Remains;
use super::host::{Holding, Machine, Party};
use super::{Event, PartyId, World};
use crate::referee::{End, GrantId};
use crate::sabotage::Control;
use crate::time::NS_PER_MS;

/// On what terms a lease is held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HoldTerms {
    pub(super) renewal: Renewal,
    pub(super) renew_for_ms: Option<u64>,
}

/// The tick at which a control notices a loss.
const TICK_NS: u64 = 50 * NS_PER_MS;

impl World<'_> {
    /// The task takes what it won.
    pub(super) fn hold(
        &mut self,
        host: usize,
        task: usize,
        won: PartyId,
        grant: Grant,
        terms: HoldTerms,
    ) -> Option<PartyId> {
        let now = self.moment(host);
        let party = self.hosts[host].parties.get(&won)?;
        let (name, owner, ttl_ms, timeout_ms) = (party.name, party.owner, party.ttl_ms, party.timeout_ms);
        let (t0, called) = (party.t0, party.called);
        let mut grant = grant;
        match self.options.sabotage {
            Some(Control::DeadlineFromReply) => grant.deadline = deadline(now, ttl_ms),
            Some(Control::NoDrift) => grant.deadline = grant.deadline.plus_ns(drift_ns(ttl_ms)),
            Some(Control::GivenInFull) => grant.deadline = grant.deadline.max(deadline(t0, ttl_ms)),
            _ => {}
        }
        let params = HoldParams {
            quorum: self.quorum,
            grant,
            ttl_ms,
            ttl_ms_max: self.plan.terms.ttl_ms_max,
            t0,
            patience_ms: timeout_ms,
            round_ns: self.round_ns(),
            renewal: terms.renewal,
            renew_until: terms.renew_for_ms.map(|ms| t0.plus_ms(ms)),
            jitter_seed: self.hosts[host].dice.bits(),
        };
        let until = self.hosts[host].clock.at(grant.deadline);
        let id = self.referee.granted(host, name, grant.fence.get(), called, self.now, until);
        self.note(|_| {
            format!(
                "host {host} task {task}: grant {} of name {name}, token {}, until {until}",
                id.0, grant.fence
            )
        });
        let holding = Holding {
            hold: Hold::new(params),
            grant: id,
            terms,
            ticket: None,
            pace_ms: Some(ttl_ms),
            newest_renewal: Round::default(),
        };
        self.hosts[host].limiter.handle_join(now, ttl_ms);
        let party = Party {
            machine: Machine::Hold(Box::new(holding)),
            name,
            owner,
            ttl_ms,
            timeout_ms,
            t0,
            called,
            outstanding: 0,
            alarm: None,
            task: Some(task),
            over: false,
        };
        let id = self.next_serial();
        self.hosts[host].parties.insert(id, party);
        self.busy[name].count += 1;
        self.drive_hold(host, id, |_, _| {});
        Some(id)
    }

    /// How long rounds take, as a 99th percentile.
    fn round_ns(&self) -> u64 {
        self.plan.network.delay_us_max() * 2_000
    }

    /// Every lease that a host holds.
    pub(super) fn holds(&self, host: usize) -> Vec<PartyId> {
        let parties = self.hosts[host].parties.iter();
        parties.filter(|(_, party)| matches!(party.machine, Machine::Hold(_))).map(|(id, _)| *id).collect()
    }

    /// Gives a machine an input, then does what it asks for.
    pub(super) fn drive_hold(&mut self, host: usize, id: PartyId, input: impl FnOnce(&mut Hold, Moment)) {
        let now = self.moment(host);
        let sabotage = self.options.sabotage;
        let Some(Party { machine: Machine::Hold(holding), .. }) = self.hosts[host].parties.get_mut(&id)
        else {
            return;
        };
        let told =
            if sabotage == Some(Control::VotesAfterDeadline) { credulous(&holding.hold, now) } else { now };
        input(&mut holding.hold, told);
        let requests: Vec<Request> = std::iter::from_fn(|| holding.hold.poll_request()).collect();
        let events: Vec<HoldEvent> = std::iter::from_fn(|| holding.hold.poll_event()).collect();
        if let Some(renewal) = requests.iter().find(|request| matches!(request.action, Action::Extend { .. }))
        {
            holding.newest_renewal = renewal.round;
        }
        let (grant, loss, until) = (holding.grant, holding.hold.loss(), holding.hold.deadline());
        let alarm = match (sabotage, holding.hold.poll_timeout()) {
            (Some(Control::NoticeAtTick), Some(at)) => {
                Some(Moment::from_nanos(at.as_nanos().next_multiple_of(TICK_NS)))
            }
            (Some(Control::VotesAfterDeadline), Some(at)) if told < now => Some(at.max(now.plus_ms(2))),
            (_, alarm) => alarm,
        };
        if loss.is_none() {
            let until = self.hosts[host].clock.at(until);
            self.referee.believes(grant, self.now, until);
        }
        self.set_alarm(host, id, alarm);
        self.send(host, id, requests);
        for event in events {
            self.hold_event(host, id, grant, event);
        }
        if loss.is_some() {
            self.leave_limiter(host, id);
        }
    }

    fn hold_event(&mut self, host: usize, id: PartyId, grant: GrantId, event: HoldEvent) {
        match event {
            HoldEvent::RenewalDue { deadline, urgent_at } => {
                if self.sabotaged(Control::RenewalForgotten) {
                    return;
                }
                let ticket = self.hosts[host].limiter.handle_due(deadline, urgent_at, id);
                if let Some(holding) = self.holding(host, id) {
                    holding.ticket = Some(ticket);
                }
                self.run_limiter(host);
            }
            HoldEvent::Renewed { shadow, .. } => {
                self.counts.renewals += 1;
                self.counts.shadows += u64::from(shadow);
                self.note(|world| {
                    format!(
                        "host {host}: grant {} is renewed until {}, by shadows: {shadow}",
                        grant.0,
                        world.referee.until(grant)
                    )
                });
            }
            HoldEvent::Lost(reason) => {
                self.counts.lost += 1;
                self.note(|_| format!("host {host}: grant {} is lost: {reason:?}", grant.0));
                self.judge_notice(host, grant, reason);
                self.judge_loss(host, id, grant, reason);
                self.referee.ended(grant, self.now, End::Lost);
                self.look_for_remains_of(host, id, "a lost lease");
                self.wake_task_of(host, id);
            }
            HoldEvent::Released { confirmed } => {
                self.note(|_| format!("host {host}: release of grant {}: confirmed {confirmed}", grant.0));
                self.wake_task_of(host, id);
            }
            HoldEvent::RenewalFailed { .. } | HoldEvent::ExpiringSoon => {}
        }
    }

    /// The holder gives its lease back.
    pub(super) fn release(&mut self, host: usize, id: PartyId) {
        self.drive_hold(host, id, Hold::handle_release);
        let Some(holding) = self.holding(host, id) else {
            return;
        };
        let (grant, loss) = (holding.grant, holding.hold.loss());
        if loss == Some(LossReason::Released) {
            self.referee.ended(grant, self.now, End::Released);
            self.note(|_| format!("host {host}: grant {} is given back", grant.0));
            self.look_for_remains_of(host, id, "a released lease");
        }
        if self.sabotaged(Control::RenewalAfterRelease)
            && let Some(Party { machine: Machine::Hold(holding), ttl_ms, .. }) =
                self.hosts[host].parties.get(&id)
        {
            let action = Action::Heal { ttl_ms: *ttl_ms, fence: holding.hold.fence() };
            let heal = |endpoint| Request { endpoint, round: Round(u32::MAX), action };
            let requests = self.quorum.ids().map(heal).collect();
            self.send(host, id, requests);
        }
    }

    /// Renews a lease now.
    pub(super) fn renew(&mut self, host: usize, id: PartyId) {
        let now = self.moment(host);
        let (low, high) = (self.plan.terms.ttl_ms_low, self.plan.terms.ttl_ms_high);
        let ttl_ms = draw_ttl(&mut self.hosts[host], low, high);
        let round_ns = self.round_ns();
        let Some(holding) = self.holding(host, id) else {
            return;
        };
        holding.ticket = None;
        if let Some(old_ms) = holding.pace_ms.filter(|&old_ms| old_ms != ttl_ms) {
            holding.pace_ms = Some(ttl_ms);
            self.hosts[host].limiter.handle_join(now, ttl_ms);
            self.hosts[host].limiter.handle_leave(now, old_ms);
        }
        self.drive_hold(host, id, |hold, now| hold.handle_admission(now, ttl_ms, round_ns));
    }

    pub(super) fn reply_to_hold(
        &mut self,
        host: usize,
        id: PartyId,
        endpoint: EndpointId,
        round: Round,
        reply: Reply,
    ) {
        let newest = self.holding(host, id).map_or(round, |holding| holding.newest_renewal);
        let round = if self.sabotaged(Control::OldRoundCounts) && round < newest { newest } else { round };
        self.drive_hold(host, id, |hold, now| hold.handle_reply(now, endpoint, round, &reply));
    }

    pub(super) fn holding(&mut self, host: usize, id: PartyId) -> Option<&mut Holding> {
        match self.hosts[host].parties.get_mut(&id) {
            Some(Party { machine: Machine::Hold(holding), .. }) => Some(holding),
            _ => None,
        }
    }

    fn leave_limiter(&mut self, host: usize, id: PartyId) {
        let now = self.moment(host);
        let Some(holding) = self.holding(host, id) else {
            return;
        };
        let (ticket, pace_ms) = (holding.ticket.take(), holding.pace_ms.take());
        let limiter = &mut self.hosts[host].limiter;
        if let Some(ticket) = ticket {
            limiter.handle_cancel(ticket);
        }
        if let Some(pace_ms) = pace_ms {
            limiter.handle_leave(now, pace_ms);
        }
    }

    /// Begins the renewals that may begin.
    fn run_limiter(&mut self, host: usize) {
        let now = self.moment(host);
        while let Some(id) = self.hosts[host].limiter.poll_admitted(now) {
            self.renew(host, id);
        }
        let this = &mut self.hosts[host];
        let wanted = this.limiter.poll_timeout();
        if wanted == this.limiter_alarm.map(|(moment, _)| moment) {
            return;
        }
        let stamp = self.next_serial();
        if let Some(moment) = wanted {
            let at = self.ring_at(host, moment);
            self.queue.plan(at, Event::Limiter { host, stamp });
        }
        self.hosts[host].limiter_alarm = wanted.map(|moment| (moment, stamp));
    }

    pub(super) fn handle_limiter(&mut self, host: usize, stamp: u64) {
        if self.hosts[host].limiter_alarm.take_if(|(_, newest)| *newest == stamp).is_some() {
            self.run_limiter(host);
        }
    }

    pub(super) fn look_for_remains_of(&mut self, host: usize, id: PartyId, of: &'static str) {
        if let Some(party) = self.hosts[host].parties.get(&id) {
            let (name, owner, ttl_ms) = (party.name, party.owner, self.plan.terms.ttl_ms_low);
            let admitted = self.admitted(host);
            self.look_for_remains(Remains { host, name, owner, since: self.now, ttl_ms, of, admitted });
        }
    }
}

/// The time that a control tells a lease: never that it is over, until long after.
fn credulous(hold: &Hold, now: Moment) -> Moment {
    let limit = hold.deadline().minus_ns(6 * NS_PER_MS);
    if now < hold.deadline().plus_ms(2_000) { now.min(limit) } else { now }
}
