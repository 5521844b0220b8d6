//! The moment at which all shards begin.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

/// A moment by the endpoints' clocks, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartAt(pub(crate) u64);

/// Not a moment.
#[derive(Debug, thiserror::Error)]
#[error("expected a time as RFC 3339, such as 2026-11-25T12:00:00Z, or seconds since 1970")]
pub(crate) struct StartAtError;

impl FromStr for StartAt {
    type Err = StartAtError;

    fn from_str(text: &str) -> Result<Self, StartAtError> {
        let timestamp = match text.parse::<u32>() {
            Ok(seconds) => Timestamp::from_second(i64::from(seconds)).map_err(|_| StartAtError)?,
            Err(_) => text.parse().map_err(|_| StartAtError)?,
        };
        u64::try_from(timestamp.as_nanosecond()).map(Self).map_err(|_| StartAtError)
    }
}

impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_a_moment_mean_the_same() {
        let moment: StartAt = "2026-11-25T12:00:00Z".parse().unwrap();
        assert_eq!(moment, "1795608000".parse().unwrap());
        assert_eq!(moment, "2026-11-25T13:00:00+01:00".parse().unwrap());
        assert_eq!(moment.to_string(), "2026-11-25T12:00:00Z");
        for wrong in ["", "now", "12:00", "1e9", "-5", "1900-01-01T00:00:00Z"] {
            assert!(wrong.parse::<StartAt>().is_err(), "{wrong}");
        }
    }
}
