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
    /// Waiting for the first M votes.
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
#[derive(Debug)]
pub struct Attempt {
    params: AttemptParams,
    phase: Phase,
    votes: Tally,
    /// The first answer of each endpoint: its token if it said yes, its reason if it did not.
    replies: Vec<Option<Reply>>,
    /// Endpoints that may hold this attempt's lock.
    reached: EndpointSet,
    requests: VecDeque<Request>,
}

const VOTE: Round = Round(0);
const RAISE: Round = Round(1);
const UNDO: Round = Round(2);

impl Attempt {
    /// Starts an attempt: one acquire to every endpoint is waiting in [`poll_request`](Self::poll_request).
    #[must_use]
    pub fn new(params: AttemptParams) -> Self {
        let AttemptParams { ttl_ms, proposal, .. } = params;
        Self::asking(params, Action::Acquire { ttl_ms, proposal })
    }

    /// Starts an attempt that takes a place in line, by its ticket, wherever it finds the lock held.
    #[must_use]
    pub fn waiting(params: AttemptParams, ticket: u64) -> Self {
        let AttemptParams { ttl_ms, proposal, .. } = params;
        Self::asking(params, Action::AcquireOrWait { ttl_ms, proposal, ticket })
    }

    fn asking(params: AttemptParams, action: Action) -> Self {
        let quorum = params.quorum;
        let requests = quorum.ids().map(|endpoint| Request { endpoint, round: VOTE, action });
        Self {
            params,
            phase: Phase::Voting,
            votes: Tally::new(quorum),
            replies: quorum.ids().map(|_| None).collect(),
            reached: quorum.all(),
            requests: requests.collect(),
        }
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

    /// Each endpoint's first answer, by place; `None` where none has come.
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
            _ => self.outcome().is_none(),
        }
    }

    /// The next request to send, if any.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let AttemptParams { t0, patience_ms, .. } = self.params;
        self.outcome().is_none().then(|| t0.plus_ms(patience_ms.into()))
    }

    /// Takes an endpoint's answer. `now` is read after the answer arrived.
    pub fn handle_reply(&mut self, now: Moment, endpoint: EndpointId, round: Round, reply: Reply) {
        if round == VOTE && !matches!(reply, Reply::Granted { .. } | Reply::Unknown(_)) {
            // Owners are new for each attempt and requests are never repeated: this endpoint holds nothing of ours.
            self.reached.remove(endpoint);
        }
        match round {
            VOTE => self.count_vote(now, endpoint, reply),
            RAISE => self.count_raise(now, endpoint, reply),
            _ => {}
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

    fn count_vote(&mut self, now: Moment, endpoint: EndpointId, reply: Reply) {
        let undecided = matches!(self.phase, Phase::Voting);
        let vote = reply.vote();
        let slot = &mut self.replies[endpoint.index()];
        if slot.is_none() {
            *slot = Some(reply);
        }
        if !undecided || !self.votes.cast(endpoint, vote) {
            return;
        }
        if self.votes.carried() {
            self.settle_token(now);
        } else if self.votes.out_of_reach() && self.reason_is_clear() {
            self.lose(self.classify());
        }
    }

    /// M endpoints agreed. The token is the largest they drew; it is final when M of them hold exactly it.
    fn settle_token(&mut self, now: Moment) {
        let drawn = |endpoint: EndpointId| match self.replies[endpoint.index()] {
            Some(Reply::Granted { fence }) => Some(fence),
            _ => None,
        };
        let Some(fence) = self.votes.yes().iter().filter_map(drawn).max() else {
            return;
        };
        let mut raise = Tally::new(self.params.quorum);
        for endpoint in self.params.quorum.ids() {
            if !self.votes.yes().contains(endpoint) {
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
            let AttemptParams { t0, ttl_ms, .. } = self.params;
            let deadline = validity::deadline(t0, ttl_ms);
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
    fn reason_is_clear(&self) -> bool {
        let (answered, majority) = (self.answered(), self.params.quorum.majority());
        answered >= majority || answered + self.votes.pending().len() < majority
    }

    /// How many endpoints looked at the lock and said what stands there.
    fn answered(&self) -> u32 {
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
            Some(left_ms) if self.answered() >= quorum.majority() => AttemptFailure::Held { left_ms },
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
