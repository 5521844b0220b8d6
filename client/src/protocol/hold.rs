//! The holder's side of a lease: renewal, loss and release, in one machine, so that no renewal can follow a release.

use std::collections::VecDeque;
use std::fmt;

use super::attempt::Grant;
use super::backoff::spread;
use super::fence::Fence;
use super::operation::{Action, Reply, Request, Round, Vote};
use super::quorum::{EndpointId, EndpointSet, Quorum};
use super::tally::Tally;
use super::time::{Moment, NS_PER_MS};
use super::validity;

/// What a hold is started with.
#[derive(Clone, Copy, Debug)]
pub struct HoldParams {
    /// Who votes.
    pub quorum: Quorum,
    /// What was won.
    pub grant: Grant,
    /// The TTL, for this and every renewal.
    pub ttl_ms: u32,
    /// When the attempt that won was started.
    pub t0: Moment,
    /// How long to wait for answers, in milliseconds, before those that are out count as unknown.
    pub patience_ms: u32,
    /// Random bits, from which renewals get their jitter.
    pub jitter_seed: u64,
}

/// Why a lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// No majority confirmed a renewal before the deadline.
    Expired,
    /// So many endpoints hold another lock, or a key that is no lock, that no majority is left.
    Taken,
    /// The holder released it itself. Not a loss, but nothing is held any more.
    Released,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "no majority confirmed a renewal before the deadline",
            Self::Taken => "another lock, or a key that is no lock, stands on a majority of endpoints",
            Self::Released => "it was released",
        })
    }
}

/// What happened to a hold, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldEvent {
    /// A majority confirmed a renewal.
    Renewed {
        /// When the round was started.
        t0: Moment,
        /// The deadline before it.
        old_deadline: Moment,
    },
    /// A renewal round ended without a majority; another follows if there is time.
    RenewalFailed {
        /// When the round was started.
        t0: Moment,
    },
    /// The lease is over. Never taken back.
    Lost(LossReason),
    /// The release is over.
    Released {
        /// Whether a majority confirmed that the lock is gone. If not, its TTL removes it.
        confirmed: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    Held,
    Releasing { tally: Tally, until: Moment },
    Released,
    Lost(LossReason),
}

#[derive(Clone, Copy, Debug)]
struct Renewal {
    t0: Moment,
    tally: Tally,
    /// Endpoints that hold another lock, or something that is no lock.
    against: EndpointSet,
    course: Course,
}

/// How a renewal round goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Open,
    /// M confirmed it in time.
    Confirmed,
    /// M can no longer confirm it, or have not in time. What still comes in may yet tell that the lease is taken.
    Failed,
}

/// The machine of one held lease.
///
/// Inputs: [`handle_reply`](Self::handle_reply), [`handle_timeout`](Self::handle_timeout),
/// [`handle_release`](Self::handle_release). Outputs: [`poll_request`](Self::poll_request),
/// [`poll_timeout`](Self::poll_timeout), [`poll_event`](Self::poll_event). Spurious calls do nothing.
#[derive(Debug)]
pub struct Hold {
    params: HoldParams,
    state: State,
    deadline: Moment,
    /// Who confirmed in the newest round that reached a majority.
    voters: EndpointSet,
    round: Round,
    renewal: Option<Renewal>,
    renew_at: Moment,
    requests: VecDeque<Request>,
    events: VecDeque<HoldEvent>,
}

