//! Values as people write them.

use std::time::Duration;

/// Beyond it lie slips of the keyboard, and numbers of nanoseconds that cannot be read again.
const DURATION_MAX: Duration = Duration::from_secs(365 * 86_400);

/// `30s`, `2ms`, `1m30s`, `500us`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a time such as 30s, 2ms or 1m30s";
    let signed: jiff::SignedDuration = text.parse().map_err(|_| expected.to_owned())?;
    let duration = Duration::try_from(signed).map_err(|_| format!("{expected}, not a negative one"))?;
    if duration > DURATION_MAX { Err(format!("{expected}, of a year at most")) } else { Ok(duration) }
}

/// Acquisitions per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number of acquisitions per second".to_owned())?;
    in_range(rate)
}

pub(crate) fn in_range(rate_per_s: f64) -> Result<f64, String> {
    if (0.1..=1_000_000.0).contains(&rate_per_s) {
        Ok(rate_per_s)
    } else {
        Err("expected 0.1 to 1000000 a second".to_owned())
    }
}

/// A duration in its largest whole unit, as [`duration`] reads it.
pub(crate) fn show(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let fitting = units.into_iter().find(|(length, _)| ns.is_multiple_of(*length));
    let (length, unit) = fitting.unwrap_or((1, "ns"));
    format!("{}{unit}", ns / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_no_sign() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2ms"), Ok(Duration::from_millis(2)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("8760h"), Ok(DURATION_MAX));
        for wrong in ["30", "-1s", "soon", "", "8761h", "2584774784774775,80s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["90s", "2500ms", "500us", "7ns", "0s"] {
            assert_eq!(show(duration(text).unwrap()), text);
        }
    }
}
