//! When a waiter asks again: what lies under hand-over as a net.
//!
//! An attempt that finds the lock held is parked in line on every endpoint. Whoever frees the lock there gives it to the first
//! in line, and says so; word from a majority is the lease ([`Attempt`](super::Attempt)). Word that is lost is made up for by
//! asking again, which finds the lock that was given.

use super::backoff::{retry_delay_ns, spread};
use super::operation::Reply;
use super::quorum::{EndpointId, EndpointSet, Quorum};
use super::time::{Moment, NS_PER_MS};
use super::validity::given_ms;

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
/// Inputs: [`handle_start`](Self::handle_start), [`handle_in_line`](Self::handle_in_line), [`handle_failure`](Self::handle_failure),
/// [`handle_wake`](Self::handle_wake). Output: [`poll_timeout`](Self::poll_timeout), the moment at which to ask again. Spurious
/// wake-ups at worst move it forward.
#[derive(Clone, Debug)]
pub struct Waiting {
    quorum: Quorum,
    jitter_seed: u64,
    /// How often it asked.
    asked: u32,
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
        Self { quorum, jitter_seed, asked: 0, strays: 0, woken, try_at }
    }

    /// When the next attempt should begin.
    #[must_use]
    pub const fn poll_timeout(&self) -> Moment {
        self.try_at
    }

    /// It asks: wake-ups from here on are news.
    pub fn handle_start(&mut self) {
        self.woken = EndpointSet::EMPTY;
        self.asked = self.asked.saturating_add(1);
    }

    /// It is in line, for a lock of this TTL, and this is what each endpoint said, by place.
    pub fn handle_in_line(&mut self, now: Moment, replies: &[Option<Reply>], ttl_ms: u32) {
        self.strays = 0;
        self.try_at = self.at_place(now, self.place(replies), ttl_ms);
        self.hurry(now);
    }

    /// An attempt has failed, and has no place any more: it polls, with growing pauses.
    pub fn handle_failure(&mut self, now: Moment) {
        self.strays = self.strays.saturating_add(1);
        self.try_at = now.plus_ns(retry_delay_ns(self.strays, self.jitter_seed));
        self.hurry(now);
    }

    /// An endpoint gave it the lock, or may have done so unheard.
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

    /// How many are before it, and for how long a majority of endpoints keeps the lock from it.
    fn place(&self, replies: &[Option<Reply>]) -> Place {
        let places = replies.iter().flatten().filter_map(|reply| match reply {
            Reply::Waiting { left_ms, ahead } => Some((*left_ms, *ahead)),
            // It has the lock there.
            Reply::Granted { .. } => Some((u64::MAX, 0)),
            _ => None,
        });
        let (mut left_ms, mut ahead): (Vec<u64>, Vec<u32>) = places.unzip();
        ahead.sort_unstable();
        left_ms.sort_unstable();
        let deciding = usize::try_from(self.quorum.majority()).unwrap_or(usize::MAX).saturating_sub(1);
        let (ahead, left_ms) = (ahead.get(deciding).copied(), left_ms.get(deciding).copied());
        Place { ahead: ahead.unwrap_or_default(), left_ms: left_ms.unwrap_or(u64::MAX) }
    }

    fn at_place(&self, now: Moment, place: Place, ttl_ms: u32) -> Moment {
        let ahead = u64::from(place.ahead);
        // What is parked lasts half as long as what is given: two of these.
        let refresh_ns = u64::from(given_ms(ttl_ms)) * NS_PER_MS / 4;
        let poll_ns =
            ahead.saturating_mul(POLL_NS_STEP).saturating_add(POLL_NS).min(POLL_NS_MAX).min(refresh_ns);
        let polled = now.plus_ns(self.draw(poll_ns - poll_ns / 4, poll_ns));
        let expired_ns = ahead.saturating_mul(EXPIRY_NS_STEP).saturating_add(EXPIRY_NS);
        let expired = now.plus_ms(place.left_ms).plus_ns(self.draw(expired_ns, expired_ns + EXPIRY_NS));
        polled.min(expired)
    }

    fn draw(&self, low: u64, high: u64) -> u64 {
        spread(low, high, self.jitter_seed, self.asked)
    }
}

/// Where a waiter stands.
struct Place {
    ahead: u32,
    left_ms: u64,
}
