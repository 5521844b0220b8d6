//! The one shape that all histograms have, so that any two can be merged and any plotter reads them.

use hdrhistogram::Histogram;

/// The finest distinction.
const LOW_NS: u64 = 1_000;
/// Whatever takes longer is recorded as this long.
pub(crate) const HIGH_NS: u64 = 60_000_000_000;
/// Significant digits: values are exact to one part in a thousand.
const DIGITS: u8 = 3;

/// An empty histogram of nanoseconds, from a microsecond to a minute.
#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that the crate accepts, as every test shows"
)]
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOW_NS, HIGH_NS, DIGITS).expect("constant bounds")
}
