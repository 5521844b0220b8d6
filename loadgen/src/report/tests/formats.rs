//! `.hgrm` and `.hlog` read back by the rules of the programs that plot them.

use std::time::Duration;

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::{started, timeline};
use crate::measure::{Phase, new_histogram};
use crate::report::hgrm::write_hgrm;
use crate::report::hlog::write_hlog;

fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    write_hgrm(histogram, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn hlog() -> String {
    let mut bytes = Vec::new();
    write_hlog(&timeline(), started(), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The points that plotFiles.html draws: lines that are no comment, of exactly four fields, the first and the last of
/// them numbers. `(value, 1/(1-percentile))`.
fn plotted(text: &str) -> Vec<(f64, f64)> {
    let point = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let &[value, _, _, inverse] = fields.as_slice() else { return None };
        Some((value.parse().ok()?, inverse.parse().ok()?))
    };
    text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(point).collect()
}

#[test]
fn a_percentile_distribution_has_the_java_tools_form() {
    let mut histogram = new_histogram();
    for ms in 1..=7 {
        histogram.saturating_record(ms * 1_000_000);
    }
    // What Histogram.outputPercentileDistribution(out, 5, 1e6) of HdrHistogram 2.1.11 prints for these.
    let expected = "       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000          1           1.00
       1.000 0.100000000000          1           1.11
       2.001 0.200000000000          2           1.25
       3.000 0.300000000000          3           1.43
       3.000 0.400000000000          3           1.67
       4.002 0.500000000000          4           2.00
       4.002 0.550000000000          4           2.22
       5.001 0.600000000000          5           2.50
       5.001 0.650000000000          5           2.86
       5.001 0.700000000000          5           3.33
       6.001 0.750000000000          6           4.00
       6.001 0.775000000000          6           4.44
       6.001 0.800000000000          6           5.00
       6.001 0.825000000000          6           5.71
       6.001 0.850000000000          6           6.67
       7.000 0.875000000000          7           8.00
       7.000 1.000000000000          7
#[Mean    =        3.999, StdDeviation   =        1.999]
#[Max     =        7.000, Total count    =            7]
#[Buckets =           17, SubBuckets     =         2048]
";
    assert_eq!(hgrm(&histogram), expected);
}

#[test]
fn a_plotter_finds_every_point_but_the_infinite_one() {
    let histogram = timeline().total(Phase::Acquire);
    let text = hgrm(&histogram);
    let points = plotted(&text);
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    assert_eq!(points.len(), rows - 2, "all but the heading and the last row");
    assert!(points.len() > 40, "{}", points.len());
    assert!(
        points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1),
        "both columns grow"
    );
    let (value, _) = points.iter().find(|point| point.1 == 100.0).copied().unwrap_or_else(|| {
        *points.iter().min_by(|a, b| (a.1 - 100.0).abs().total_cmp(&(b.1 - 100.0).abs())).unwrap()
    });
    let p99_ms = histogram.value_at_quantile(0.99) as f64 / 1e6;
    assert!((value / p99_ms - 1.0).abs() < 0.02, "{value} ms at 99 %, where the histogram has {p99_ms} ms");
}

#[test]
fn an_empty_distribution_has_no_points() {
    let text = hgrm(&new_histogram());
    assert!(plotted(&text).is_empty());
    assert!(text.contains("Total count    =            0]"), "{text}");
}

#[test]
fn the_interval_log_begins_as_readers_expect() {
    let text = hlog();
    let head: Vec<_> = text.lines().take(4).collect();
    assert_eq!(
        head,
        [
            "#[Histogram log format version 1.3]",
            "#[BaseTime: 1795350113.250 (seconds since epoch)]",
            "#[StartTime: 1795350113.250 (seconds since epoch)]",
            r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#,
        ]
    );
    let first = text.lines().find(|line| line.starts_with("0.000,")).unwrap();
    let fields: Vec<_> = first.split(',').collect();
    assert_eq!(fields.len(), 4);
    assert_eq!((fields[0], fields[1]), ("0.000", "1.000"));
    assert!(fields[3].starts_with("HISTF"), "V2, compressed: {first}");
    let max_ms: f64 = fields[2].parse().unwrap();
    assert!((max_ms - 100.08).abs() < 0.2, "{max_ms} ms of the first second");
}

#[test]
fn the_interval_log_holds_what_was_recorded() {
    let (mut base, mut start) = (None, None);
    let mut acquire = new_histogram();
    let mut hold = new_histogram();
    let mut seconds = Vec::new();
    let text = hlog();
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        match entry.unwrap() {
            LogEntry::BaseTime(time) => base = Some(time),
            LogEntry::StartTime(time) => start = Some(time),
            LogEntry::Interval(interval) => {
                let bytes =
                    base64::engine::general_purpose::STANDARD.decode(interval.encoded_histogram()).unwrap();
                let histogram: Histogram<u64> =
                    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                assert_eq!(interval.duration(), Duration::from_secs(1));
                match interval.tag().map(|tag| tag.as_str()) {
                    None => {
                        seconds.push(interval.start_timestamp().as_secs());
                        acquire.add(histogram).unwrap();
                    }
                    Some("hold") => hold.add(histogram).unwrap(),
                    Some(other) => panic!("nothing was recorded for {other}"),
                }
            }
        }
    }
    assert_eq!(base, Some(Duration::from_millis(1_795_350_113_250)));
    assert_eq!(start, base);
    assert_eq!(seconds, [0, 1, 2]);
    assert_eq!(acquire, timeline().total(Phase::Acquire));
    assert_eq!(hold, timeline().total(Phase::Hold));
}
