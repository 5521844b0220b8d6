use proptest::prelude::*;

use super::histogram::HIGH_NS;
use super::latency::percentile_us;
use super::{EncodedInterval, Latency, Phase, Recorder, Slack, Timeline, new_histogram};

const SECOND_NS: u64 = 1_000_000_000;

fn encoded(recorder: Recorder) -> Vec<EncodedInterval> {
    recorder.finish().iter().map(|interval| interval.encode().unwrap()).collect()
}

#[test]
fn phases_stand_in_their_order_under_names_of_their_own() {
    for (index, phase) in Phase::ALL.into_iter().enumerate() {
        assert_eq!(phase.index(), index);
        assert_eq!(serde_json::to_string(&phase).unwrap(), format!("\"{}\"", phase.name()));
    }
}

#[test]
fn seconds_are_counted_from_the_origin() {
    let origin_ns = 5 * SECOND_NS + 500;
    let mut recorder = Recorder::new(origin_ns);
    recorder.record(Phase::Acquire, 0, 1_000_000);
    recorder.record(Phase::Acquire, origin_ns + SECOND_NS - 1, 1_000_000);
    recorder.record(Phase::Hold, origin_ns + SECOND_NS, 1_000_000);
    recorder.record(Phase::Hold, origin_ns + 7 * SECOND_NS, 1_000_000);
    let late_news_of_the_first_second = origin_ns;
    recorder.record(Phase::Acquire, late_news_of_the_first_second, 1_000_000);
    let shape = |interval: &EncodedInterval| {
        (interval.second, interval.phases.iter().map(|(phase, _)| *phase).collect::<Vec<_>>())
    };
    let shapes: Vec<_> = encoded(recorder).iter().map(shape).collect();
    assert_eq!(
        shapes,
        [(0, vec![Phase::Acquire]), (1, vec![Phase::Hold]), (7, vec![Phase::Acquire, Phase::Hold])],
        "quiet seconds leave nothing"
    );
}

#[test]
fn closed_seconds_can_be_taken_on_the_way() {
    let mut recorder = Recorder::new(0);
    recorder.record(Phase::Renew, 0, 1);
    assert!(recorder.take_closed().is_empty(), "the second is still open");
    recorder.record(Phase::Renew, SECOND_NS, 1);
    assert_eq!(recorder.take_closed().len(), 1);
    assert!(recorder.take_closed().is_empty());
    assert_eq!(recorder.finish().len(), 1);
}

#[test]
fn what_takes_too_long_counts_as_the_longest() {
    let mut recorder = Recorder::new(0);
    recorder.record(Phase::Acquire, 0, u64::MAX);
    recorder.record(Phase::Acquire, 0, u64::MAX);
    let mut timeline = Timeline::default();
    for interval in encoded(recorder) {
        timeline.merge(interval).unwrap();
    }
    let total = timeline.total(Phase::Acquire);
    assert_eq!(total.len(), 2);
    assert!(total.equivalent(total.max(), HIGH_NS), "{}", total.max());
}

#[test]
fn histograms_from_elsewhere_are_refused_and_nothing_panics() {
    let mut timeline = Timeline::default();
    for text in ["", "~~~", "SElTVA==", "HISTFAAAAAA"] {
        let interval = EncodedInterval { second: 0, phases: vec![(Phase::Hold, text.to_owned())] };
        timeline.merge(interval).unwrap_err();
    }
}

#[test]
fn a_percentile_needs_ten_samples_beyond_it() {
    let mut histogram = new_histogram();
    let mut given = |samples: u64, quantile: f64| {
        histogram.clear();
        histogram.saturating_record_n(1_000_000, samples);
        percentile_us(&histogram, quantile).is_some()
    };
    for (quantile, enough) in
        [(0.5, 20), (0.9, 100), (0.99, 1_000), (0.999, 10_000), (0.01, 1_000), (0.001, 10_000)]
    {
        assert!(given(enough, quantile), "{quantile} of {enough}");
        assert!(!given(enough - 1, quantile), "{quantile} of {}", enough - 1);
    }
}

#[test]
fn nothing_recorded_is_nothing_said() {
    let timeline = Timeline::default();
    assert_eq!(timeline.latency(Phase::Acquire), Latency::default());
    assert_eq!(timeline.slack(), Slack::default());
    assert_eq!(Latency::of(&new_histogram()), Latency::default());
    assert_eq!(Slack::of(&new_histogram()), Slack::default());
}

#[test]
fn percentiles_are_in_microseconds() {
    let mut histogram = new_histogram();
    for ms in 1..=10_000 {
        histogram.saturating_record(ms * 1_000_000);
    }
    let near = |value: Option<f64>, expected: f64| (value.unwrap() / expected - 1.0).abs() < 0.002;
    let latency = Latency::of(&histogram);
    assert!(near(latency.p50, 5_000_000.0) && near(latency.p90, 9_000_000.0), "{latency:?}");
    assert!(near(latency.p99, 9_900_000.0) && near(latency.p999, 9_990_000.0), "{latency:?}");
    assert!(near(latency.max, 10_000_000.0), "{latency:?}");
    let slack = Slack::of(&histogram);
    assert!(
        near(slack.min, 1_000.0) && near(slack.p001, 10_000.0) && near(slack.p01, 100_000.0),
        "{slack:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However samples are spread over workers and seconds, and in whatever order those arrive, nothing is lost.
    #[test]
    fn merging_is_exact(
        samples in prop::collection::vec((0..4_usize, 0..3_u64, 0..Phase::ALL.len(), 0..100_000_000_000_u64), 0..120),
        backwards in any::<bool>(),
    ) {
        let mut recorders: Vec<_> = (0..4).map(|_| Recorder::new(0)).collect();
        let mut by_second: std::collections::BTreeMap<(u32, Phase), hdrhistogram::Histogram<u64>> = Default::default();
        let mut sorted = samples;
        sorted.sort_by_key(|sample| sample.1);
        for (worker, second, phase, length_ns) in sorted {
            let phase = Phase::ALL[phase];
            recorders[worker].record(phase, second * SECOND_NS, length_ns);
            let second = u32::try_from(second).unwrap();
            by_second.entry((second, phase)).or_insert_with(new_histogram).saturating_record(length_ns);
        }
        let mut intervals: Vec<_> = recorders.into_iter().flat_map(encoded).collect();
        if backwards {
            intervals.reverse();
        }
        // Two machines' timelines, absorbed by a third, hold what one would.
        let mut whole = Timeline::default();
        for half in [0, 1] {
            let mut part = Timeline::default();
            for interval in intervals.iter().skip(half).step_by(2) {
                part.merge(interval.clone()).unwrap();
            }
            whole.absorb(&part).unwrap();
        }
        let mut timeline = Timeline::default();
        for interval in intervals {
            let json = serde_json::to_string(&interval).unwrap();
            timeline.merge(serde_json::from_str(&json).unwrap()).unwrap();
        }
        for phase in Phase::ALL {
            prop_assert_eq!(whole.total(phase), timeline.total(phase));
            let mut expected = new_histogram();
            for histogram in by_second.iter().filter(|entry| entry.0.1 == phase).map(|entry| entry.1) {
                expected.add(histogram).unwrap();
            }
            prop_assert_eq!(timeline.total(phase), expected);
        }
        let seconds: Vec<_> =
            timeline.seconds().map(|(second, phase, histogram)| ((second, phase), histogram.unwrap())).collect();
        prop_assert_eq!(seconds, by_second.into_iter().collect::<Vec<_>>());
    }
}
