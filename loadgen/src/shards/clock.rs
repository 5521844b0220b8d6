//! One clock against another, out of samples that are each off by a little.
//!
//! A sample says that at one moment the endpoint's clock was ahead by an offset, give or take half of the time that the
//! answer took. Two clocks drift apart by no more than [`DRIFT_PPM`], so every sample also says something about all other
//! moments; what all of them allow is narrower than what the best one does.

use serde::{Deserialize, Serialize};

/// By how much the rates of two clocks may differ, in millionths. Crystals stay within a hundred; clocks that are slewed
/// faster than this show as samples that contradict each other.
const DRIFT_PPM: u64 = 200;

/// One look at an endpoint's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    /// When, on the machine-wide clock.
    pub(crate) local_ns: u64,
    /// By how much the endpoint's clock, which counts from 1970, was ahead of that.
    pub(crate) offset_ns: i64,
    /// By how much the offset may be wrong, either way.
    pub(crate) error_ns: u64,
}

impl Sample {
    /// What the offset is at least.
    fn least_ns(&self) -> i64 {
        self.offset_ns.saturating_sub(signed(self.error_ns))
    }

    /// What it is at most.
    fn most_ns(&self) -> i64 {
        self.offset_ns.saturating_add(signed(self.error_ns))
    }
}

/// All looks at one endpoint's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockLog {
    /// Its URL, without a password.
    pub(crate) endpoint: String,
    /// The best of each second.
    pub(crate) samples: Vec<Sample>,
}

/// The way from a machine's clock to an endpoint's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Where each sample is: local time, and the middle of what the offset may be.
    points: Vec<(u64, i64)>,
    error_ns: u64,
    steady: bool,
}

impl Clock {
    /// Nothing without samples.
    pub(crate) fn through(samples: &[Sample]) -> Option<Self> {
        let mut samples = samples.to_vec();
        samples.sort_by_key(|sample| sample.local_ns);
        let (first, last) = (samples.first()?.local_ns, samples.last()?.local_ns);
        let bounds = |sample: &Sample| (sample.local_ns, sample.least_ns(), sample.most_ns());
        let mut bounds: Vec<(u64, i64, i64)> = samples.iter().map(bounds).collect();
        tighten(bounds.iter_mut());
        tighten(bounds.iter_mut().rev());
        if bounds.iter().any(|&(_, low, high)| low > high) {
            // It was stepped, or slewed beyond the drift. All that is left is from where to where it went.
            let low = samples.iter().map(Sample::least_ns).min()?;
            let high = samples.iter().map(Sample::most_ns).max()?;
            let error_ns = low.abs_diff(high).div_ceil(2).saturating_add(drift(last - first));
            return Some(Self { points: vec![(first, middle(low, high))], error_ns, steady: false });
        }
        let widest_ns = bounds.iter().map(|&(_, low, high)| low.abs_diff(high).div_ceil(2)).max()?;
        let gap_ns = bounds.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or(0);
        let points = bounds.into_iter().map(|(local_ns, low, high)| (local_ns, middle(low, high))).collect();
        Some(Self { points, error_ns: widest_ns.saturating_add(drift(gap_ns)), steady: true })
    }

    /// A moment of this machine on the endpoint's clock. Never goes back where the clock was steady.
    pub(crate) fn endpoint_ns(&self, local_ns: u64) -> u64 {
        local_ns.saturating_add_signed(self.offset_ns(local_ns))
    }

    /// A moment of the endpoint's clock on this machine's.
    pub(crate) fn local_ns(&self, endpoint_ns: u64) -> u64 {
        let about_ns = endpoint_ns
            .saturating_add_signed(self.points.first().map_or(0, |point| point.1.saturating_neg()));
        endpoint_ns.saturating_add_signed(self.offset_ns(about_ns).saturating_neg())
    }

    /// By how much either may be wrong, from the first sample to the last.
    pub(crate) fn error_ns(&self) -> u64 {
        self.error_ns
    }

    /// The same for a stretch of time that may begin before the first sample or end after the last.
    pub(crate) fn error_within_ns(&self, from_ns: u64, to_ns: u64) -> u64 {
        let first_ns = self.points.first().map_or(0, |point| point.0);
        let last_ns = self.points.last().map_or(0, |point| point.0);
        let beyond_ns = first_ns.saturating_sub(from_ns).max(to_ns.saturating_sub(last_ns));
        self.error_ns.saturating_add(drift(beyond_ns))
    }

