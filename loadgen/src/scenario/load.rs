//! The load of a run, and the laws that it is drawn from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text;
use crate::clock::duration_ns;

/// How much is asked of a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) nodes: u32,
    /// Acquisitions due per second, over all nodes; where a profile begins.
    pub(crate) rate_per_s: f64,
    pub(crate) profile: Profile,
    pub(crate) arrivals: Arrivals,
    pub(crate) keys: u32,
    pub(crate) skew: Skew,
    pub(crate) hold: Duration,
    pub(crate) ttl: Duration,
    /// How long an acquisition may wait for a lock that is held.
    pub(crate) wait: Duration,
    /// How long a node rests after each release. A node that rests works like one user, one acquisition after the
    /// other; one that does not serves all that come at once.
    pub(crate) think: Duration,
    /// Load before the figures begin, so that connections and caches are warm.
    pub(crate) warm_up: Duration,
    /// The time that the figures are about.
    pub(crate) duration: Duration,
    /// Load after the figures end, so that the last ones measured meet the same company as the first.
    pub(crate) cool_down: Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            nodes: 40,
            rate_per_s: 2_000.0,
            profile: Profile::Constant,
            arrivals: Arrivals::Poisson,
            keys: 200,
            skew: Skew::Uniform,
            hold: Duration::from_millis(2),
            ttl: Duration::from_secs(5),
            wait: Duration::from_secs(2),
            think: Duration::ZERO,
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(30),
            cool_down: Duration::from_secs(1),
        }
    }
}

/// The law of the times between arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arrivals {
    /// independent arrivals, as from many unrelated callers
    Poisson,
    /// evenly spaced
    Constant,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisson => "poisson",
            Self::Constant => "constant",
        })
    }
}

/// How popular the keys are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Skew {
    /// All alike.
    Uniform,
    /// The k-th key with weight k to the power of -s.
    Zipf(f64),
    /// The first key with this share of all arrivals, the others alike.
    Hot(f64),
}

/// A skew that is none of `uniform`, `zipf:S` and `hot:SHARE`.
#[derive(Debug, thiserror::Error)]
#[error("expected uniform, zipf:S with S from 0 to 10, or hot:SHARE with SHARE from 0 to 1")]
pub(crate) struct SkewError;

impl FromStr for Skew {
    type Err = SkewError;

    fn from_str(text: &str) -> Result<Self, SkewError> {
        let number = |digits: &str, max: f64| {
            let value = digits.parse::<f64>().map_err(|_| SkewError)?;
            if (0.0..=max).contains(&value) { Ok(value) } else { Err(SkewError) }
        };
        match text.split_once(':') {
            None if text == "uniform" => Ok(Self::Uniform),
            Some(("zipf", exponent)) => Ok(Self::Zipf(number(exponent, 10.0)?)),
            Some(("hot", share)) => Ok(Self::Hot(number(share, 1.0)?)),
            _ => Err(SkewError),
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Self::Hot(share) => write!(f, "hot:{share}"),
        }
    }
}

/// How the rate goes over the measured part. Before it the load has the rate that this begins with, after it the one
/// that it ends with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Profile {
    Constant,
    /// Evenly up or down to this rate.
    Ramp {
        to_per_s: f64,
    },
    /// To this rate in so many stairs of the same length.
    Step {
        to_per_s: f64,
        steps: u32,
    },
    /// To this rate at once, `at` after the beginning, and back again.
    Spike {
        to_per_s: f64,
        at: Duration,
        length: Duration,
    },
}

