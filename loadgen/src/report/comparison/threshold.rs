//! `--fail-if`: what a comparison must not show.

use std::fmt;
use std::str::FromStr;

use super::metric::{Metric, Unit, UnknownMetric};
use super::{Group, Standing, difference};

/// A figure of a group that is too large or too small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threshold {
    metric: Metric,
    above: bool,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    /// A change against the first group, as a part of it.
    Change(f64),
    /// The group's own value, in the metric's unit.
    Value(f64),
}

/// Not a threshold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThresholdError {
    #[error(transparent)]
    Metric(#[from] UnknownMetric),
    #[error("expected FIGURE > +10%, a change against A, or FIGURE > 12ms, a value of its own")]
    Form,
    #[error(
        "{0} does not go with this figure; times take us, ms or s, shares %, and rates and numbers nothing"
    )]
    Unit(String),
    #[error("{0} is more than any run comes to")]
    Size(String),
}

/// The largest bound, in the metric's unit: microseconds of thirty years.
const BOUND_MAX: f64 = 1e15;

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let at = text.find(['<', '>']).ok_or(ThresholdError::Form)?;
        let (name, rest) = text.split_at(at);
        let metric: Metric = name.trim().parse()?;
        let above = rest.starts_with('>');
        let bound = rest.get(1..).unwrap_or_default().trim();
        let digits_end =
            bound.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(bound.len());
        let (digits, unit) = bound.split_at(digits_end);
        let number: f64 = digits.parse().map_err(|_| ThresholdError::Form)?;
        let unit = unit.trim();
        let signed = digits.starts_with(['+', '-']);
        let bound = if signed {
            if unit != "%" {
                return Err(ThresholdError::Form);
            }
            Bound::Change(number / 100.0)
        } else {
            let factor = match (metric.unit, unit) {
                (Unit::Time, "us") | (Unit::Rate, "" | "/s") | (Unit::Plain | Unit::Share, "") => 1.0,
                (Unit::Processor, "" | "s") => 1.0,
                (Unit::Time, "ms") => 1e3,
                (Unit::Time, "s") => 1e6,
                (Unit::Share, "%") => 0.01,
                _ => return Err(ThresholdError::Unit(format!("{unit:?}"))),
            };
            Bound::Value(number * factor)
        };
        let (Bound::Change(size) | Bound::Value(size)) = bound;
        if size.abs() > BOUND_MAX {
            return Err(ThresholdError::Size(digits.to_owned()));
        }
        Ok(Self { metric, above, bound })
    }
}

impl Threshold {
    /// What is wrong with `group` beside the first one, in a sentence; nothing if all is well. A change that may be noise
    /// is none, and what too few samples speak of was not kept.
    pub(crate) fn missed(&self, first: &Group<'_>, group: &Group<'_>) -> Option<String> {
        let beyond = |value: f64, bound: f64| if self.above { value > bound } else { value < bound };
        let unknown = || Some(format!("{}: {} cannot be told; run for longer", self, group.name()));
        match self.bound {
            Bound::Value(bound) => match group.value(&self.metric) {
                None => unknown(),
                Some(value) => beyond(value, bound)
                    .then(|| format!("{self}: {} has {}", group.name(), self.metric.show(value))),
            },
            Bound::Change(bound) => {
                let (a, b) = (first.value(&self.metric), group.value(&self.metric));
                let (Some(a), Some(b)) = (a, b) else { return unknown() };
                let change = match difference(&self.metric, first, group) {
                    Some(difference) if difference.standing == Standing::Noise => return None,
                    Some(difference) => difference.change,
                    // Anything is more than nothing, and nothing is all less.
                    None if a == b => 0.0,
                    None if b > a => f64::INFINITY,
                    None => -1.0,
                };
                let percent = change * 100.0;
                beyond(change, bound).then(|| format!("{self}: {} changed by {percent:+.1} %", group.name()))
            }
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.above { '>' } else { '<' };
        match self.bound {
            Bound::Change(bound) => write!(f, "{} {sign} {:+}%", self.metric.name, bound * 100.0),
            Bound::Value(bound) => write!(f, "{} {sign} {}", self.metric.name, self.metric.show(bound)),
        }
    }
}
