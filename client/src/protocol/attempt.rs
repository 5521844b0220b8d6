//! One attempt to acquire: all endpoints at once, decided at the first majority, token settled, validity checked, and
//! undone everywhere if it fails.

use std::collections::VecDeque;

use super::fence::{Fence, OwnerId};
use super::operation::{Action, Reply, Request, Round, Vote};
use super::quorum::{EndpointId, EndpointSet, Quorum};
use super::tally::Tally;
use super::time::Moment;
use super::validity;

/// What an attempt is started with.
#[derive(Clone, Copy, Debug)]
pub struct AttemptParams {
    /// Who votes.
    pub quorum: Quorum,
    /// New for this attempt.
    pub owner: OwnerId,
    /// The TTL asked for.
    pub ttl_ms: u32,
    /// The client's wall clock in microseconds: what endpoints take as the token if they can.
    pub proposal: u64,
    /// Read before the first byte is sent.
    pub t0: Moment,
    /// How long to wait for answers, in milliseconds, before those that are out count as unknown.
    pub patience_ms: u32,
}

/// A lease won: valid from now to `deadline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its token.
    pub fence: Fence,
    /// When it ends unless renewed.
    pub deadline: Moment,
    /// Who voted for it and holds exactly its token.
    pub voters: EndpointSet,
}

/// Why an attempt did not win.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFailure {
    /// A majority answered, and somebody else holds the lock.
    Held {
        /// The shortest time that a lock in the way has left, in milliseconds.
        left_ms: u64,
    },
    /// Something that is not a lock stands under the key on so many endpoints that no majority is left.
    NotALock,
    /// Too few endpoints gave a vote.
    NoQuorum,
    /// A majority agreed, but so late that hardly any validity was left.
    ValidityExhausted,
    /// The caller no longer wants it.
    Cancelled,
}

#[derive(Debug)]
enum Phase {
    /// Waiting for the first M votes; also in line, to be given the lock.
    Voting,
    /// The voters drew different tokens; those with a smaller one are asked to raise it.
    Raising {
        fence: Fence,
        raise: Tally,
    },
    Won(Grant),
    Lost(AttemptFailure),
}

/// The machine of one attempt.
///
/// Inputs: [`handle_reply`](Self::handle_reply), [`handle_timeout`](Self::handle_timeout),
/// [`handle_hand_out`](Self::handle_hand_out), [`handle_cancel`](Self::handle_cancel). Outputs: [`poll_request`](Self::poll_request),
/// [`poll_timeout`](Self::poll_timeout), [`outcome`](Self::outcome). Late replies never change an outcome; spurious calls
/// do nothing.
///
/// One that may wait ([`waiting`](Self::waiting)) is not over where it finds the lock held: it [is in line](Self::is_in_line)
/// at a majority that can be heard, and may be given the lock there ([`handle_hand_over`](Self::handle_hand_over)). Now and then
/// it asks again ([`handle_refresh`](Self::handle_refresh)), as the same owner. **Each vote counts from the moment before the
/// request that it answers was sent**, be it an answer or a hand-over: an endpoint may have given the lock at any time since. What
/// is given stands for [half of the TTL](validity::given_ms).
#[derive(Debug)]
pub struct Attempt {
    params: AttemptParams,
    phase: Phase,
    /// Its place in line, if it may wait.
    ticket: Option<u64>,
    /// Endpoints that are heard when they give the lock.
    heard: EndpointSet,
    in_line: bool,
    /// What was asked, the newest last. What is so old that it has gone from here was asked for more than a TTL ago.
    asked: VecDeque<Asked>,
    /// The answer of each endpoint that counts: its token if it said yes, its reason if it did not.
    replies: Vec<Option<Reply>>,
    /// What each of them answers, and whether unasked.
    answered: Vec<Option<Answered>>,
    /// Since when the answers that are out have been waited for.
    patient_since: Moment,
    /// From when on the votes that decided count, and until when.
    t0: Moment,
    deadline: Moment,
    /// Endpoints that may hold this attempt's lock, or give it.
    reached: EndpointSet,
    requests: VecDeque<Request>,
}