/// A profile that is none of those there are.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected constant, ramp:RATE, step:RATE,STEPS with 2 to 1000 steps, or spike:RATE,AT,LENGTH such as spike:4000,10s,2s"
)]
pub(crate) struct ProfileError;

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let (name, arguments) = text.split_once(':').unwrap_or((text, ""));
        let arguments: Vec<&str> = arguments.split(',').collect();
        let rate = |text: &str| text::rate(text).map_err(|_| ProfileError);
        let time = |text: &str| text::duration(text).map_err(|_| ProfileError);
        match (name, arguments.as_slice()) {
            ("constant", [""]) => Ok(Self::Constant),
            ("ramp", [to]) => Ok(Self::Ramp { to_per_s: rate(to)? }),
            ("step", [to, steps]) => {
                let steps = steps.parse().ok().filter(|steps| (2..=1_000).contains(steps));
                Ok(Self::Step { to_per_s: rate(to)?, steps: steps.ok_or(ProfileError)? })
            }
            ("spike", [to, at, length]) => {
                Ok(Self::Spike { to_per_s: rate(to)?, at: time(at)?, length: time(length)? })
            }
            _ => Err(ProfileError),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Ramp { to_per_s } => write!(f, "ramp:{to_per_s}"),
            Self::Step { to_per_s, steps } => write!(f, "step:{to_per_s},{steps}"),
            Self::Spike { to_per_s, at, length } => {
                write!(f, "spike:{to_per_s},{},{}", text::show(*at), text::show(*length))
            }
        }
    }
}

/// A stretch of time in which the rate goes evenly from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) length_s: f64,
    pub(crate) from_per_s: f64,
    pub(crate) to_per_s: f64,
}

impl Load {
    /// From the first arrival to the last, in nanoseconds.
    pub(crate) fn length_ns(&self) -> u64 {
        self.measured_ns().1.saturating_add(duration_ns(self.cool_down))
    }

    /// Start and end of the part that the figures are about, from the start of the run.
    pub(crate) fn measured_ns(&self) -> (u64, u64) {
        let start = duration_ns(self.warm_up);
        (start, start.saturating_add(duration_ns(self.duration)))
    }

    /// Whether an arrival due at `due_ns` after the start belongs to the figures.
    pub(crate) fn measures(&self, due_ns: u64) -> bool {
        let (start, end) = self.measured_ns();
        (start..end).contains(&due_ns)
    }

    /// The rate from the first arrival to the last, stretch by stretch.
    pub(crate) fn stretches(&self) -> Vec<Stretch> {
        let flat = |length_s: f64, rate: f64| Stretch { length_s, from_per_s: rate, to_per_s: rate };
        let (rate, length_s) = (self.rate_per_s, self.duration.as_secs_f64());
        let mut stretches = vec![flat(self.warm_up.as_secs_f64(), rate)];
        match self.profile {
            Profile::Constant => stretches.push(flat(length_s, rate)),
            Profile::Ramp { to_per_s } => {
                stretches.push(Stretch { length_s, from_per_s: rate, to_per_s });
            }
            Profile::Step { to_per_s, steps } => {
                let (each_s, last) = (length_s / f64::from(steps), f64::from(steps.saturating_sub(1).max(1)));
                let stair = |step| rate + (to_per_s - rate) * f64::from(step) / last;
                stretches.extend((0..steps).map(|step| flat(each_s, stair(step))));
            }
            Profile::Spike { to_per_s, at, length } => {
                let from_s = at.as_secs_f64().min(length_s);
                let until_s = (at + length).as_secs_f64().min(length_s);
                stretches.extend([
                    flat(from_s, rate),
                    flat(until_s - from_s, to_per_s),
                    flat(length_s - until_s, rate),
                ]);
            }
        }
        let last_per_s = stretches.last().map_or(rate, |stretch| stretch.to_per_s);
        stretches.push(flat(self.cool_down.as_secs_f64(), last_per_s));
        stretches
    }

    /// The rate at a moment, in seconds from the first arrival.
    pub(crate) fn rate_at(&self, mut at_s: f64) -> f64 {
        let mut rate_per_s = self.rate_per_s;
        for Stretch { length_s, from_per_s, to_per_s } in self.stretches() {
            if at_s < length_s {
                return from_per_s + (to_per_s - from_per_s) * at_s.max(0.0) / length_s;
            }
            (at_s, rate_per_s) = (at_s - length_s, to_per_s);
        }
        rate_per_s
    }
}
