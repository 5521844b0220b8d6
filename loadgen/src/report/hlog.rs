//! `.hlog`: one histogram per second and phase, as HdrHistogram's `HistogramLogProcessor` and its kin read them.
//!
//! The acquisitions, counted from the time they were due, are the lines without a tag, because readers take those
//! unless told otherwise. All other phases are tagged with their names.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};
use hdrhistogram::serialization::{V2DeflateSerializeError, V2DeflateSerializer};
use thiserror::Error;

use crate::measure::{CodecError, Phase, Timeline};

/// `Interval_Max` is for human eyes, and those read milliseconds.
const NS_PER_MS: f64 = 1_000_000.0;

const LEGEND: &str = r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;

/// Why an interval log was not written.
#[derive(Debug, Error)]
pub(crate) enum HlogError {
    /// A second cannot be read back.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A second cannot be written.
    #[error("an interval cannot be logged: {0}")]
    Interval(#[from] IntervalLogWriterError<V2DeflateSerializeError>),
    /// The log's head cannot be written.
    #[error("the interval log cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Writes the seconds of a run whose measured part began at `started`.
pub(crate) fn write_hlog(
    timeline: &Timeline,
    started: SystemTime,
    out: &mut impl Write,
) -> Result<(), HlogError> {
    let epoch = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    writeln!(out, "#[Histogram log format version 1.3]")?;
    writeln!(out, "#[BaseTime: {epoch:.3} (seconds since epoch)]")?;
    writeln!(out, "#[StartTime: {epoch:.3} (seconds since epoch)]")?;
    writeln!(out, "{LEGEND}")?;
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(out, &mut serializer)?;
    for (second, phase, histogram) in timeline.seconds() {
        let start = Duration::from_secs(u64::from(second));
        log.write_histogram(&histogram?, start, Duration::from_secs(1), tag(phase))?;
    }
    Ok(())
}

fn tag(phase: Phase) -> Option<Tag<'static>> {
    if phase == Phase::Acquire { None } else { Tag::new(phase.name()) }
}
