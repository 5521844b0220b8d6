//! Where random bits come from. The protocol never draws any: it is given them.

use std::fmt;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::sync::{Mutex, lock};

/// A source of random bits.
#[derive(Clone)]
pub(crate) enum Chance {
    /// The operating system's.
    System,
    /// A stream that a seed fixes, for tests.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Chance {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// What tells a client from all others, an attempt from the client's others, and one jitter from another.
    pub(crate) fn bits(&self) -> u64 {
        match self {
            Self::System => rand::random(),
            Self::Seeded(stream) => lock(stream).random(),
        }
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        if low >= high {
            return low;
        }
        match self {
            Self::System => rand::rng().random_range(low..=high),
            Self::Seeded(stream) => lock(stream).random_range(low..=high),
        }
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "Chance::System",
            Self::Seeded(_) => "Chance::Seeded",
        })
    }
}
