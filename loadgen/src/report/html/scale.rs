//! From figures to places in a picture, and the marks along its edges.

/// Drawing units across every picture, so that all have the same type size.
pub(super) const WIDTH: f64 = 880.0;
/// Room on the left for the names of what is drawn.
pub(super) const LEFT: f64 = 92.0;
/// Where the drawing ends.
pub(super) const RIGHT: f64 = WIDTH - 14.0;

/// An axis whose steps are equal differences.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    pub(super) min: f64,
    pub(super) max: f64,
    /// Where `min` and `max` are drawn.
    pub(super) from: f64,
    pub(super) to: f64,
}

/// An axis whose steps are equal ratios.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log(Linear);

impl Linear {
    pub(super) fn at(&self, value: f64) -> f64 {
        let span = if self.max > self.min { self.max - self.min } else { 1.0 };
        self.from + (value.clamp(self.min, self.max) - self.min) / span * (self.to - self.from)
    }

    /// About `count` round numbers, each a tenth, a fifth, a half or a whole of a power of ten apart.
    pub(super) fn ticks(&self, count: u32) -> Vec<f64> {
        let rough = (self.max - self.min) / f64::from(count.max(1));
        if !rough.is_finite() || rough <= 0.0 {
            return vec![self.min];
        }
        let power = 10_f64.powf(rough.log10().floor());
        let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|s| s * power >= rough).unwrap_or(10.0);
        let first = (self.min / step).ceil();
        (0..=2 * count)
            .map(|n| (first + f64::from(n)) * step)
            .take_while(|tick| *tick <= self.max * (1.0 + 1e-9))
            .collect()
    }
}

impl Log {
    /// From `min` to `max`, both above zero.
    pub(super) fn new(min: f64, max: f64, from: f64, to: f64) -> Self {
        let min = min.max(f64::MIN_POSITIVE);
        let max = max.max(min * 1.000_001);
        Self(Linear { min: min.log10(), max: max.log10(), from, to })
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        self.0.at(value.max(f64::MIN_POSITIVE).log10())
    }

    /// Logarithms of both ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.0.min, self.0.max)
    }

    /// Powers of ten; where few of them fit, their doubles and fivefolds as well.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.ends();
        let factors: &[f64] = if high - low > 3.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = (-12..=12).map(|power: i32| 10_f64.powi(power));
        let ticks = powers.flat_map(|power| factors.iter().map(move |factor| power * factor));
        ticks.filter(|tick| (low - 1e-9..=high + 1e-9).contains(&tick.log10())).collect()
    }
}

/// A place in a picture, to a tenth of a unit.
pub(super) fn px(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A length of time from nanoseconds, with the unit that suits it.
pub(super) fn time(ns: f64) -> String {
    let (number, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    // Two to three digits tell all that a picture can show.
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}

/// `0.001` as `99.9 %`, `0.0001` as `99.99 %`.
pub(super) fn percentile(beyond: f64) -> String {
    let needed = (-beyond.log10() - 2.0).max(0.0);
    let digits = (0_u8..6).find(|digits| f64::from(*digits) + 1e-6 >= needed).map_or(6, usize::from);
    format!("{:.digits$} %", (1.0 - beyond) * 100.0)
}
