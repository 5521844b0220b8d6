//! A histogram in a few numbers.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A percentile with fewer samples beyond it than this says more about luck than about the system.
const SAMPLES_BEYOND_MIN: u64 = 10;

/// Percentiles in microseconds; those with fewer than ten samples beyond them are not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latency {
    /// Half took no longer.
    pub(crate) p50: Option<f64>,
    /// Nine of ten took no longer.
    pub(crate) p90: Option<f64>,
    /// 99 of a hundred took no longer.
    pub(crate) p99: Option<f64>,
    /// 999 of a thousand took no longer.
    pub(crate) p999: Option<f64>,
    /// The longest; nothing when there are no samples.
    pub(crate) max: Option<f64>,
    /// How many samples there are.
    pub(crate) count: u64,
}

/// What margin renewals kept, in microseconds. Here the low end is the one that matters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slack {
    /// The narrowest; nothing when there are no samples.
    pub(crate) min: Option<f64>,
    /// One in a thousand was narrower.
    pub(crate) p001: Option<f64>,
    /// One in a hundred was narrower.
    pub(crate) p01: Option<f64>,
    /// Half were narrower.
    pub(crate) p50: Option<f64>,
    /// How many samples there are.
    pub(crate) count: u64,
}

impl Latency {
    /// Sums up a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50: percentile_us(histogram, 0.5),
            p90: percentile_us(histogram, 0.9),
            p99: percentile_us(histogram, 0.99),
            p999: percentile_us(histogram, 0.999),
            max: (!histogram.is_empty()).then(|| to_us(histogram.max())),
            count: histogram.len(),
        }
    }
}

impl Slack {
    /// Sums up a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            min: (!histogram.is_empty()).then(|| to_us(histogram.min())),
            p001: percentile_us(histogram, 0.001),
            p01: percentile_us(histogram, 0.01),
            p50: percentile_us(histogram, 0.5),
            count: histogram.len(),
        }
    }
}

/// The value at `quantile` in microseconds, if enough samples lie beyond it, on the side of its nearer end.
pub(crate) fn percentile_us(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    let beyond = histogram.len() as f64 * quantile.min(1.0 - quantile);
    // A hair of tolerance: 1,000 x (1 - 0.99) is 10 on paper and 9.999999999999998 in an f64.
    (beyond + 1e-6 >= SAMPLES_BEYOND_MIN as f64).then(|| to_us(histogram.value_at_quantile(quantile)))
}

fn to_us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}
