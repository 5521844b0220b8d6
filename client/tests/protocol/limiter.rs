//! The renewal limiter: a bound on the rate, earliest deadline first, a reserve for what cannot wait.

use leasehold::protocol::Moment;
use leasehold::protocol::limiter::Limiter;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * MS)
}

/// A limiter with so many leases of this TTL, and an empty bucket.
fn drained(leases: u32, ttl_ms: u32) -> Limiter<u32> {
    let mut limiter = Limiter::new(at(0));
    for _ in 0..leases {
        limiter.handle_join(at(0), ttl_ms);
    }
    for waiter in 0..1_000_000 {
        limiter.handle_due(at(0), at(0), waiter);
        if limiter.poll_admitted(at(0)).is_none() {
            break;
        }
    }
    while limiter.waiting() > 0 {
        let next = limiter.poll_timeout().unwrap();
        limiter.poll_admitted(next);
    }
    limiter
}

#[test]
fn a_client_with_few_leases_never_waits() {
    let mut limiter = Limiter::new(at(0));
    for lease in 0..20 {
        limiter.handle_join(at(0), 30_000);
        limiter.handle_due(at(15_000), at(10_000), lease);
        assert_eq!(limiter.poll_admitted(at(0)), Some(lease));
    }
}

#[test]
fn renewals_that_wait_go_earliest_deadline_first() {
    let mut limiter = drained(1_000, 10_000);
    for (waiter, deadline_ms) in [(1, 9_000), (2, 7_000), (3, 8_000)] {
        limiter.handle_due(at(deadline_ms), at(deadline_ms - 1), waiter);
    }
    let order: Vec<u32> = std::iter::from_fn(|| {
        let next = limiter.poll_timeout()?;
        limiter.poll_admitted(next)
    })
    .collect();
    assert_eq!(order, [2, 3, 1]);
}

#[test]
fn the_reserve_serves_only_what_cannot_wait() {
    let mut limiter: Limiter<u32> = Limiter::new(at(0));
    limiter.handle_join(at(0), 30_000);
    let mut patient = 0;
    loop {
        limiter.handle_due(at(100_000), at(90_000), 0);
        if limiter.poll_admitted(at(0)).is_none() {
            break;
        }
        patient += 1;
    }
    let mut urgent = 0;
    loop {
        limiter.handle_due(at(100), at(0), 1);
        if limiter.poll_admitted(at(0)).is_none() {
            break;
        }
        urgent += 1;
    }
    assert!(patient > 0 && urgent > 0, "{patient} patient, {urgent} urgent");
    assert!(patient > 2 * urgent, "the reserve is the smaller part: {patient} patient, {urgent} urgent");
}

#[test]
fn a_renewal_that_is_not_wanted_any_more_costs_nothing() {
    let mut limiter = drained(10, 1_000);
    let ticket = limiter.handle_due(at(900), at(800), 1);
    limiter.handle_cancel(ticket);
    assert_eq!(limiter.poll_timeout(), None);
    assert_eq!(limiter.poll_admitted(at(10_000)), None);
}

#[test]
fn the_rate_follows_the_leases_as_they_come_and_go() {
    let admitted_in_a_second = |leases: u32| {
        let mut limiter = drained(leases, 2_000);
        for _ in 0..leases / 2 {
            limiter.handle_leave(at(0), 2_000);
        }
        for waiter in 0..10_000 {
            limiter.handle_due(at(100_000), at(99_000), waiter);
        }
        let start = limiter.poll_timeout().unwrap();
        let end = start.plus_ms(1_000);
        let mut admitted = 0;
        while let Some(next) = limiter.poll_timeout().filter(|&next| next <= end) {
            admitted += u32::from(limiter.poll_admitted(next).is_some());
        }
        admitted
    };
    // Half of them left: so many leases of 2 s renew once a second each, and the bucket lets through 1.5 times that.
    for leases in [200, 2_000] {
        let (admitted, expected) = (admitted_in_a_second(leases), leases / 2 * 3 / 2);
        assert!(admitted.abs_diff(expected) <= expected / 100 + 1, "{leases}: {admitted}, not {expected}");
    }
}

