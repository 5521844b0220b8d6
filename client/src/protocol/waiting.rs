//! When a waiter tries again: at once when a majority woke it, else when a timer says so.
//!
//! An attempt that finds the lock held leaves its place in line on every endpoint. Whoever frees the lock there wakes the
//! first in line and keeps the lock for it for a moment. All that is a hint: every attempt votes, so a wake-up that is lost,
//! late or wrong costs time and never safety.

use super::backoff::{retry_delay_ns, spread};
use super::operation::Reply;
use super::quorum::{EndpointId, EndpointSet, Quorum};
use super::time::{Moment, NS_PER_MS};

/// How long an endpoint keeps a free lock for the waiter that it woke: a round trip, and what a busy machine adds to it.
pub const TURN_MS: u32 = 200;
/// How long an endpoint keeps a place in line that is not asked for again.
pub const PLACE_MS: u32 = 15_000;
/// The most places in one line on an endpoint.
pub const LINE_LEN_MAX: u32 = 1_024;
/// How far a ticket may be from the endpoint's own clock, once the time waited is taken off.
pub const TICKET_SLACK_US: u64 = 500_000;
/// The longest wait that a ticket can speak of.
pub const TICKET_AGE_US_MAX: u64 = 3_600_000_000;

/// Without a wake-up the first in line tries again after this long, and each behind it this much later.
const POLL_NS: u64 = 500 * NS_PER_MS;
const POLL_NS_STEP: u64 = 25 * NS_PER_MS;
/// The longest. A place in line lasts three of them.
const POLL_NS_MAX: u64 = 4_000 * NS_PER_MS;
/// Once the lock must have expired, the first in line tries after this long, and each behind it this much later.
const EXPIRY_NS: u64 = NS_PER_MS;
const EXPIRY_NS_STEP: u64 = 50 * NS_PER_MS;
/// How long a wake-up by fewer than a majority waits for company.
const LONE_WAKE_NS_MIN: u64 = 50 * NS_PER_MS;
const LONE_WAKE_NS_MAX: u64 = 100 * NS_PER_MS;

/// The machine of one waiter, from its first attempt to its grant.
///
/// Inputs: [`handle_start`](Self::handle_start), [`handle_refusal`](Self::handle_refusal), [`handle_wake`](Self::handle_wake).
/// Output: [`poll_timeout`](Self::poll_timeout), the moment of the next attempt. Spurious wake-ups at worst move it forward.
#[derive(Clone, Debug)]
pub struct Waiting {
    quorum: Quorum,
    jitter_seed: u64,
    /// Attempts that failed.
    failures: u32,
    /// Attempts that failed since the last one that left the waiter in line, for the pace of those outside it.
    strays: u32,
    /// Who woke it since the last attempt began.
    woken: EndpointSet,
    try_at: Moment,
}

impl Waiting {
    /// A waiter that may try at once.
    #[must_use]
    pub const fn new(quorum: Quorum, jitter_seed: u64) -> Self {
        let (woken, try_at) = (EndpointSet::EMPTY, Moment::from_nanos(0));
        Self { quorum, jitter_seed, failures: 0, strays: 0, woken, try_at }
    }

    /// When the next attempt should begin.
    #[must_use]
    pub const fn poll_timeout(&self) -> Moment {
        self.try_at
    }

    /// An attempt begins: wake-ups from here on are news.
    pub fn handle_start(&mut self) {
        self.woken = EndpointSet::EMPTY;
    }

    /// An attempt has failed, and this is what each endpoint said, by place. `heard` are the endpoints whose wake-ups reach this client.
    ///
    /// In line at a majority that can be heard, the waiter waits to be woken. Elsewhere it polls, with growing pauses.
    pub fn handle_refusal(&mut self, now: Moment, replies: &[Option<Reply>], heard: EndpointSet) {
        self.failures = self.failures.saturating_add(1);
        self.try_at = match self.place(replies, heard) {
            Some(place) => {
                self.strays = 0;
                self.at_place(now, place)
            }
            None => {
                self.strays = self.strays.saturating_add(1);
                now.plus_ns(retry_delay_ns(self.strays, self.jitter_seed))
            }
        };
        self.hurry(now);
    }

    /// An endpoint says that it is this waiter's turn there, or may have said so unheard.
    pub fn handle_wake(&mut self, now: Moment, endpoint: EndpointId) {
        self.woken.insert(endpoint);
        self.hurry(now);
    }

    /// What woke the waiter moves its next attempt forward, never back.
    fn hurry(&mut self, now: Moment) {
        let at = match self.woken.len() {
            0 => return,
            count if count >= self.quorum.majority() => now,
            _ => now.plus_ns(self.draw(LONE_WAKE_NS_MIN, LONE_WAKE_NS_MAX)),
        };
        self.try_at = self.try_at.min(at);
    }

    /// How many are before it, and for how long a majority of endpoints keeps the lock from it; `None` if it is in line at
    /// no majority.
    fn place(&self, replies: &[Option<Reply>], heard: EndpointSet) -> Option<Place> {
        let mut ahead = Vec::with_capacity(replies.len());
        let mut left_ms = Vec::with_capacity(replies.len());
        for (endpoint, reply) in self.quorum.ids().zip(replies) {
            match reply {
                Some(Reply::Waiting { left_ms: left, ahead: before }) => {
                    left_ms.push(*left);
                    if heard.contains(endpoint) {
                        ahead.push(*before);
                    }
                }
                Some(Reply::Held { left_ms: left }) => left_ms.push(*left),
                // It may be free there, or will be once what this attempt took is undone.
                Some(Reply::Granted { .. }) => left_ms.push(0),
                _ => {}
            }
        }
        ahead.sort_unstable();
        left_ms.sort_unstable();
        let deciding = usize::try_from(self.quorum.majority()).ok()?.checked_sub(1)?;
        Some(Place { ahead: *ahead.get(deciding)?, left_ms: *left_ms.get(deciding)? })
    }

    fn at_place(&self, now: Moment, place: Place) -> Moment {
        let ahead = u64::from(place.ahead);
        let poll_ns = ahead.saturating_mul(POLL_NS_STEP).saturating_add(POLL_NS).min(POLL_NS_MAX);
        let polled = now.plus_ns(self.draw(poll_ns - poll_ns / 4, poll_ns));
        let expired_ns = ahead.saturating_mul(EXPIRY_NS_STEP).saturating_add(EXPIRY_NS);
        let expired = now.plus_ms(place.left_ms).plus_ns(self.draw(expired_ns, expired_ns + EXPIRY_NS));
        polled.min(expired)
    }

    fn draw(&self, low: u64, high: u64) -> u64 {
        spread(low, high, self.jitter_seed, self.failures)
    }
}

/// Where a waiter stands.
struct Place {
    ahead: u32,
    left_ms: u64,
}
