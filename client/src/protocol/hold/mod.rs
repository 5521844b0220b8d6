//! The holder's side of a lease: renewal, loss and release, in one machine, so that no renewal can follow a release.

mod round;
mod terms;

use std::collections::VecDeque;

pub use terms::{HoldEvent, HoldParams, LossReason, Renewal};

use self::round::{Asked, Progress, Purpose};
use super::backoff::spread;
use super::fence::Fence;
use super::operation::{Action, Reply, Request, Round, Vote};
use super::quorum::{EndpointId, EndpointSet};
use super::tally::Tally;
use super::time::{Moment, NS_PER_MS};
use super::validity;

/// Rounds whose answers are still waited for. An older one is given up for a newer.
const ROUNDS_MAX: usize = 4;

#[derive(Clone, Copy, Debug)]
enum State {
    Held,
    Releasing { tally: Tally, until: Moment },
    Released,
    Lost(LossReason),
}

/// The machine of one held lease.
///
/// Inputs: [`handle_reply`](Self::handle_reply), [`handle_timeout`](Self::handle_timeout),
/// [`handle_admission`](Self::handle_admission), [`handle_work`](Self::handle_work),
/// [`handle_release`](Self::handle_release). Outputs: [`poll_request`](Self::poll_request),
/// [`poll_timeout`](Self::poll_timeout), [`poll_event`](Self::poll_event). Spurious calls do nothing.
#[derive(Debug)]
pub struct Hold {
    params: HoldParams,
    /// The TTL of the newest round; the adaptive TTL moves it.
    ttl_ms: u32,
    /// How long rounds take, as a 99th percentile.
    round_ns: u64,
    state: State,
    deadline: Moment,
    /// Whether the deadline rests on what was given in line, which stands for less than a TTL.
    provisional: bool,
    /// Whether the deadline rests on shadows.
    degraded: bool,
    /// Who confirmed in the newest round that carried.
    voters: EndpointSet,
    round: Round,
    asked: VecDeque<Asked>,
    renew_at: Moment,
    /// Whether a renewal waits to be admitted.
    due: bool,
    /// Whether the holder has reported progress since the last renewal.
    worked: bool,
    /// When endpoints that have not voted are given the lock; `None` once they were, or need not be.
    grow_at: Option<Moment>,
    /// Whether the holder knows that the deadline is near.
    warned: bool,
    requests: VecDeque<Request>,
    events: VecDeque<HoldEvent>,
}

impl Hold {
    /// Starts holding what was won.
    #[must_use]
    pub fn new(params: HoldParams) -> Self {
        let HoldParams { grant, ttl_ms, t0, quorum, .. } = params;
        // A lease that is given back at once need not grow: the endpoints that are late will have had its release.
        let grow_at = (grant.voters != quorum.all()).then(|| t0.plus_ms(u64::from(ttl_ms) / 10));
        let mut hold = Self {
            params,
            ttl_ms,
            round_ns: params.round_ns,
            state: State::Held,
            deadline: grant.deadline,
            provisional: grant.deadline < validity::deadline(t0, ttl_ms),
            degraded: false,
            voters: grant.voters,
            round: Round::default(),
            asked: VecDeque::new(),
            renew_at: Moment::default(),
            due: false,
            worked: false,
            grow_at,
            warned: false,
            requests: VecDeque::new(),
            events: VecDeque::new(),
        };
        hold.schedule_renewal(t0);
        hold
    }

