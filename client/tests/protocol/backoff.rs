//! Delays between attempts: they grow, they stay bounded, and no two waiters share them.

use std::collections::BTreeSet;

use leasehold::protocol::backoff::retry_delay_ns;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const NS_PER_MS: u64 = 1_000_000;

#[test]
fn the_range_doubles_with_each_failure_until_sixty_four_milliseconds() {
    for (failures, most_ms) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 64), (7, 64), (1_000, 64)] {
        let delays = (0..2_000).map(|seed| retry_delay_ns(failures, seed));
        let (least, most) = (delays.clone().min().unwrap(), delays.max().unwrap());
        let width = most_ms * NS_PER_MS / 2;
        assert!(least >= width && most <= 2 * width, "{failures}: {least} to {most}");
        // Two thousand draws reach both ends of an even spread.
        assert!(least < width + width / 50 && most > 2 * width - width / 50, "{failures}: {least} to {most}");
    }
}

#[test]
fn waiters_woken_together_do_not_come_back_together() {
    let delays: BTreeSet<u64> = (0..400).map(|seed| retry_delay_ns(1, seed)).collect();
    assert!(delays.len() > 390);
}

proptest! {
    #[test]
    fn a_delay_is_never_zero_and_never_longer_than_the_longest(failures in any::<u32>(), seed in any::<u64>()) {
        let delay_ns = retry_delay_ns(failures, seed);
        prop_assert!((NS_PER_MS..=64 * NS_PER_MS).contains(&delay_ns));
        prop_assert_eq!(delay_ns, retry_delay_ns(failures, seed), "the caller's bits decide alone");
    }
}