/// One time that all endpoints were asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    round: Round,
    /// What tells it from others where it is parked.
    proposal: u64,
    /// Read before the first byte was sent.
    t: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    to: Asked,
    handed_over: bool,
}

impl Answered {
    /// Until when a yes counts. What was given in line stands for less than what was taken.
    fn deadline(self, ttl_ms: u32) -> Moment {
        validity::deadline(self.to.t, if self.handed_over { validity::given_ms(ttl_ms) } else { ttl_ms })
    }
}

const VOTE: Round = Round(0);
const RAISE: Round = Round(1);
const UNDO: Round = Round(2);
/// Refreshes are numbered from here on.
const REFRESH: Round = Round(3);

/// How many refreshes are remembered: one is never sent within 50 ms of the one before, but for wake-ups, of which more cost time only.
const ASKED_LEN_MAX: usize = 64;

impl Attempt {
    /// Starts an attempt: one acquire to every endpoint is waiting in [`poll_request`](Self::poll_request).
    #[must_use]
    pub fn new(params: AttemptParams) -> Self {
        Self::asking(params, None, EndpointSet::EMPTY)
    }

    /// Starts an attempt that takes a place in line, by its ticket, wherever it finds the lock held, and waits there to be given
    /// it if a majority can be heard.
    #[must_use]
    pub fn waiting(params: AttemptParams, ticket: u64, heard: EndpointSet) -> Self {
        Self::asking(params, Some(ticket), heard)
    }

    fn asking(params: AttemptParams, ticket: Option<u64>, heard: EndpointSet) -> Self {
        let AttemptParams { quorum, proposal, t0, .. } = params;
        let mut attempt = Self {
            params,
            phase: Phase::Voting,
            ticket,
            heard,
            in_line: false,
            asked: VecDeque::new(),
            replies: quorum.ids().map(|_| None).collect(),
            answered: quorum.ids().map(|_| None).collect(),
            patient_since: t0,
            t0,
            deadline: t0,
            reached: quorum.all(),
            requests: VecDeque::new(),
        };
        attempt.ask(Asked { round: VOTE, proposal, t: t0 });
        attempt
    }

    fn ask(&mut self, asked: Asked) {
        let (ttl_ms, proposal) = (self.params.ttl_ms, asked.proposal);
        let action = match self.ticket {
            Some(ticket) => Action::AcquireOrWait { ttl_ms, proposal, ticket },
            None => Action::Acquire { ttl_ms, proposal },
        };
        self.asked.push_back(asked);
        if self.asked.len() > ASKED_LEN_MAX {
            self.asked.pop_front();
        }
        let request = |endpoint| Request { endpoint, round: asked.round, action };
        self.requests.extend(self.params.quorum.ids().map(request));
    }

    /// The newest time that endpoints were asked.
    fn newest(&self) -> Asked {
        let AttemptParams { proposal, t0, .. } = self.params;
        self.asked.back().copied().unwrap_or(Asked { round: VOTE, proposal, t: t0 })
    }

    /// How it ended, or `None` while it is undecided.
    #[must_use]
    pub const fn outcome(&self) -> Option<Result<Grant, AttemptFailure>> {
        match &self.phase {
            Phase::Won(grant) => Some(Ok(*grant)),
            Phase::Lost(failure) => Some(Err(*failure)),
            Phase::Voting | Phase::Raising { .. } => None,
        }
    }

    /// Whether it found the lock held, and waits to be given it.
    #[must_use]
    pub const fn is_in_line(&self) -> bool {
        self.in_line && matches!(self.phase, Phase::Voting)
    }

    /// From when on the votes that won count: the earliest moment at which any of them was asked for.
    #[must_use]
    pub const fn t0(&self) -> Moment {
        self.t0
    }

