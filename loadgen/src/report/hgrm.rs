//! `.hgrm`: a percentile distribution as text, the way HdrHistogram's Java tools write it and every plotter reads it.
//!
//! Plotters keep the lines of exactly four numbers, so the last line, whose `1/(1-Percentile)` would be infinite, has
//! three. Where a percentile falls exactly between two values, the last bit of its sum decides which of them stands
//! there; the Java tools add in per cent, so they may choose the other.

use std::io::{self, Write};

use hdrhistogram::Histogram;

/// Steps to each halving of the distance to 100 %, as the Java tools choose.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Values are recorded in nanoseconds and written in milliseconds.
const NS_PER_MS: f64 = 1_000_000.0;

/// Writes a histogram of nanoseconds, with values in milliseconds.
pub(crate) fn write_hgrm(histogram: &Histogram<u64>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut count: u64 = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count = count.saturating_add(step.count_since_last_iteration());
        let value_ms = step.value_iterated_to() as f64 / NS_PER_MS;
        let quantile = step.quantile_iterated_to();
        write!(out, "{value_ms:12.3} {quantile:2.12} {count:10}")?;
        if quantile < 1.0 {
            write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        }
        writeln!(out)?;
    }
    let mean_ms = histogram.mean() / NS_PER_MS;
    let deviation_ms = histogram.stdev() / NS_PER_MS;
    let max_ms = histogram.max() as f64 / NS_PER_MS;
    writeln!(out, "#[Mean    = {mean_ms:12.3}, StdDeviation   = {deviation_ms:12.3}]")?;
    writeln!(out, "#[Max     = {max_ms:12.3}, Total count    = {:12}]", histogram.len())?;
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {:12}]", histogram.buckets(), sub_buckets(histogram))
}

/// As many as tell two values of the wanted digits apart, rounded up to a power of two.
fn sub_buckets(histogram: &Histogram<u64>) -> u64 {
    (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two()
}
