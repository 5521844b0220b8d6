//! A count, and what it says about the true rate.

use serde::{Deserialize, Serialize};

/// Some of many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    /// How many were seen.
    pub(crate) count: u64,
    /// Among how many they were looked for.
    pub(crate) of: u64,
    /// `count / of`; nothing when `of` is 0.
    pub(crate) rate: Option<f64>,
    /// One-sided 95 % upper bound of the true rate: 3/n where nothing was seen, else Clopper and Pearson's; nothing
    /// when `of` is 0.
    pub(crate) upper_95: Option<f64>,
}

impl Count {
    pub(crate) fn new(count: u64, of: u64) -> Self {
        debug_assert!(count <= of, "{count} of {of}");
        let rate = |numerator: f64| (of > 0).then(|| (numerator / of as f64).min(1.0));
        let upper_95 = match count {
            0 => rate(3.0),
            _ if count >= of => rate(of as f64),
            _ => Some(clopper_pearson_upper(count, of)),
        };
        Self { count, of, rate: rate(count as f64), upper_95 }
    }
}

/// Halvings of [0, 1]: enough for every bit that an `f64` has to tell.
const BISECTIONS: u32 = 60;

/// The rate at which `count` or fewer of `of` would be seen only once in twenty.
fn clopper_pearson_upper(count: u64, of: u64) -> f64 {
    let mut low = count as f64 / of as f64;
    let mut high = 1.0;
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if binomial_tail(count, of, middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// `P(X <= count)` of a binomial distribution, for a `rate` of at least `count / of` and less than 1: from there on
/// down the terms only shrink, so the sum may stop where they no longer show.
fn binomial_tail(count: u64, of: u64, rate: f64) -> f64 {
    let (k, n) = (count as f64, of as f64);
    let ln_choose = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    let mut term = (ln_choose + k * rate.ln() + (n - k) * (-rate).ln_1p()).exp();
    let mut sum = term;
    for successes in (1..=count).rev() {
        let successes = successes as f64;
        term *= successes / (n - successes + 1.0) * (1.0 - rate) / rate;
        sum += term;
        if term <= sum * f64::EPSILON {
            break;
        }
    }
    sum
}
