//! An endpoint's clock that runs or jumps beyond the drift bound is noticed; an honest one never is.

use leasehold::protocol::Moment;
use leasehold::protocol::clock_watch::{ClockWatch, Pace};
use proptest::prelude::*;

/// Feeds a sample every 100 ms, that took 1 ms, of a clock that shows `there(here)`; gives when it was first found off.
fn first_off_ms(there: impl Fn(u64) -> u64, until_ms: u64) -> Option<u64> {
    let mut watch = ClockWatch::default();
    (0..until_ms).step_by(100).find(|&here_ms| {
        let sent = Moment::from_nanos(here_ms * 1_000_000);
        watch.handle_sample(sent, sent.plus_ms(1), 1_700_000_000_000_000 + there(here_ms * 1_000))
            != Pace::Steady
    })
}

#[test]
fn a_clock_that_keeps_pace_is_left_alone() {
    assert_eq!(first_off_ms(|us| us, 3_600_000), None);
    assert_eq!(first_off_ms(|us| us + us / 200, 3_600_000), None, "half a per cent is within the bound");
    assert_eq!(first_off_ms(|us| us - us / 200, 3_600_000), None);
}

#[test]
fn a_clock_that_runs_ten_per_cent_fast_or_slow_is_found_within_a_second() {
    assert!(first_off_ms(|us| us + us / 10, 10_000).unwrap() <= 1_000);
    assert!(first_off_ms(|us| us - us / 10, 10_000).unwrap() <= 1_000);
}

#[test]
fn a_jump_of_an_hour_is_found_at_the_next_sample_however_long_all_was_well() {
    let jump = |us: u64| if us >= 1_000_000_000 { us + 3_600_000_000 } else { us };
    assert_eq!(first_off_ms(jump, 2_000_000), Some(1_000_000));
    let back = |us: u64| if us >= 1_000_000_000 { us - 900_000_000 } else { us };
    assert_eq!(first_off_ms(back, 2_000_000), Some(1_000_000));
}

#[test]
fn a_jump_of_a_quarter_of_a_second_does_not_hide_in_the_drift() {
    let jump = |us: u64| if us >= 1_000_000_000 { us + 250_000 } else { us };
    assert_eq!(first_off_ms(jump, 2_000_000), Some(1_000_000));
}

proptest! {
    /// Slow answers widen what can be said, but never accuse an honest clock.
    #[test]
    fn no_honest_clock_is_accused(
        rate_ppm in -9_000i64..9_000,
        samples in prop::collection::vec((0u64..2_000_000, 0u64..400_000, 0u64..=100), 1..200),
    ) {
        let mut watch = ClockWatch::default();
        let mut here_us = 0;
        for (gap_us, took_us, executed_percent) in samples {
            let sent_us = here_us + gap_us;
            let executed_us = sent_us + took_us * executed_percent / 100;
            here_us = sent_us + took_us;
            let executed = i64::try_from(executed_us).unwrap();
            let there_us = u64::try_from(1_700_000_000_000_000 + executed + executed * rate_ppm / 1_000_000).unwrap();
            let moment = |us: u64| Moment::from_nanos(us * 1_000);
            prop_assert_eq!(watch.handle_sample(moment(sent_us), moment(here_us), there_us), Pace::Steady);
        }
    }
}
