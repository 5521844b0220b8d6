//! Percentile curves: latency against the logarithm of 1/(1-q), so that each step to the right is a tail ten times as
//! rare.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::scale::{LEFT, Log, RIGHT, WIDTH, percentile, px, time};

const TOP: f64 = 14.0;
const BOTTOM: f64 = 348.0;
const HEIGHT: f64 = 396.0;
/// Points to each tenfold of 1/(1-q).
const POINTS_PER_DECADE: u32 = 40;
/// Decades of 1/(1-q) at most: a curve to one in a hundred million.
const DECADES_MAX: u32 = 8;
/// Beyond this many samples from its end a curve is made of single events.
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// One curve.
#[derive(Debug)]
pub(super) struct Curve<'a> {
    pub(super) name: String,
    /// Which of the page's colours and dashes: 1 to 8.
    pub(super) style: usize,
    /// The one that matters most, or the sum of thinner ones.
    pub(super) heavy: bool,
    /// One of several of the same kind: thin, and without an entry in the legend.
    pub(super) faint: bool,
    pub(super) histogram: &'a Histogram<u64>,
}

/// Curves over each other, with a legend; nothing where there are no samples.
pub(super) fn curves(id: &str, title: &str, curves: &[Curve<'_>]) -> Markup {
    let curves: Vec<_> = curves.iter().filter(|curve| !curve.histogram.is_empty()).collect();
    let (Some(min), Some(max), Some(count)) = (
        curves.iter().map(|curve| curve.histogram.min_nz().max(1)).min(),
        curves.iter().map(|curve| curve.histogram.max()).max(),
        curves.iter().map(|curve| curve.histogram.len()).max(),
    ) else {
        return html! { p.empty { "No samples." } };
    };
    let x = Log::new(1.0, (count as f64).clamp(100.0, 10_f64.powi(8)), LEFT, RIGHT);
    let y = Log::new(floor(min as f64), ceiling(max as f64), BOTTOM, TOP);
    html! {
        div.legend aria-hidden="true" {
            @for curve in curves.iter().filter(|curve| !curve.faint) {
                span.key { (swatch(curve)) (curve.name) }
            }
            span.key { svg.swatch viewBox="0 0 28 10" { line.tail x1="1" y1="5" x2="27" y2="5" {} } "fewer than ten samples beyond" }
        }
        div.scroll {
            svg.chart.curves viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(format!("{id}-t {id}-d"))
                data-x=(format!("{LEFT} {RIGHT} {}", x.ends().1)) data-y=(format!("{BOTTOM} {TOP} {} {}", y.ends().0, y.ends().1)) {
                title id=(format!("{id}-t")) { (title) }
                desc id=(format!("{id}-d")) { (description(&curves)) }
                (grid(&x, &y))
                @for curve in &curves { (draw(curve, &x, &y)) }
                g.cross hidden { line y1=(px(TOP)) y2=(px(BOTTOM)) {} }
            }
        }
        p.readout aria-hidden="true" { "Point at the curves to read them." }
    }
}

fn grid(x: &Log, y: &Log) -> Markup {
    let (_, x_end) = x.ends();
    let decades = (0..=DECADES_MAX).take_while(|power| f64::from(*power) <= x_end + 1e-9);
    html! {
        g.grid {
            @for tick in y.ticks() {
                line x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y.at(tick))) y2=(px(y.at(tick))) {}
                text.y x=(px(LEFT - 8.0)) y=(px(y.at(tick) + 4.0)) { (time(tick)) }
            }
            @for beyond in decades.map(|power| 10_f64.powi(-i32::try_from(power).unwrap_or(0))) {
                @let place = px(x.at(1.0 / beyond));
                line x1=(place) x2=(place) y1=(px(TOP)) y2=(px(BOTTOM)) {}
                text.x x=(place) y=(px(BOTTOM + 18.0)) { (percentile(beyond)) }
            }
            @let half = px(x.at(2.0));
            line.minor x1=(half) x2=(half) y1=(px(TOP)) y2=(px(BOTTOM)) {}
            text.x x=(half) y=(px(BOTTOM + 18.0)) { "50 %" }
        }
        text.axis x=(px(f64::midpoint(LEFT, RIGHT))) y=(px(HEIGHT - 10.0)) { "percentile, by the logarithm of 1/(1−q)" }
        text.axis transform=(format!("translate(14 {}) rotate(-90)", px(f64::midpoint(TOP, BOTTOM)))) { "time taken" }
    }
}

fn draw(curve: &Curve<'_>, x: &Log, y: &Log) -> Markup {
    let count = curve.histogram.len() as f64;
    let trusted = (count / SAMPLES_BEYOND_MIN).max(1.0);
    let points = points(curve.histogram);
    let path = |points: &mut dyn Iterator<Item = &(f64, f64)>| {
        points
            .map(|&(rarity, ns)| format!("{},{}", px(x.at(rarity)), px(y.at(ns))))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let solid = path(&mut points.iter().filter(|point| point.0 <= trusted));
    let first_beyond = points.iter().position(|point| point.0 > trusted);
    let tail = first_beyond.map(|first| path(&mut points[first.saturating_sub(1)..].iter()));
    let weight = if curve.heavy {
        " heavy"
    } else if curve.faint {
        " faint"
    } else {
        ""
    };
    html! {
        g class=(format!("curve s{}{weight}", curve.style)) data-name=[(!curve.faint).then_some(&curve.name)] {
            polyline points=(solid) {}
            @if let Some(tail) = tail { polyline.tail points=(tail) {} }
        }
    }
}

/// Places along a curve: 1/(1-q), and the value there. Where neighbours are alike, the ones between are left out.
fn points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let last = histogram.len() as f64;
    let steps = (0..=POINTS_PER_DECADE * DECADES_MAX)
        .map(|step| 10_f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE)))
        .take_while(|rarity| *rarity < last)
        .chain([last]);
    let mut points: Vec<(f64, f64)> = Vec::new();
    for rarity in steps {
        let value = histogram.value_at_quantile(1.0 - 1.0 / rarity).max(1) as f64;
        if let [.., before, last] = &mut points[..] {
            let level = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
            if level(before.1, last.1) && level(last.1, value) {
                last.0 = rarity;
                continue;
            }
        }
        points.push((rarity, value));
    }
    points
}

fn swatch(curve: &Curve<'_>) -> Markup {
    let weight = if curve.heavy { " heavy" } else { "" };
    html! {
        svg.swatch viewBox="0 0 28 10" {
            g class=(format!("curve s{}{weight}", curve.style)) { polyline points="1,5 27,5" {} }
        }
    }
}

fn description(curves: &[&Curve<'_>]) -> String {
    let parts: Vec<_> = curves
        .iter()
        .filter(|curve| !curve.faint)
        .map(|curve| {
            let at = |quantile| time(curve.histogram.value_at_quantile(quantile) as f64);
            format!("{}: half within {}, 99 % within {}", curve.name, at(0.5), at(0.99))
        })
        .collect();
    parts.join("; ")
}

/// The next 1, 2 or 5 times a power of ten below.
pub(super) fn floor(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let factor = [5.0, 2.0, 1.0].into_iter().find(|factor| factor * power <= value * (1.0 + 1e-9));
    power * factor.unwrap_or(1.0)
}

/// The next 1, 2 or 5 times a power of ten above.
pub(super) fn ceiling(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= value * (1.0 - 1e-9));
    power * factor.unwrap_or(10.0)
}