    /// Whether no two samples contradict each other.
    pub(crate) fn is_steady(&self) -> bool {
        self.steady
    }

    fn offset_ns(&self, local_ns: u64) -> i64 {
        let next = self.points.partition_point(|point| point.0 <= local_ns);
        match (next.checked_sub(1).and_then(|before| self.points.get(before)), self.points.get(next)) {
            (Some(&(from_ns, from)), Some(&(to_ns, to))) => {
                let share = i128::from(local_ns - from_ns) * (i128::from(to) - i128::from(from));
                let moved = share.div_euclid(i128::from(to_ns - from_ns));
                from.saturating_add(i64::try_from(moved).unwrap_or(0))
            }
            (Some(point), None) | (None, Some(point)) => point.1,
            (None, None) => 0,
        }
    }
}

/// Lets each sample's bounds hold, widened by the drift between, for the next one too.
fn tighten<'a>(bounds: impl Iterator<Item = &'a mut (u64, i64, i64)>) {
    let mut before: Option<(u64, i64, i64)> = None;
    for bound in bounds {
        if let Some((at_ns, low, high)) = before {
            let drift_ns = signed(drift(at_ns.abs_diff(bound.0)));
            bound.1 = bound.1.max(low.saturating_sub(drift_ns));
            bound.2 = bound.2.min(high.saturating_add(drift_ns));
        }
        before = Some(*bound);
    }
}

fn drift(length_ns: u64) -> u64 {
    length_ns.saturating_mul(DRIFT_PPM).div_ceil(1_000_000)
}

fn middle(low: i64, high: i64) -> i64 {
    low.saturating_add(high.saturating_sub(low) / 2)
}

fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// However the answers were delayed, the true time is within the bound, and time never goes back.
        #[test]
        fn the_bound_holds_under_drift_and_delay(
            ahead_ns in 0..2_000_000_000_000_000_000_i64,
            drift_ppm in -100..100_i64,
            delays in prop::collection::vec((0..5_000_000_u64, 0..=100_u64), 2..60),
        ) {
            let truth = |at_ns: u64| ahead_ns + i64::try_from(at_ns).unwrap() / 1_000_000 * drift_ppm;
            let samples: Vec<Sample> = (0_u64..).zip(&delays).map(|(index, &(round_trip_ns, share))| {
                let sent_ns = 50 * SECOND_NS + index * SECOND_NS;
                let read_ns = sent_ns + round_trip_ns * share / 100;
                let local_ns = sent_ns + round_trip_ns / 2;
                let shown = i64::try_from(read_ns).unwrap() + truth(read_ns);
                Sample { local_ns, offset_ns: shown - i64::try_from(local_ns).unwrap(), error_ns: round_trip_ns / 2 + 1_000 }
            }).collect();
            let clock = Clock::through(&samples).unwrap();
            prop_assert!(clock.is_steady());
            let best_ns = samples.iter().map(|sample| sample.error_ns).min().unwrap();
            let slack_ns = drift(SECOND_NS * (delays.len() as u64 + 1)) + 1_000;
            prop_assert!(clock.error_ns() <= best_ns + slack_ns, "as good as the best sample, and the drift since");
            let mut before_ns = 0;
            for step in 0..delays.len() as u64 * 10 {
                let at_ns = 49 * SECOND_NS + step * SECOND_NS / 10;
                let true_ns = at_ns.saturating_add_signed(truth(at_ns));
                let bound_ns = clock.error_within_ns(49 * SECOND_NS, at_ns) + 2;
                prop_assert!(clock.endpoint_ns(at_ns).abs_diff(true_ns) <= bound_ns);
                prop_assert!(clock.local_ns(clock.endpoint_ns(at_ns)).abs_diff(at_ns) <= drift(60 * SECOND_NS) + 2);
                prop_assert!(clock.endpoint_ns(at_ns) >= before_ns);
                before_ns = clock.endpoint_ns(at_ns);
            }
        }
    }

    #[test]
    fn a_clock_that_was_stepped_is_known_to_be_and_bounded_by_its_step() {
        let at = |second: u64, offset_ns| Sample { local_ns: second * SECOND_NS, offset_ns, error_ns: 1_000 };
        let clock = Clock::through(&[at(1, 0), at(2, 0), at(3, 50_000_000)]).unwrap();
        assert!(!clock.is_steady());
        assert!(clock.error_ns() >= 25_000_000);
        assert!(Clock::through(&[]).is_none());
    }
}
