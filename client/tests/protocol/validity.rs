//! Drift, deadlines and notices: integers that never round in the holder's favour.

use leasehold::protocol::Moment;
use leasehold::protocol::validity::{
    QUARANTINE_MS, TTL_MS_MAX, TTL_MS_MIN, deadline, drift_ns, min_validity_ns, notice_at, request_timeout_ms,
};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::support::T0;

const NS_PER_MS: u64 = 1_000_000;

/// Every TTL that a configuration can ask for.
fn ttls() -> impl Iterator<Item = u32> {
    TTL_MS_MIN..=TTL_MS_MAX
}

#[test]
fn drift_is_one_per_cent_and_two_milliseconds() {
    assert_eq!(drift_ns(0), 2 * NS_PER_MS);
    assert_eq!(drift_ns(1), 2 * NS_PER_MS + 10_000);
    assert_eq!(drift_ns(5_000), 52 * NS_PER_MS);
    assert_eq!(drift_ns(30_000), 302 * NS_PER_MS);
}

#[test]
fn drift_is_never_rounded_down() {
    for ttl_ms in ttls().chain([0, 1, 49, u32::MAX - 1, u32::MAX]) {
        let rate_ns = drift_ns(ttl_ms) - 2 * NS_PER_MS;
        assert!(u128::from(rate_ns) * 100 >= u128::from(ttl_ms) * u128::from(NS_PER_MS), "{ttl_ms} ms");
    }
}

#[test]
fn a_holder_whose_clock_lags_by_one_per_cent_stops_before_the_lock_expires() {
    for ttl_ms in ttls() {
        let believed_ns = deadline(T0, ttl_ms).ns_since(T0);
        let on_the_endpoint_ns = believed_ns * 101 / 100;
        assert!(on_the_endpoint_ns + NS_PER_MS < u64::from(ttl_ms) * NS_PER_MS, "{ttl_ms} ms");
    }
}

#[test]
fn the_deadline_is_counted_from_before_the_first_byte() {
    assert_eq!(deadline(T0, 5_000).ns_since(T0), 4_948 * NS_PER_MS);
    assert_eq!(deadline(T0, 50).ns_since(T0), 47_500_000);
}

#[test]
fn every_ttl_leaves_more_validity_than_is_asked_for() {
    for ttl_ms in ttls() {
        let fresh_ns = deadline(T0, ttl_ms).ns_since(T0);
        assert!(fresh_ns > 2 * min_validity_ns(ttl_ms), "{ttl_ms} ms could hardly ever be handed out");
    }
}

#[test]
fn the_least_validity_is_a_tenth_of_the_ttl_and_at_least_ten_milliseconds() {
    assert_eq!(min_validity_ns(50), 10 * NS_PER_MS);
    assert_eq!(min_validity_ns(100), 10 * NS_PER_MS);
    assert_eq!(min_validity_ns(5_000), 500 * NS_PER_MS);
}

#[test]
fn notice_comes_some_milliseconds_before_the_deadline_and_within_the_least_validity() {
    for ttl_ms in ttls() {
        let end = deadline(T0, ttl_ms);
        let early_ns = end.ns_since(notice_at(end, ttl_ms));
        assert!((2 * NS_PER_MS..=10 * NS_PER_MS).contains(&early_ns), "{ttl_ms} ms: {early_ns} ns");
        assert!(early_ns < min_validity_ns(ttl_ms), "{ttl_ms} ms could be handed out after its own notice");
    }
}

#[test]
fn quarantine_outlasts_every_lease_that_may_have_been_forgotten() {
    for ttl_ms in ttls() {
        let with_drift_ns = u64::from(ttl_ms) * NS_PER_MS + drift_ns(ttl_ms);
        assert!(u64::from(QUARANTINE_MS) * NS_PER_MS >= with_drift_ns, "{ttl_ms} ms");
        // The endpoint that forgot may run faster than the holder: its quarantine is short, the lease is long.
        let quarantine_on_the_holder_ns = u64::from(QUARANTINE_MS) * NS_PER_MS * 100 / 101;
        assert!(quarantine_on_the_holder_ns > deadline(T0, ttl_ms).ns_since(T0), "{ttl_ms} ms");
    }
}

#[test]
fn a_request_may_take_two_fifths_of_the_ttl_at_most() {
    assert_eq!(request_timeout_ms(500, 5_000), 500);
    assert_eq!(request_timeout_ms(500, 1_000), 400);
    assert_eq!(request_timeout_ms(500, 51), 20);
    assert_eq!(request_timeout_ms(0, 5_000), 1, "no request can be answered in no time");
    assert_eq!(request_timeout_ms(500, 0), 1);
}

proptest! {
    #[test]
    fn nothing_overflows_and_no_deadline_is_later_than_the_ttl(
        t0 in any::<u64>(), ttl_ms in any::<u32>(), limit_ms in any::<u32>(),
    ) {
        let t0 = Moment::from_nanos(t0);
        let end = deadline(t0, ttl_ms);
        prop_assert!(end <= t0.plus_ms(ttl_ms.into()));
        prop_assert!(end.ns_since(t0) <= u64::from(ttl_ms) * NS_PER_MS);
        prop_assert!(notice_at(end, ttl_ms) <= end);
        prop_assert!(u64::from(request_timeout_ms(limit_ms, ttl_ms)) * 5 <= (u64::from(ttl_ms) * 2).max(5));
    }

    #[test]
    fn moments_saturate_at_both_ends(at in any::<u64>(), ns in any::<u64>(), ms in any::<u64>()) {
        let moment = Moment::from_nanos(at);
        prop_assert_eq!(moment.plus_ns(ns).as_nanos(), at.saturating_add(ns));
        prop_assert_eq!(moment.minus_ns(ns).as_nanos(), at.saturating_sub(ns));
        prop_assert_eq!(moment.plus_ms(ms).as_nanos(), at.saturating_add(ms.saturating_mul(NS_PER_MS)));
        prop_assert_eq!(moment.ns_since(moment.plus_ns(ns)), 0);
        prop_assert_eq!(moment.plus_ns(ns).ns_since(moment), ns.min(u64::MAX - at));
    }
}
