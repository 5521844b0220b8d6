//! A second look: does a majority confirm, now, that the lock is the holder's?

use std::collections::VecDeque;

use super::operation::{Action, Reply, Request, Round};
use super::quorum::{EndpointId, Quorum};
use super::tally::Tally;
use super::time::Moment;

/// The machine of one validation.
#[derive(Debug)]
pub struct Validation {
    tally: Tally,
    until: Moment,
    replies: Vec<Option<Reply>>,
    outcome: Option<bool>,
    requests: VecDeque<Request>,
}

impl Validation {
    /// Asks every endpoint; answers that are out after `patience_ms` count as unknown.
    #[must_use]
    pub fn new(quorum: Quorum, now: Moment, patience_ms: u32) -> Self {
        let ask = |endpoint| Request { endpoint, round: Round::default(), action: Action::Validate };
        Self {
            tally: Tally::new(quorum),
            until: now.plus_ms(patience_ms.into()),
            replies: quorum.ids().map(|_| None).collect(),
            outcome: None,
            requests: quorum.ids().map(ask).collect(),
        }
    }

    /// Whether M endpoints confirmed; `None` while it is undecided.
    #[must_use]
    pub const fn outcome(&self) -> Option<bool> {
        self.outcome
    }

    /// Each endpoint's answer, by place.
    #[must_use]
    pub fn replies(&self) -> &[Option<Reply>] {
        &self.replies
    }

    /// The next request to send, if any.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Moment> {
        if self.outcome.is_none() { Some(self.until) } else { None }
    }

    /// Takes an endpoint's answer.
    pub fn handle_reply(&mut self, endpoint: EndpointId, reply: Reply) {
        if self.outcome.is_none() && self.tally.cast(endpoint, reply.vote()) {
            self.replies[endpoint.index()] = Some(reply);
            if self.tally.carried() {
                self.outcome = Some(true);
            } else if self.tally.out_of_reach() {
                self.outcome = Some(false);
            }
        }
    }

    /// Tells that time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        if self.outcome.is_none() && self.until <= now {
            self.outcome = Some(false);
        }
    }
}
