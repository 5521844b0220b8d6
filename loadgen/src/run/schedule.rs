//! The arrivals of a run, drawn from its seed alone: the same for every lock, in every process, on every machine.
//! Hence `libm`: the system's own logarithm may differ in its last bit.

use rand::RngExt;
use rand::distr::weighted::WeightedIndex;
use rand::distr::{Distribution, Uniform};
use rand::rngs::ChaCha8Rng;

use crate::run::plan::Plan;
use crate::scenario::{self, Arrivals, Skew, Stretch};

/// Streams of the run's generator. One each, so that a draw more in one of them moves nothing in the others.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Stream {
    Gaps = 1,
    Nodes = 2,
    Keys = 3,
}

/// The run's generator for one purpose.
pub(crate) fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    scenario::generator(seed, stream as u64)
}

/// One acquisition to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When it is due, from the start of the run.
    pub(crate) due_ns: u64,
    pub(crate) node: u32,
    pub(crate) key: u32,
}

/// All arrivals of a run in the order of their due times.
#[derive(Debug)]
pub(crate) struct Schedule {
    arrivals: Arrivals,
    length_ns: u64,
    count: u64,
    /// Arrivals that would be due by now if none were left to chance.
    clock: f64,
    rates: Rates,
    gaps: ChaCha8Rng,
    nodes: (ChaCha8Rng, Uniform<u32>),
    keys: (ChaCha8Rng, WeightedIndex<f64>),
}

/// A plan from which no arrivals can be drawn.
#[derive(Debug, thiserror::Error)]
#[error("no arrivals can be drawn: {0}")]
pub(crate) struct ScheduleError(String);

impl Schedule {
    pub(crate) fn new(plan: &Plan) -> Result<Self, ScheduleError> {
        let nodes =
            Uniform::new(0, plan.load.nodes).map_err(|error| ScheduleError(format!("nodes: {error}")))?;
        let keys = WeightedIndex::new(weights(plan.load.keys, plan.load.skew))
            .map_err(|error| ScheduleError(format!("keys: {error}")))?;
        if !plan.load.rate_per_s.is_finite() || plan.load.rate_per_s <= 0.0 {
            return Err(ScheduleError(format!("a rate of {} a second", plan.load.rate_per_s)));
        }
        Ok(Self {
            arrivals: plan.load.arrivals,
            length_ns: plan.load.length_ns(),
            count: 0,
            clock: 0.0,
            rates: Rates::new(plan.load.stretches()),
            gaps: generator(plan.seed, Stream::Gaps),
            nodes: (generator(plan.seed, Stream::Nodes), nodes),
            keys: (generator(plan.seed, Stream::Keys), keys),
        })
    }

    fn next_due_ns(&mut self) -> u64 {
        self.count += 1;
        match self.arrivals {
            // By counting: adding gaps up would add their rounding up as well.
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 arrivals")]
            Arrivals::Constant => self.clock = self.count as f64,
            // 1 - u lies in (0, 1], so the logarithm is finite.
            Arrivals::Poisson => self.clock -= libm::log(1.0 - self.gaps.random::<f64>()),
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; never negative"
        )]
        let due_ns = (self.rates.seconds_until(self.clock) * 1e9) as u64;
        due_ns
    }
}

/// When so many arrivals are due, stretch by stretch.
#[derive(Debug)]
struct Rates {
    stretches: std::vec::IntoIter<Stretch>,
    current: Option<Stretch>,
    /// Time and arrivals before the current stretch.
    before_s: f64,
    before: f64,
}

impl Rates {
    fn new(stretches: Vec<Stretch>) -> Self {
        let mut stretches = stretches.into_iter();
        let current = stretches.next();
        Self { stretches, current, before_s: 0.0, before: 0.0 }
    }

    /// Asked for more arrivals each time. After the last stretch, never.
    fn seconds_until(&mut self, arrivals: f64) -> f64 {
        while let Some(stretch) = self.current {
            let here = (stretch.from_per_s + stretch.to_per_s) / 2.0 * stretch.length_s;
            if arrivals < self.before + here {
                return self.before_s + within(stretch, arrivals - self.before);
            }
            self.before += here;
            self.before_s += stretch.length_s;
            self.current = self.stretches.next();
        }
        f64::INFINITY
    }
}

/// The time into a stretch at which so many of its arrivals are due: the root of `slope / 2 t^2 + from t = arrivals`,
/// in the form that no difference of like numbers spoils.
fn within(stretch: Stretch, arrivals: f64) -> f64 {
    let slope = (stretch.to_per_s - stretch.from_per_s) / stretch.length_s;
    let root = libm::sqrt((stretch.from_per_s * stretch.from_per_s + 2.0 * slope * arrivals).max(0.0));
    2.0 * arrivals / (stretch.from_per_s + root)
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let due_ns = self.next_due_ns();
        if due_ns >= self.length_ns {
            return None;
        }
        let node = self.nodes.1.sample(&mut self.nodes.0);
        let key = u32::try_from(self.keys.1.sample(&mut self.keys.0)).ok()?;
        Some(Arrival { due_ns, node, key })
    }
}

