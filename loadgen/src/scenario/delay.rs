//! How long a link holds things up.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::text;

/// An exponential delay ends here, in means: nothing that a run waits for may take for ever.
const MEANS_MAX: u32 = 10;

/// The law of a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Delay {
    Constant(Duration),
    Uniform(Duration, Duration),
    /// With this mean, and at most ten times that.
    Exponential(Duration),
}

/// A text that names no delay.
#[derive(Debug, thiserror::Error)]
#[error("expected a time such as \"20ms\", \"uniform:1ms-9ms\", or \"exp:5ms\" (exponential with that mean)")]
pub(crate) struct DelayError;

impl Delay {
    pub(crate) fn draw(self, generator: &mut impl rand::Rng) -> Duration {
        match self {
            Self::Constant(delay) => delay,
            Self::Uniform(least, most) => least + (most - least).mul_f64(generator.random::<f64>()),
            // 1 - u lies in (0, 1], so the logarithm is finite.
            Self::Exponential(mean) => {
                let means = -libm::log(1.0 - generator.random::<f64>());
                mean.mul_f64(means.min(f64::from(MEANS_MAX)))
            }
        }
    }
}

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let time = |text: &str| text::duration(text).map_err(|_| DelayError);
        match text.split_once(':') {
            None => Ok(Self::Constant(time(text)?)),
            Some(("exp", mean)) => Ok(Self::Exponential(time(mean)?)),
            Some(("uniform", range)) => {
                let (least, most) = range.split_once('-').ok_or(DelayError)?;
                let (least, most) = (time(least)?, time(most)?);
                if least <= most { Ok(Self::Uniform(least, most)) } else { Err(DelayError) }
            }
            Some(_) => Err(DelayError),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(delay) => f.write_str(&text::show(*delay)),
            Self::Uniform(least, most) => write!(f, "uniform:{}-{}", text::show(*least), text::show(*most)),
            Self::Exponential(mean) => write!(f, "exp:{}", text::show(*mean)),
        }
    }
}
