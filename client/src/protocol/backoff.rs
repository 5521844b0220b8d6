//! Delays with jitter, from random bits given by the caller.

use super::time::NS_PER_MS;

/// The first delay between attempts, before jitter.
const DELAY_NS_FIRST: u64 = 2 * NS_PER_MS;
/// The longest.
const DELAY_NS_MAX: u64 = 64 * NS_PER_MS;

/// How long to wait after the `failures`-th failed attempt (from 1): doubling from 2 ms to 64 ms, the upper half of it
/// jitter, so that waiters woken together do not come back together.
#[must_use]
pub fn retry_delay_ns(failures: u32, seed: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(5);
    let delay_ns = (DELAY_NS_FIRST << doublings).min(DELAY_NS_MAX);
    spread(delay_ns / 2, delay_ns, seed, failures)
}

/// A number from `low` to `high`, evenly spread over seeds and draws.
#[must_use]
pub(crate) fn spread(low: u64, high: u64, seed: u64, draw: u32) -> u64 {
    let width = u128::from(high.saturating_sub(low)) + 1;
    let random = mix(seed.wrapping_add(u64::from(draw).wrapping_mul(GOLDEN)));
    let offset = (u128::from(random) * width) >> 64;
    low.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of `SplitMix64`: every bit of the input moves every bit of the output.
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