fn weights(keys: u32, skew: Skew) -> Vec<f64> {
    let rank = |key: u32| f64::from(key) + 1.0;
    let others = f64::from(keys.saturating_sub(1)).max(1.0);
    (0..keys)
        .map(|key| match skew {
            Skew::Uniform => 1.0,
            Skew::Zipf(exponent) => libm::pow(rank(key), -exponent),
            Skew::Hot(share) if key == 0 => share,
            Skew::Hot(share) => (1.0 - share) / others,
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::run::plan::LockKind;
    use crate::scenario::Load;
    use crate::shards::Shard;

    pub(crate) fn plan(arrivals: Arrivals, skew: Skew, seed: u64) -> Plan {
        let load = Load {
            arrivals,
            skew,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(8),
            cool_down: Duration::from_secs(1),
            ..Load::default()
        };
        Plan {
            scenario: "calm".to_owned(),
            lock: LockKind::None,
            endpoints: Vec::new(),
            routes: Vec::new(),
            load,
            faults: Vec::new(),
            seed,
            shard: Shard::WHOLE,
        }
    }

    fn drawn(arrivals: Arrivals, skew: Skew, seed: u64) -> Vec<Arrival> {
        Schedule::new(&plan(arrivals, skew, seed)).expect("a drawable plan").collect()
    }

    #[test]
    fn a_seed_gives_the_same_arrivals_again_and_another_seed_others() {
        let first = drawn(Arrivals::Poisson, Skew::Zipf(1.0), 7);
        assert_eq!(first, drawn(Arrivals::Poisson, Skew::Zipf(1.0), 7));
        assert_ne!(first, drawn(Arrivals::Poisson, Skew::Zipf(1.0), 8));
        assert!(first.is_sorted_by_key(|arrival| arrival.due_ns));
    }

    #[test]
    fn another_skew_moves_no_arrival_and_no_node() {
        let uniform = drawn(Arrivals::Poisson, Skew::Uniform, 7);
        let hot = drawn(Arrivals::Poisson, Skew::Hot(0.9), 7);
        let places = |arrivals: &[Arrival]| arrivals.iter().map(|a| (a.due_ns, a.node)).collect::<Vec<_>>();
        assert_eq!(places(&uniform), places(&hot));
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_their_law() {
        let arrivals = drawn(Arrivals::Poisson, Skew::Uniform, 11);
        let gaps: Vec<f64> =
            arrivals.windows(2).map(|pair| (pair[1].due_ns - pair[0].due_ns) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // 20,000 arrivals: the mean is within 4 standard errors (0.7 % each) of 500 us.
        assert!((mean / 500_000.0 - 1.0).abs() < 0.03, "mean gap {mean} ns");
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.05,
            "an exponential law's deviation equals its mean"
        );
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let arrivals = drawn(Arrivals::Constant, Skew::Uniform, 11);
        assert_eq!(arrivals.len(), 19_999, "10 s at 2,000 a second, the last instant left out");
        assert!(arrivals.windows(2).all(|pair| (pair[1].due_ns - pair[0].due_ns).abs_diff(500_000) <= 1));
    }

    #[test]
    fn a_profile_moves_the_arrivals_where_it_says() {
        let counts = |profile: &str| {
            let mut plan = plan(Arrivals::Constant, Skew::Uniform, 5);
            plan.load.profile = profile.parse().unwrap();
            let arrivals: Vec<Arrival> = Schedule::new(&plan).unwrap().collect();
            let between = |from_s: u64, to_s: u64| {
                let range = from_s * 1_000_000_000..to_s * 1_000_000_000;
                arrivals.iter().filter(|arrival| range.contains(&arrival.due_ns)).count()
            };
            assert!(arrivals.is_sorted_by_key(|arrival| arrival.due_ns));
            [between(0, 1), between(1, 5), between(5, 9), between(9, 10)]
        };
        let near = |profile: &str, expected: [usize; 4]| {
            let found = counts(profile);
            let off = found.iter().zip(expected).map(|(found, expected)| found.abs_diff(expected)).max();
            assert!(off <= Some(2), "{profile}: {found:?} for {expected:?}");
        };
        near("ramp:4000", [2_000, 10_000, 14_000, 4_000]);
        near("ramp:1000", [2_000, 7_000, 5_000, 1_000]);
        near("step:4000,2", [2_000, 8_000, 16_000, 4_000]);
        near("spike:10000,4s,2s", [2_000, 8_000, 24_000, 2_000]);
    }

    #[test]
    fn skews_give_the_first_key_its_share() {
        let share = |skew| {
            let arrivals = drawn(Arrivals::Poisson, skew, 3);
            arrivals.iter().filter(|arrival| arrival.key == 0).count() as f64 / arrivals.len() as f64
        };
        assert!((share(Skew::Hot(0.9)) - 0.9).abs() < 0.02);
        // The 200th harmonic number is 5.878.
        assert!((share(Skew::Zipf(1.0)) - 1.0 / 5.878).abs() < 0.02);
        assert!(share(Skew::Uniform) < 0.02);
    }
}
