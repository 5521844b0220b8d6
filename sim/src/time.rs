//! The referee's time, which no fault touches, and the clocks that hosts and servers see instead.

use std::fmt;

use leasehold::protocol::Moment;

/// Nanoseconds in a millisecond.
pub const NS_PER_MS: u64 = 1_000_000;

/// A point of the referee's time, in nanoseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub u64);

impl At {
    /// Never.
    pub const NEVER: Self = Self(u64::MAX);

    /// The point so many milliseconds after the beginning.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * NS_PER_MS)
    }

    /// So many nanoseconds later.
    #[must_use]
    pub const fn plus_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// So many milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        self.plus_ns(ms.saturating_mul(NS_PER_MS))
    }

    /// So many milliseconds earlier, at the earliest the beginning.
    #[must_use]
    pub const fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms.saturating_mul(NS_PER_MS)))
    }

    /// Nanoseconds since `earlier`; zero if that is in fact later.
    #[must_use]
    pub const fn ns_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        let us = self.0 / 1_000;
        write!(f, "{}.{:06}", us / 1_000_000, us % 1_000_000)
    }
}

/// A clock: how it runs against the referee's, piece by piece.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Where the present piece begins, on both clocks.
    since: At,
    reading_ns: u64,
    /// How much faster it runs, in millionths.
    rate_ppm: i64,
}

impl Clock {
    /// A clock that shows `reading_ns` at the beginning.
    #[must_use]
    pub const fn new(reading_ns: u64, rate_ppm: i64) -> Self {
        Self { since: At(0), reading_ns, rate_ppm }
    }

    /// What it shows, in nanoseconds.
    #[must_use]
    pub fn read_ns(&self, at: At) -> u64 {
        let passed = i64::try_from(at.ns_since(self.since)).unwrap_or(i64::MAX);
        // Whole millions apart from the rest: the product must not overflow.
        let gained = passed / 1_000_000 * self.rate_ppm + passed % 1_000_000 * self.rate_ppm / 1_000_000;
        self.reading_ns.saturating_add_signed(passed.saturating_add(gained))
    }

    /// What a holder's clock shows.
    #[must_use]
    pub fn moment(&self, at: At) -> Moment {
        Moment::from_nanos(self.read_ns(at))
    }

    /// When it will show `moment`, at the earliest; if it does already, when that began in the present piece.
    #[must_use]
    pub fn at(&self, moment: Moment) -> At {
        let ahead = moment.as_nanos().saturating_sub(self.reading_ns);
        let rate = u64::try_from(1_000_000 + self.rate_ppm).unwrap_or(1).max(1);
        let mut passed = ahead / rate * 1_000_000 + ahead % rate * 1_000_000 / rate;
        // Rounding of the two directions may differ by some nanoseconds.
        while passed > 0 && self.read_ns(self.since.plus_ns(passed - 1)) >= moment.as_nanos() {
            passed -= 1;
        }
        while self.read_ns(self.since.plus_ns(passed)) < moment.as_nanos() {
            passed += 1;
        }
        self.since.plus_ns(passed)
    }

    /// From now on it runs at another rate.
    pub fn set_rate(&mut self, now: At, rate_ppm: i64) {
        *self = Self { since: now, reading_ns: self.read_ns(now), rate_ppm };
    }

    /// It jumps.
    pub fn step_ns(&mut self, now: At, step_ns: i64) {
        let reading_ns = self.read_ns(now).saturating_add_signed(step_ns);
        *self = Self { since: now, reading_ns, rate_ppm: self.rate_ppm };
    }

    /// It stands still from `since` to now: the machine did not run.
    pub fn stand_still(&mut self, since: At, now: At) {
        *self = Self { since: now, reading_ns: self.read_ns(since), rate_ppm: self.rate_ppm };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_of_a_clock_agree() {
        for rate_ppm in [-9_900, -37, 0, 1, 4_900, 20_000] {
            let mut clock = Clock::new(5_000_000_123, rate_ppm);
            clock.step_ns(At::from_ms(3), -1_000_000);
            for ns in (3_000_000..900_000_000).step_by(7_777_777) {
                let moment = clock.moment(At(ns));
                let at = clock.at(moment);
                assert!(at <= At(ns) && clock.moment(at) == moment, "{rate_ppm} {ns}");
                assert!(clock.read_ns(At(at.0 - 1)) < moment.as_nanos() || at.0 <= 3_000_000);
            }
        }
    }
}
