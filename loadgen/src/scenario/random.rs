//! The generators of a run, one for each purpose, so that a draw more in one of them moves nothing in the others.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The generator of a seed for one purpose: the same on every machine.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream);
    generator
}