    /// Whether it was given the lock anywhere without asking for it just then.
    #[must_use]
    pub fn was_handed_over(&self) -> bool {
        self.answered.iter().flatten().any(|answered| answered.handed_over)
    }

    /// Each endpoint's answer that counts, by place; `None` where none has come.
    #[must_use]
    pub fn replies(&self) -> &[Option<Reply>] {
        &self.replies
    }

    /// Whether a request that has not been sent yet still serves: an undo where the lock may be, anything else only while
    /// the attempt is undecided.
    #[must_use]
    pub fn wants(&self, request: &Request) -> bool {
        match request.action {
            Action::Release => self.reached.contains(request.endpoint),
            Action::Raise { .. } => self.outcome().is_none(),
            _ => self.outcome().is_none() && request.round == self.newest().round,
        }
    }

    /// The next request to send, if any.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let waits = self.outcome().is_none() && !self.is_in_line();
        waits.then(|| self.patient_since.plus_ms(self.params.patience_ms.into()))
    }

    /// Takes an endpoint's answer. `now` is read after the answer arrived.
    pub fn handle_reply(&mut self, now: Moment, endpoint: EndpointId, round: Round, reply: Reply) {
        match round {
            RAISE => self.count_raise(now, endpoint, reply),
            UNDO => {}
            _ => {
                let leaves_nothing =
                    !matches!(reply, Reply::Granted { .. } | Reply::Unknown(_) | Reply::Waiting { .. });
                if round == VOTE && self.newest().round == VOTE && leaves_nothing {
                    // Owners are new for each attempt and requests are never repeated: this endpoint holds nothing of ours.
                    self.reached.remove(endpoint);
                }
                let asked = self.asked.iter().find(|asked| asked.round == round).copied();
                if let Some(to) = asked {
                    self.count_vote(now, endpoint, Answered { to, handed_over: false }, reply);
                }
            }
        }
    }

    /// An endpoint gave the lock to this attempt, which was parked there by the request with this proposal. `now` is read after
    /// word of it arrived.
    ///
    /// The caller has made sure that it comes from the server as which the endpoint was admitted.
    pub fn handle_hand_over(&mut self, now: Moment, endpoint: EndpointId, proposal: u64, fence: Fence) {
        let asked = self.asked.iter().find(|asked| asked.proposal == proposal).copied();
        if let Some(to) = asked {
            self.count_vote(now, endpoint, Answered { to, handed_over: true }, Reply::Granted { fence });
        }
    }

    /// Asks again, as the same owner: what it was given unheard is found so, and where its place was lost it takes one. `now`
    /// is read before the first byte is sent.
    pub fn handle_refresh(&mut self, now: Moment, proposal: u64) {
        if !matches!(self.phase, Phase::Voting) || self.ticket.is_none() {
            return;
        }
        let round = if self.newest().round == VOTE { REFRESH } else { self.newest().round.next() };
        self.requests.clear();
        (self.in_line, self.patient_since, self.reached) = (false, now, self.params.quorum.all());
        self.ask(Asked { round, proposal, t: now });
    }

    /// These endpoints are heard from here on. With fewer than a majority there is no waiting in line.
    pub fn handle_heard(&mut self, now: Moment, heard: EndpointSet) {
        self.heard = heard;
        if self.is_in_line() {
            self.decide(now);
        }
    }

    /// Nobody waits for it any longer: without a majority by now it has failed.
    pub fn handle_end_of_wait(&mut self) {
        if matches!(self.phase, Phase::Voting) {
            self.lose(self.classify());
        }
    }

    /// Hands out what was won, if enough of it is left now. The caller may have been woken late.
    pub fn handle_hand_out(&mut self, now: Moment) {
        if let Phase::Won(Grant { deadline, .. }) = self.phase
            && !self.is_worth_holding(now, deadline)
        {
            self.lose(AttemptFailure::ValidityExhausted);
        }
    }

    /// Tells that time has passed: answers that are still out count as unknown.
    pub fn handle_timeout(&mut self, now: Moment) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.lose(match self.phase {
                // M said yes: whatever stands on the others, it is the raise that was not confirmed.
                Phase::Raising { .. } => AttemptFailure::NoQuorum,
                _ => self.classify(),
            });
        }
    }

    /// The caller gave up, or never took what it won.
    pub fn handle_cancel(&mut self) {
        if !matches!(self.phase, Phase::Lost(_)) {
            self.lose(AttemptFailure::Cancelled);
        }
    }

    fn count_vote(&mut self, now: Moment, endpoint: EndpointId, answered: Answered, reply: Reply) {
        let place = endpoint.index();
        if let Some(before) = self.answered[place] {
            let yes = matches!(self.replies[place], Some(Reply::Granted { .. }));
            let same = answered.to.round == before.to.round;
            let stands = yes && (same || matches!(reply, Reply::Unknown(_)));
            // An older request's answer is no news. One request may have two: "held", and later the lock.
            if answered.to.round < before.to.round
                || stands
                || same && !matches!(reply, Reply::Granted { .. })
            {
                return;
            }
        }
        if !matches!(self.phase, Phase::Voting) {
            // Kept for the caller to look at. A vote that is being counted is not touched, and what was not sent because there was
            // nothing left to decide says nothing of the endpoint.
            if !matches!(reply, Reply::NotSent(_)) {
                self.replies[place].get_or_insert(reply);
            }
            return;
        }
        (self.answered[place], self.replies[place]) = (Some(answered), Some(reply));
        self.decide(now);
    }

    /// Looks at what has been said so far.
    fn decide(&mut self, now: Moment) {
        let (quorum, round) = (self.params.quorum, self.newest().round);
        let (mut yes, mut out, mut places, mut taken_by_asking) = (EndpointSet::EMPTY, 0, 0, false);
        for endpoint in quorum.ids() {
            let (answered, reply) = (self.answered[endpoint.index()], &self.replies[endpoint.index()]);
            let (Some(answered), Some(reply)) = (answered, reply) else {
                continue;
            };
            let newest = answered.to.round == round;
            match reply {
                Reply::Granted { .. } => {
                    yes.insert(endpoint);
                    taken_by_asking |= newest && !answered.handed_over;
                }
                _ if !newest => {}
                Reply::Waiting { .. } if self.heard.contains(endpoint) => places += 1,
                _ => out += 1,
            }
        }
        self.in_line = false;
        if yes.len() >= quorum.majority() {
            self.settle_token(now, yes);
        } else if out + places > quorum.spare() {
            // No answer that is still out makes a majority. Where it was first in some places and others elsewhere, nobody gets
            // any further by waiting.
            if self.ticket.is_some() && out <= quorum.spare() && !taken_by_asking {
                self.in_line = true;
            } else if self.reason_is_clear(yes.len() + out + places) {
                self.lose(self.classify());
            }
        }
    }

    /// M endpoints agreed. The token is the largest they drew; it is final when M of them hold exactly it.
    fn settle_token(&mut self, now: Moment, voters: EndpointSet) {
        let drawn = |endpoint: EndpointId| match self.replies[endpoint.index()] {
            Some(Reply::Granted { fence }) => Some(fence),
            _ => None,
        };
        let Some(fence) = voters.iter().filter_map(drawn).max() else {
            return;
        };
        let answered = || voters.iter().filter_map(|endpoint| self.answered[endpoint.index()]);
        let t0 = answered().map(|one| one.to.t).min().unwrap_or(self.params.t0);
        let deadline = answered().map(|one| one.deadline(self.params.ttl_ms)).min().unwrap_or(t0);
        if answered().any(|one| one.handed_over) {
            self.patient_since = now;
        }
        (self.t0, self.deadline) = (t0, deadline);
        let mut raise = Tally::new(self.params.quorum);
        for endpoint in self.params.quorum.ids() {
            if !voters.contains(endpoint) {
                raise.cast(endpoint, Vote::No);
            } else if drawn(endpoint) == Some(fence) {
                raise.cast(endpoint, Vote::Yes);
            } else {
                self.requests.push_back(Request { endpoint, round: RAISE, action: Action::Raise { fence } });
            }
        }
        self.phase = Phase::Raising { fence, raise };
        self.conclude(now);
    }

    fn count_raise(&mut self, now: Moment, endpoint: EndpointId, reply: Reply) {
        let Phase::Raising { raise, .. } = &mut self.phase else {
            return;
        };
        raise.cast(endpoint, reply.vote());
        if reply.vote() != Vote::Yes {
            // The yes of the first round is worth nothing without the raise: this is the endpoint's reason now.
            self.replies[endpoint.index()] = Some(reply);
        }
        self.conclude(now);
    }

    /// Hands out the lease once M endpoints hold exactly its token and enough validity is left.
    fn conclude(&mut self, now: Moment) {
        let Phase::Raising { fence, raise } = &self.phase else {
            return;
        };
        if raise.carried() {
            let deadline = self.deadline;
            if self.is_worth_holding(now, deadline) {
                self.phase = Phase::Won(Grant { fence: *fence, deadline, voters: raise.yes() });
            } else {
                self.lose(AttemptFailure::ValidityExhausted);
            }
        } else if raise.out_of_reach() {
            self.lose(AttemptFailure::NoQuorum);
        }
    }

    fn is_worth_holding(&self, now: Moment, deadline: Moment) -> bool {
        deadline.ns_since(now) >= validity::min_validity_ns(self.params.ttl_ms)
    }

    /// Whether the answers that are still out can no longer turn "no quorum" into "held".
    fn reason_is_clear(&self, voted: u32) -> bool {
        let (looked, quorum) = (self.looked(), self.params.quorum);
        let pending = quorum.endpoints().saturating_sub(voted);
        looked >= quorum.majority() || looked + pending < quorum.majority()
    }

    /// How many endpoints looked at the lock and said what stands there.
    fn looked(&self) -> u32 {
        let held = |reply: &Reply| matches!(reply, Reply::Held { .. } | Reply::Waiting { .. });
        self.count(|reply| held(reply) || matches!(reply, Reply::Granted { .. } | Reply::NotALock))
    }

    fn count(&self, wanted: impl Fn(&Reply) -> bool) -> u32 {
        let replies = self.replies.iter().flatten().filter(|reply| wanted(reply)).count();
        u32::try_from(replies).unwrap_or(u32::MAX)
    }

    /// Why the votes cast so far do not make a majority. "Held" must never look like "down", nor the reverse.
    fn classify(&self) -> AttemptFailure {
        let quorum = self.params.quorum;
        let not_a_lock = self.count(|reply| matches!(reply, Reply::NotALock));
        let left_ms = self.replies.iter().flatten().filter_map(|reply| match reply {
            Reply::Held { left_ms } | Reply::Waiting { left_ms, .. } => Some(*left_ms),
            _ => None,
        });
        match left_ms.min() {
            _ if not_a_lock > quorum.spare() => AttemptFailure::NotALock,
            Some(left_ms) if self.looked() >= quorum.majority() => AttemptFailure::Held { left_ms },
            _ => AttemptFailure::NoQuorum,
        }
    }

    /// Ends the attempt and undoes it wherever it may have taken a lock, answered or not.
    fn lose(&mut self, failure: AttemptFailure) {
        self.phase = Phase::Lost(failure);
        self.requests.clear();
        let undo =
            self.reached.iter().map(|endpoint| Request { endpoint, round: UNDO, action: Action::Release });
        self.requests.extend(undo);
    }
}
