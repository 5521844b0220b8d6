//! Chance, forked: each subsystem draws from a stream of its own, so that a draw more in one of them moves nothing in the
//! others, and a fault that is taken out of a plan leaves the rest of the run as it was.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// Who draws.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Stream {
    /// The plan of a run.
    Plan = 1,
    /// One fault of it.
    Fault = 2,
    /// The network between one host and one endpoint.
    Network = 3,
    /// One host's work.
    Work = 4,
    /// One host's machines: owner ids, jitter, scheduling.
    Host = 5,
    /// Everything of a server that is not its network.
    Server = 6,
    /// Whether there is a line.
    Line = 7,
    /// What a bias makes of a plan.
    Bias = 8,
    /// What a scenario leaves to chance.
    Scene = 9,
}

/// One stream of one seed. Integers only: the same on every machine.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The `index`-th stream of its kind.
    #[must_use]
    pub fn new(seed: u64, stream: Stream, index: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(((stream as u64) << 32) | index as u64);
        Self(generator)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; zero if that is zero.
    pub fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// A number from `low` to `high` whose order of magnitude is evenly spread.
    pub fn spread(&mut self, low: u64, high: u64) -> u64 {
        let (low, high) = (low.max(1), high.max(1));
        let bits = u64::from(low.ilog2())..=u64::from(high.ilog2());
        let magnitude = self.between(*bits.start(), *bits.end());
        let (floor, ceiling) = (1_u64 << magnitude, (1_u64 << magnitude).saturating_mul(2) - 1);
        self.between(floor.max(low), ceiling.min(high))
    }

    /// True so many times in a million.
    pub fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(1_000_000) < u64::from(ppm)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.chance(percent.saturating_mul(10_000))
    }

    /// A place in a list of `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// A number with mean `mean`, mostly small and now and then several times the mean: the minimum of two draws, squared out.
    pub fn tail(&mut self, mean: u64) -> u64 {
        // -ln(u) without a logarithm: the number of leading zeros is geometric, the rest interpolates.
        let bits = self.bits() | 1;
        let zeros = u64::from(bits.leading_zeros());
        let rest = (bits << zeros << 1) >> 44;
        let sixteenths = (zeros << 20) + ((1 << 20) - rest);
        // Mean of `sixteenths` is 1.5 * 2^20.
        let product = u128::from(mean) * u128::from(sixteenths) * 2 / 3;
        u64::try_from(product >> 20).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let mut dice = Dice::new(1, Stream::Plan, 0);
        let draws: Vec<u64> = (0..1_000).map(|_| dice.between(3, 6)).collect();
        assert!(
            (3..=6).all(|wanted| draws.contains(&wanted)) && draws.iter().all(|draw| (3..=6).contains(draw))
        );
        assert!((0..1_000).all(|_| (5..=900).contains(&dice.spread(5, 900))));
        let tail: u64 = (0..10_000).map(|_| dice.tail(1_000)).sum();
        assert!((900..1_100).contains(&(tail / 10_000)), "{tail}");
    }

    #[test]
    fn streams_are_independent() {
        let mut one = Dice::new(1, Stream::Network, 0);
        let mut other = Dice::new(1, Stream::Network, 1);
        assert_ne!(one.bits(), other.bits());
        assert_eq!(Dice::new(7, Stream::Work, 2).bits(), Dice::new(7, Stream::Work, 2).bits());
    }
}