impl Hold {
    /// Starts holding what was won.
    #[must_use]
    pub fn new(params: HoldParams) -> Self {
        let mut hold = Self {
            params,
            state: State::Held,
            deadline: params.grant.deadline,
            voters: params.grant.voters,
            round: Round::default(),
            renewal: None,
            renew_at: Moment::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
        };
        hold.schedule_renewal(params.t0);
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

    /// Who voted for it in the newest successful round.
    #[must_use]
    pub const fn voters(&self) -> EndpointSet {
        self.voters
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

    /// Whether a request that has not been sent yet still serves.
    #[must_use]
    pub fn wants(&self, request: &Request) -> bool {
        match request.action {
            Action::Release => true,
            _ => matches!(self.state, State::Held) && request.round == self.round && self.renewal.is_some(),
        }
    }

    /// The next request to send, if any.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// The next thing that happened, if any.
    pub fn poll_event(&mut self) -> Option<HoldEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Held => {
                let next = self.open_renewal().map_or(self.renew_at, |renewal| self.renewal_end(&renewal));
                Some(next.min(self.notice_at()))
            }
            State::Releasing { until, .. } => Some(until),
            State::Released | State::Lost(_) => None,
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

    /// Takes an endpoint's answer. `now` is read after the answer arrived.
    pub fn handle_reply(&mut self, now: Moment, endpoint: EndpointId, round: Round, reply: &Reply) {
        if round != self.round {
            return;
        }
        let notice_at = self.notice_at();
        match &mut self.state {
            State::Held if now >= notice_at => self.lose(LossReason::Expired),
            State::Held => self.count_renewal(now, endpoint, reply),
            State::Releasing { tally, .. } => {
                tally.cast(endpoint, gone(reply));
                if tally.carried() {
                    self.end_release(true);
                } else if tally.out_of_reach() {
                    self.end_release(false);
                }
            }
            State::Released | State::Lost(_) => {}
        }
    }

    /// The holder is done. From here on no renewal is sent.
    pub fn handle_release(&mut self, now: Moment) {
        if !matches!(self.state, State::Held) {
            return;
        }
        if now >= self.notice_at() {
            self.lose(LossReason::Expired);
            return;
        }
        let tally = Tally::new(self.params.quorum);
        self.state = State::Releasing { tally, until: now.plus_ms(self.params.patience_ms.into()) };
        self.send_everywhere(Action::Release);
    }

    fn notice_at(&self) -> Moment {
        validity::notice_at(self.deadline, self.params.ttl_ms)
    }

    fn open_renewal(&self) -> Option<Renewal> {
        self.renewal.filter(|renewal| renewal.course == Course::Open)
    }

    fn renewal_end(&self, renewal: &Renewal) -> Moment {
        renewal.t0.plus_ms(self.params.patience_ms.into())
    }

    /// Sees to whatever is due: loss first, then a round that got no answer, then the next renewal.
    fn keep(&mut self, now: Moment) {
        if now >= self.notice_at() {
            self.lose(LossReason::Expired);
            return;
        }
        // A round under way is left to its end: a timer that rings for nothing must not begin it anew.
        if let Some(renewal) = self.open_renewal() {
            if self.renewal_end(&renewal) <= now {
                self.fail_renewal(&renewal, now);
            }
        } else if self.renew_at <= now {
            self.begin_renewal(now);
        }
    }

    fn begin_renewal(&mut self, t0: Moment) {
        self.send_everywhere(Action::Extend { ttl_ms: self.params.ttl_ms, fence: self.fence() });
        let tally = Tally::new(self.params.quorum);
        self.renewal = Some(Renewal { t0, tally, against: EndpointSet::default(), course: Course::Open });
    }

    /// Counts an answer of the current round, which arrived before the old deadline.
    fn count_renewal(&mut self, now: Moment, endpoint: EndpointId, reply: &Reply) {
        let Some(renewal) = &mut self.renewal else {
            return;
        };
        if *reply == Reply::Missing && renewal.tally.pending().contains(endpoint) {
            let action = Action::Heal { ttl_ms: self.params.ttl_ms, fence: self.params.grant.fence };
            self.requests.push_back(Request { endpoint, round: self.round, action });
            return;
        }
        if !renewal.tally.cast(endpoint, reply.vote()) {
            return;
        }
        if matches!(reply, Reply::Held { .. } | Reply::NotALock) {
            renewal.against.insert(endpoint);
        }
        let renewal = *renewal;
        if renewal.against.len() > self.params.quorum.spare() {
            self.lose(LossReason::Taken);
            return;
        }
        match renewal.course {
            Course::Open if renewal.tally.carried() => self.confirm_renewal(&renewal),
            Course::Open if renewal.tally.out_of_reach() => self.fail_renewal(&renewal, now),
            Course::Confirmed => self.voters = renewal.tally.yes(),
            Course::Open | Course::Failed => {}
        }
    }

    fn confirm_renewal(&mut self, renewal: &Renewal) {
        self.voters = renewal.tally.yes();
        let old_deadline = self.deadline;
        self.deadline = old_deadline.max(validity::deadline(renewal.t0, self.params.ttl_ms));
        self.events.push_back(HoldEvent::Renewed { t0: renewal.t0, old_deadline });
        self.renewal = Some(Renewal { course: Course::Confirmed, ..*renewal });
        self.schedule_renewal(renewal.t0);
    }

    /// A failed round changes nothing: another follows soon, until the deadline.
    fn fail_renewal(&mut self, renewal: &Renewal, now: Moment) {
        self.events.push_back(HoldEvent::RenewalFailed { t0: renewal.t0 });
        self.renewal = Some(Renewal { course: Course::Failed, ..*renewal });
        let gap_ns = u64::from(self.params.ttl_ms) * NS_PER_MS / 10;
        self.renew_at = now.plus_ns(spread(gap_ns / 2, gap_ns, self.params.jitter_seed, self.round.0));
    }

    /// The next renewal: at half of the TTL, with a tenth of it as jitter to either side.
    fn schedule_renewal(&mut self, t0: Moment) {
        let tenth_ns = u64::from(self.params.ttl_ms) * NS_PER_MS / 10;
        self.renew_at = t0.plus_ns(spread(4 * tenth_ns, 6 * tenth_ns, self.params.jitter_seed, self.round.0));
    }

    /// Loss is latched. What may still stand on endpoints is removed.
    fn lose(&mut self, reason: LossReason) {
        self.state = State::Lost(reason);
        self.events.push_back(HoldEvent::Lost(reason));
        self.send_everywhere(Action::Release);
    }

    fn end_release(&mut self, confirmed: bool) {
        self.state = State::Released;
        self.events.push_back(HoldEvent::Released { confirmed });
    }

    /// Opens a round: what was asked before and not sent yet is forgotten, and late answers to it no longer count.
    fn send_everywhere(&mut self, action: Action) {
        self.round = self.round.next();
        self.renewal = None;
        self.requests.clear();
        let round = self.round;
        self.requests.extend(self.params.quorum.ids().map(|endpoint| Request { endpoint, round, action }));
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
