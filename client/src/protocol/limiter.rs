//! How fast one client may renew: a token bucket, earliest deadline first, with a reserve for what cannot wait.

use std::collections::BTreeMap;

use super::time::{Moment, NS_PER_MS};

/// What one renewal costs, in millionths.
const COST: u64 = 1_000_000;
/// The bucket holds at least this many renewals, so that a client with few leases never waits.
const BURST_MIN: u64 = 32;
/// It holds what flows in over this time.
const BURST_MS: u64 = 100;
/// How long a renewal may wait for company, so that they share batches...
const GATHER_MS: u64 = 10;
/// ...where so many are to be expected meanwhile; as many as a batch holds go at once.
const COMPANY_MIN: u64 = 8;
const COMPANY_MAX: usize = 64;

/// A renewal that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    deadline: Moment,
    serial: u64,
}

/// The machine of one client's renewals; `W` is whatever waits.
///
/// The bucket fills at 1.5 times the rate at which the leases renew by themselves, and follows them as they come and go. A
/// quarter of it is a reserve, open only to renewals that can wait no longer. Of many leases, renewals wait a little for each
/// other, so that they travel together.
#[derive(Debug)]
pub struct Limiter<W> {
    /// How fast the leases renew by themselves, in millionths of a renewal per second.
    own_rate: u64,
    /// What is in the bucket, in millionths of a renewal.
    credit: u64,
    filled_at: Moment,
    waiting: BTreeMap<Ticket, (Moment, W)>,
    /// Until when those that wait do so for company; `None` while none waits.
    gathering: Option<Moment>,
    serial: u64,
}

impl<W> Limiter<W> {
    /// An empty table and a full bucket.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            own_rate: 0,
            credit: BURST_MIN * COST,
            filled_at: now,
            waiting: BTreeMap::new(),
            gathering: None,
            serial: 0,
        }
    }

    /// A lease is held from here on; it renews at half of its TTL.
    pub fn handle_join(&mut self, now: Moment, ttl_ms: u32) {
        self.fill(now);
        self.own_rate = self.own_rate.saturating_add(own_rate(ttl_ms));
    }

    /// A lease that joined with this TTL is over.
    pub fn handle_leave(&mut self, now: Moment, ttl_ms: u32) {
        self.fill(now);
        self.own_rate = self.own_rate.saturating_sub(own_rate(ttl_ms));
        self.credit = self.credit.min(self.capacity());
    }

    /// A renewal is due, of a lease that ends at `deadline` and can wait until `urgent_at`.
    pub fn handle_due(&mut self, deadline: Moment, urgent_at: Moment, waiter: W) -> Ticket {
        self.serial += 1;
        let ticket = Ticket { deadline, serial: self.serial };
        self.waiting.insert(ticket, (urgent_at, waiter));
        ticket
    }

    /// A renewal is not wanted any more.
    pub fn handle_cancel(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
        self.disperse();
    }

    /// How many renewals wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next renewal that may begin, if any.
    pub fn poll_admitted(&mut self, now: Moment) -> Option<W> {
        self.fill(now);
        let (_, &(urgent_at, _)) = self.waiting.first_key_value()?;
        let together_at = self.gathering.get_or_insert_with(|| now.plus_ms(GATHER_MS));
        if self.waiting.len() >= COMPANY_MAX {
            *together_at = now.min(*together_at);
        }
        if now < (*together_at).min(urgent_at) && self.gathers() {
            return None;
        }
        let needed = if urgent_at <= now { COST } else { COST + self.reserve() };
        if self.credit < needed {
            return None;
        }
        self.credit -= COST;
        let admitted = self.waiting.pop_first().map(|(_, (_, waiter))| waiter);
        self.disperse();
        admitted
    }

    /// When the next renewal may begin, if one waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let (_, &(urgent_at, _)) = self.waiting.first_key_value()?;
        let when = |credit: u64| self.filled_at.plus_ns(self.fill_ns(credit.saturating_sub(self.credit)));
        let together_at = self.gathering.filter(|_| self.gathers()).unwrap_or_default();
        Some(when(COST + self.reserve()).max(together_at).min(urgent_at.max(when(COST))))
    }

    /// Whether company is to be expected.
    const fn gathers(&self) -> bool {
        self.own_rate / COST * GATHER_MS / 1_000 >= COMPANY_MIN
    }

    /// The next renewal that comes waits for company anew.
    fn disperse(&mut self) {
        if self.waiting.is_empty() {
            self.gathering = None;
        }
    }

    fn fill(&mut self, now: Moment) {
        let elapsed = u128::from(now.ns_since(self.filled_at));
        let gained = elapsed * u128::from(self.fill_rate()) / u128::from(1_000 * NS_PER_MS);
        // Less than a millionth of a renewal gained: the time is kept, lest small steps add up to nothing.
        if gained > 0 {
            let credit = u128::from(self.credit) + gained;
            self.credit = u64::try_from(credit).unwrap_or(u64::MAX).min(self.capacity());
            self.filled_at = self.filled_at.max(now);
        }
    }

    /// How long the bucket takes to gain `credit`.
    fn fill_ns(&self, credit: u64) -> u64 {
        let ns = (u128::from(credit) * u128::from(1_000 * NS_PER_MS))
            .div_ceil(u128::from(self.fill_rate()).max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    const fn fill_rate(&self) -> u64 {
        self.own_rate.saturating_add(self.own_rate / 2)
    }

    fn capacity(&self) -> u64 {
        (self.fill_rate() / (1_000 / BURST_MS)).max(BURST_MIN * COST)
    }

    fn reserve(&self) -> u64 {
        self.capacity() / 4
    }
}

/// Renewals a second of a lease that renews at half of its TTL, in millionths.
const fn own_rate(ttl_ms: u32) -> u64 {
    let ttl_ms = if ttl_ms == 0 { 1 } else { ttl_ms };
    2_000 * COST / ttl_ms as u64
}
