//! How long a lease may be believed: integers, rounded against the holder.

use super::time::{Moment, NS_PER_MS};

/// The longest TTL any configuration may allow. Quarantine is longer, so that no vote outlives it.
pub const TTL_MS_MAX: u32 = 30_000;

/// The shortest TTL: below it, drift and notice leave nothing to hold.
pub const TTL_MS_MIN: u32 = 50;

/// How long an endpoint that may have forgotten gives no votes: the longest TTL and its drift.
#[expect(clippy::cast_possible_truncation, reason = "30 s in milliseconds")]
pub const QUARANTINE_MS: u32 = TTL_MS_MAX + (drift_ns(TTL_MS_MAX) / NS_PER_MS) as u32;

/// How much earlier than its deadline a holder is told that its lease is over: what a local timer may be late.
const NOTICE_NS_MAX: u64 = 5 * NS_PER_MS;

/// How far two clocks may run apart over `ttl_ms`: 1 % of it, rounded up, and 2 ms for the endpoint's expiry.
#[must_use]
pub const fn drift_ns(ttl_ms: u32) -> u64 {
    (ttl_ms as u64 * NS_PER_MS).div_ceil(100) + 2 * NS_PER_MS
}

/// `t0 + ttl - drift(ttl)`: until when votes asked for at `t0` may be counted on.
#[must_use]
pub const fn deadline(t0: Moment, ttl_ms: u32) -> Moment {
    t0.plus_ms(ttl_ms as u64).minus_ns(drift_ns(ttl_ms))
}

/// How long a lock stands that is given to who waits in line: half of the TTL. A waiter may be asleep, and keeps the lock from all
/// others no longer than that; one that is awake renews.
#[must_use]
pub fn given_ms(ttl_ms: u32) -> u32 {
    (ttl_ms / 2).max(1)
}

/// The validity below which a fresh lease is not handed out: a tenth of the TTL, at least 10 ms.
#[must_use]
pub fn min_validity_ns(ttl_ms: u32) -> u64 {
    (u64::from(ttl_ms) * NS_PER_MS / 10).max(10 * NS_PER_MS)
}

/// When the holder of a lease that ends at `deadline` is told: a few milliseconds early.
#[must_use]
pub fn notice_at(deadline: Moment, ttl_ms: u32) -> Moment {
    deadline.minus_ns(NOTICE_NS_MAX.min(min_validity_ns(ttl_ms) / 2))
}

/// Per-request timeout: `limit_ms`, but at most 40 % of the TTL, so that a renewal can be tried again.
#[must_use]
pub fn request_timeout_ms(limit_ms: u32, ttl_ms: u32) -> u32 {
    limit_ms.min(ttl_ms.saturating_mul(2) / 5).max(1)
}

/// The TTL that measured rounds call for: three times the 99th percentile of the time to the deciding answer, and 200 ms for
/// what was not measured.
#[must_use]
pub fn adaptive_ttl_ms(p99_ns: u64, ttl_ms_min: u32, ttl_ms_max: u32) -> u32 {
    let ttl_ms = p99_ns.saturating_mul(3).div_ceil(NS_PER_MS).saturating_add(200);
    u32::try_from(ttl_ms).unwrap_or(u32::MAX).clamp(ttl_ms_min.min(ttl_ms_max), ttl_ms_max)
}