#[test]
fn a_hundred_thousand_leases_acquired_in_a_burst_are_all_renewed_in_time() {
    const LEASES: u32 = 100_000;
    const TTL_MS: u32 = 30_000;
    let mut limiter = Limiter::new(at(0));
    for _ in 0..LEASES {
        limiter.handle_join(at(0), TTL_MS);
    }
    // All were acquired within one second, so all are due within a fifth of the TTL and a second.
    let due = |lease: u32| 12_000 + u64::from(lease) * 7_000 / u64::from(LEASES);
    let (mut next, mut now, mut worst_slack_ms) = (0, at(0), u64::MAX);
    let mut left = LEASES;
    while left > 0 {
        while next < LEASES && at(due(next)) <= now {
            let deadline = at(29_698);
            limiter.handle_due(deadline, deadline.minus_ns(7_500 * MS), deadline);
            next += 1;
        }
        while let Some(deadline) = limiter.poll_admitted(now) {
            worst_slack_ms = worst_slack_ms.min(deadline.ns_since(now) / MS);
            left -= 1;
        }
        let arrival = (next < LEASES).then(|| at(due(next)));
        now = [arrival, limiter.poll_timeout()].into_iter().flatten().min().unwrap_or(now);
    }
    assert!(worst_slack_ms > 5_000, "a renewal began with {worst_slack_ms} ms left");
}

proptest! {
    /// Over any stretch of time no more begins than the bucket holds and what flows in.
    #[test]
    fn no_burst_exceeds_the_bucket(
        leases in 1u32..2_000,
        ttl_ms in 50u32..30_000,
        steps in prop::collection::vec((0u64..5_000, 0u32..200), 1..60),
    ) {
        let mut limiter = Limiter::new(at(0));
        for _ in 0..leases {
            limiter.handle_join(at(0), ttl_ms);
        }
        let rate = f64::from(leases) * 2_000.0 / f64::from(ttl_ms) * 1.5;
        let bucket = (rate / 10.0).max(32.0);
        let (mut now_us, mut admitted) = (0, 0_u32);
        for (step_us, due) in steps {
            now_us += step_us;
            let now = Moment::from_nanos(now_us * 1_000);
            for _ in 0..due {
                limiter.handle_due(now.plus_ms(100), now, ());
            }
            while limiter.poll_admitted(now).is_some() {
                admitted += 1;
            }
            #[expect(clippy::cast_precision_loss, reason = "microseconds of a short run")]
            let allowed = bucket + rate * now_us as f64 / 1e6;
            prop_assert!(f64::from(admitted) <= allowed + 1.0, "{admitted} of {allowed}");
        }
    }

    /// Whoever asks at the time that was named is served then, never later.
    #[test]
    fn the_promised_time_is_kept(leases in 1u32..500, ttl_ms in 50u32..30_000, urgent_in_ms in 0u64..2_000) {
        let mut limiter = drained(leases, ttl_ms);
        let start = at(100);
        limiter.poll_admitted(start);
        limiter.handle_due(start.plus_ms(5_000), start.plus_ms(urgent_in_ms), 7);
        if let Some(waiter) = limiter.poll_admitted(start) {
            prop_assert_eq!(waiter, 7);
        } else {
            let promised = limiter.poll_timeout().unwrap();
            prop_assert!(promised > start);
            prop_assert_eq!(limiter.poll_admitted(promised.max(start)), Some(7));
        }
    }
}

#[test]
fn renewals_of_many_leases_wait_a_little_for_company() {
    let mut limiter = Limiter::new(at(0));
    for _ in 0..30_000 {
        limiter.handle_join(at(0), 30_000);
    }
    limiter.handle_due(at(15_000), at(10_000), 1);
    assert_eq!(limiter.poll_admitted(at(1_000)), None);
    assert_eq!(limiter.poll_timeout(), Some(at(1_010)));
    limiter.handle_due(at(14_000), at(10_000), 2);
    assert_eq!(limiter.poll_admitted(at(1_009)), None);
    assert_eq!(limiter.poll_admitted(at(1_010)), Some(2), "earliest deadline first");
    assert_eq!(limiter.poll_admitted(at(1_010)), Some(1));
    assert_eq!(limiter.poll_timeout(), None);
    limiter.handle_due(at(15_000), at(10_000), 3);
    assert_eq!(limiter.poll_admitted(at(1_011)), None, "the next waits for its own company");
}

#[test]
fn a_full_batch_and_what_is_urgent_wait_for_nobody() {
    let many = || {
        let mut limiter = Limiter::new(at(0));
        for _ in 0..30_000 {
            limiter.handle_join(at(0), 30_000);
        }
        limiter
    };
    let mut limiter = many();
    for waiter in 0..64 {
        limiter.handle_due(at(15_000), at(10_000), waiter);
    }
    let admitted = std::iter::from_fn(|| limiter.poll_admitted(at(1_000)));
    assert_eq!(admitted.count(), 64);
    let mut limiter = many();
    limiter.handle_due(at(15_000), at(1_005), 1);
    assert_eq!(limiter.poll_admitted(at(1_000)), None);
    assert_eq!(limiter.poll_timeout(), Some(at(1_005)));
    assert_eq!(limiter.poll_admitted(at(1_005)), Some(1));
}