    /// The lease's token.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.params.grant.fence
    }

    /// Until when the lease may be believed. Renewals move it later, never earlier.
    #[must_use]
    pub const fn deadline(&self) -> Moment {
        self.deadline
    }

    /// Who voted for it in the newest successful round, and who was given it since.
    #[must_use]
    pub const fn voters(&self) -> EndpointSet {
        self.voters
    }

    /// Whether the lease lives on shadows, because its renewals got no answers.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// Why it is over, if it is.
    #[must_use]
    pub const fn loss(&self) -> Option<LossReason> {
        match self.state {
            State::Held => None,
            State::Lost(reason) => Some(reason),
            State::Releasing { .. } | State::Released => Some(LossReason::Released),
        }
    }

    /// Whether the lease is held at `now`: neither lost, nor released, nor over.
    #[must_use]
    pub fn is_valid(&self, now: Moment) -> bool {
        matches!(self.state, State::Held) && now < self.notice_at()
    }

    /// Whether a request that has not been sent yet still serves. An extend that is late for its round does: it keeps the
    /// endpoint's vote.
    #[must_use]
    pub fn wants(&self, request: &Request) -> bool {
        match request.action {
            Action::Release => true,
            _ => matches!(self.state, State::Held) && request.round == self.round,
        }
    }

    /// The next request to send, if any.
    pub fn poll_request(&mut self) -> Option<Request> {
        pop(&mut self.requests)
    }

    /// The next thing that happened, if any.
    pub fn poll_event(&mut self) -> Option<HoldEvent> {
        pop(&mut self.events)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Held => {
                let renewal = (!self.due && self.may_renew(self.renew_at)).then_some(self.renew_at);
                let warning = (!self.warned).then(|| self.warn_at());
                let shadow = self.shadow_is_possible().then(|| self.shadow_at());
                [renewal, warning, shadow, self.grow_at, Some(self.notice_at())].into_iter().flatten().min()
            }
            State::Releasing { until, .. } => Some(until),
            State::Released | State::Lost(_) => None,
        }
    }

    /// When the lease, or its release, is over at the latest; in the past once it is.
    #[must_use]
    pub const fn end(&self) -> Moment {
        match self.state {
            State::Releasing { until, .. } => until,
            _ => self.deadline,
        }
    }

    /// Tells that time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        match self.state {
            State::Held => self.keep(now),
            State::Releasing { until, .. } if until <= now => self.end_release(false),
            _ => {}
        }
    }

    /// The renewal that was due may begin, and asks for `ttl_ms`. Also without being due: a renewal by hand.
    ///
    /// `round_ns` is how long rounds take, as a 99th percentile: what is left to the deadline must suffice for three.
    pub fn handle_admission(&mut self, now: Moment, ttl_ms: u32, round_ns: u64) {
        self.due = false;
        if self.is_valid(now) {
            self.ttl_ms = ttl_ms;
            self.round_ns = round_ns;
            self.begin(Purpose::Renew, now, ttl_ms);
            // The next try, should this one get no answers: three or four fit before the deadline.
            self.renew_at = now.plus_ns(self.jitter(self.part_ns(10), self.part_ns(7)));
        }
    }

    /// The holder reports progress. Renewal on work asks for it.
    pub fn handle_work(&mut self) {
        self.worked = true;
    }

    /// Takes an endpoint's answer. `now` is read after the answer arrived.
    pub fn handle_reply(&mut self, now: Moment, endpoint: EndpointId, round: Round, reply: &Reply) {
        let notice_at = self.notice_at();
        match &mut self.state {
            State::Held if now >= notice_at => self.expire(now),
            State::Held => self.count(endpoint, round, reply),
            State::Releasing { tally, .. } if round == self.round => {
                tally.cast(endpoint, gone(reply));
                if tally.carried() {
                    self.end_release(true);
                } else if tally.out_of_reach() {
                    self.end_release(false);
                }
            }
            _ => {}
        }
    }

    /// The holder's clock was found to be off: nothing it says of the deadline can be believed.
    pub fn handle_distrust(&mut self) {
        if matches!(self.state, State::Held) {
            self.lose(LossReason::ClockSuspect);
        }
    }

    /// The holder is done. From here on no renewal is sent.
    pub fn handle_release(&mut self, now: Moment) {
        if !matches!(self.state, State::Held) {
            return;
        }
        if now >= self.notice_at() {
            self.expire(now);
            return;
        }
        let tally = Tally::new(self.params.quorum);
        self.state = State::Releasing { tally, until: now.plus_ms(self.params.patience_ms.into()) };
        self.release_everywhere();
    }

    /// Sees to whatever is due, loss first.
    fn keep(&mut self, now: Moment) {
        if now >= self.notice_at() {
            self.expire(now);
            return;
        }
        if !self.warned && self.warn_at() <= now {
            self.warned = true;
            self.events.push_back(HoldEvent::ExpiringSoon);
        }
        if self.shadow_is_possible() && self.shadow_at() <= now {
            let ttl_ms = self.ttl_ms.saturating_mul(10).min(self.params.ttl_ms_max);
            self.begin(Purpose::Shadow, now, ttl_ms);
        }
        if self.grow_at.is_some_and(|at| at <= now) {
            self.grow_at = None;
            self.grow(now);
        }
        if !self.due && self.renew_at <= now && self.may_renew(now) {
            self.due = true;
            let urgent_at = self.deadline.minus_ns(self.part_ns(4));
            self.events.push_back(HoldEvent::RenewalDue { deadline: self.deadline, urgent_at });
        }
    }

    fn may_renew(&self, now: Moment) -> bool {
        let in_time = self.params.renew_until.is_none_or(|until| now < until);
        let by_itself = match self.params.renewal {
            Renewal::Auto => true,
            Renewal::Manual => false,
            Renewal::OnWork => self.worked,
        };
        // What was given in line is made a whole TTL by whoever took it, however it is renewed from then on.
        in_time && (by_itself || self.provisional)
    }

    /// A shadow is for renewals that got no answers; where somebody holds something else, it would stand in their way.
    fn shadow_is_possible(&self) -> bool {
        let tried = self.asked.iter().any(|asked| asked.purpose == Purpose::Renew && !asked.is_carried());
        let shadowed = self.asked.iter().any(|asked| asked.purpose == Purpose::Shadow);
        tried && !shadowed && !self.degraded && !self.asked.iter().any(Asked::is_contested)
    }

    fn notice_at(&self) -> Moment {
        validity::notice_at(self.deadline, self.ttl_ms)
    }

    fn warn_at(&self) -> Moment {
        self.deadline.minus_ns(self.part_ns(5))
    }

    fn shadow_at(&self) -> Moment {
        self.deadline.minus_ns(self.part_ns(4))
    }

    /// A part of the TTL.
    fn part_ns(&self, divisor: u64) -> u64 {
        u64::from(self.ttl_ms) * NS_PER_MS / divisor
    }

    fn jitter(&self, low_ns: u64, high_ns: u64) -> u64 {
        spread(low_ns, high_ns, self.params.jitter_seed, self.round.0)
    }

    /// The next renewal: at half of the TTL, with a tenth of it as jitter to either side; of what was given in line, when a third
    /// of the TTL is left; earlier where rounds take so long that fewer than three would fit before the deadline.
    fn schedule_renewal(&mut self, t0: Moment) {
        let tenth_ns = self.part_ns(10);
        let usual = if self.provisional {
            self.deadline.minus_ns(self.jitter(3 * tenth_ns, 4 * tenth_ns))
        } else {
            t0.plus_ns(self.jitter(4 * tenth_ns, 6 * tenth_ns))
        };
        let latest = self.deadline.minus_ns(self.round_ns.saturating_mul(3));
        self.renew_at = usual.min(latest).max(t0.plus_ns(tenth_ns));
    }

    fn begin(&mut self, purpose: Purpose, t0: Moment, ttl_ms: u32) {
        let fence = self.fence();
        let action = match purpose {
            Purpose::Renew => Action::Extend { ttl_ms, fence },
            Purpose::Shadow => Action::Shadow { ttl_ms },
            Purpose::Grow => Action::Heal { ttl_ms, fence },
        };
        let whom = match purpose {
            Purpose::Renew | Purpose::Shadow => self.params.quorum.all(),
            Purpose::Grow => self.params.quorum.all().difference(self.voters),
        };
        self.open_round(whom, action);
        if self.asked.len() == ROUNDS_MAX
            && let Some(given_up) = self.asked.pop_front().filter(Asked::is_open)
        {
            self.events.push_back(HoldEvent::RenewalFailed { t0: given_up.t0 });
        }
        self.asked.push_back(Asked::new(self.round, purpose, t0, ttl_ms, self.params.quorum));
    }

    fn grow(&mut self, now: Moment) {
        if self.asked.is_empty() && self.voters != self.params.quorum.all() {
            self.begin(Purpose::Grow, now, self.ttl_ms);
        }
    }

    /// Counts an answer that arrived before the old deadline.
    fn count(&mut self, endpoint: EndpointId, round: Round, reply: &Reply) {
        let Some(index) = self.asked.iter().position(|asked| asked.round == round) else {
            return;
        };
        let asked = &mut self.asked[index];
        let newest = round == self.round;
        if *reply == Reply::Missing && asked.purpose == Purpose::Renew && newest && asked.awaits(endpoint) {
            let action = Action::Heal { ttl_ms: asked.ttl_ms, fence: self.params.grant.fence };
            self.requests.push_back(Request { endpoint, round, action });
            return;
        }
        let progress = asked.count(endpoint, reply);
        let asked = *asked;
        match (progress, asked.purpose) {
            (Progress::Taken, _) => self.lose(LossReason::Taken),
            (Progress::Carried, Purpose::Renew | Purpose::Shadow) => self.carry(asked),
            (Progress::Failed, Purpose::Renew | Purpose::Shadow) => {
                self.events.push_back(HoldEvent::RenewalFailed { t0: asked.t0 });
            }
            (Progress::Open, Purpose::Renew) if asked.is_carried() => self.voters = asked.voters(),
            (_, Purpose::Grow) if reply.vote() == Vote::Yes => self.voters.insert(endpoint),
            _ => {}
        }
        if reply.vote() == Vote::Yes {
            self.confirm_earlier(&asked, endpoint);
        }
    }

    /// An endpoint that has confirmed a round keeps the lock for longer than any earlier round asked. So it counts there too:
    /// where rounds take longer than the retries, no one round may have a majority of its own.
    fn confirm_earlier(&mut self, later: &Asked, endpoint: EndpointId) {
        let carried =
            self.asked.iter_mut().filter_map(|asked| asked.confirm_by(later, endpoint).then_some(*asked));
        if let Some(newest) = carried.last() {
            self.carry(newest);
        }
    }

    /// M have confirmed this round: the deadline moves on, and older rounds do not matter any more.
    fn carry(&mut self, asked: Asked) {
        let old_deadline = self.deadline;
        self.deadline = old_deadline.max(asked.deadline());
        let shadow = asked.purpose == Purpose::Shadow;
        self.degraded = shadow;
        if !shadow {
            self.provisional = false;
            self.voters = asked.voters();
            self.worked = false;
            self.grow_at = None;
            self.schedule_renewal(asked.t0);
        }
        self.warned = false;
        self.asked.retain(|other| other.round >= asked.round);
        self.asked.shrink_to_fit();
        self.events.push_back(HoldEvent::Renewed { t0: asked.t0, old_deadline, shadow });
    }

    fn expire(&mut self, now: Moment) {
        let over = self.params.renew_until.is_some_and(|until| until <= now);
        self.lose(if over { LossReason::HeldTooLong } else { LossReason::Expired });
    }

    /// Loss is latched. What may still stand on endpoints, shadows above all, is removed.
    fn lose(&mut self, reason: LossReason) {
        self.state = State::Lost(reason);
        self.events.push_back(HoldEvent::Lost(reason));
        self.release_everywhere();
    }

    fn end_release(&mut self, confirmed: bool) {
        self.state = State::Released;
        self.events.push_back(HoldEvent::Released { confirmed });
    }

    fn release_everywhere(&mut self) {
        self.asked.clear();
        self.open_round(self.params.quorum.all(), Action::Release);
    }

    /// Opens a round. What was asked before and not sent yet is forgotten.
    fn open_round(&mut self, whom: EndpointSet, action: Action) {
        self.round = self.round.next();
        self.requests.clear();
        let round = self.round;
        self.requests.extend(whom.iter().map(|endpoint| Request { endpoint, round, action }));
    }
}

/// Whether this answer to a release proves that the lock is not the owner's any more.
fn gone(reply: &Reply) -> Vote {
    match reply {
        Reply::Released | Reply::Missing | Reply::Held { .. } | Reply::NotALock => Vote::Yes,
        Reply::Unknown(_) => Vote::Unknown,
        _ => Vote::No,
    }
}

/// The first in a queue. A lease at rest keeps no buffer for queues that are empty: there may be very many of it.
fn pop<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    if queue.is_empty() && queue.capacity() > 0 {
        *queue = VecDeque::new();
    }
    first
}
