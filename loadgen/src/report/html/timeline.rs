//! A run over time: faults, violations, the latencies of acquisitions as a heatmap, and the load, all on one axis.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::super::evidence::{Evidence, EvidenceError};
use super::curves::{ceiling, floor};
use super::lanes::Lanes;
use super::scale::{LEFT, Linear, Log, RIGHT, WIDTH, px, time};
use crate::measure::{CodecError, Phase, new_histogram};
use crate::referee::ViolationKind;

/// Cells across and down at most: more would be finer than the eye and larger than a file should be.
const COLUMNS_MAX: u32 = 120;
const ROWS: u32 = 34;
/// Shades of a heatmap, from few to many.
const SHADES: u32 = 9;
const HEAT: f64 = 250.0;
const LOAD: f64 = 64.0;
const GAP: f64 = 14.0;

/// One stretch of time in the picture.
struct Column {
    acquire: Histogram<u64>,
    sent: u64,
}

/// Everything that stands on the axis.
struct Columns {
    /// How many seconds one column takes together.
    width_s: u32,
    columns: Vec<Column>,
}

impl Columns {
    fn of(evidence: &Evidence<'_>) -> Result<Self, CodecError> {
        let planned_s =
            u32::try_from(evidence.run.parameters.duration_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
        let seen_s = evidence.timeline.last_second().map_or(0, |second| second.saturating_add(1));
        // An acquisition of the last second may have come to its grant long after it.
        let length_s = planned_s.max(seen_s).max(1);
        let width_s = length_s.div_ceil(COLUMNS_MAX).max(1);
        let count = length_s.div_ceil(width_s);
        let mut columns: Vec<Column> =
            (0..count).map(|_| Column { acquire: new_histogram(), sent: 0 }).collect();
        for (second, phase, histogram) in evidence.timeline.seconds() {
            let Some(column) = usize::try_from(second / width_s).ok().and_then(|at| columns.get_mut(at))
            else {
                continue;
            };
            match phase {
                Phase::Acquire => column.acquire.add(histogram?)?,
                Phase::DueToSent => column.sent += histogram?.len(),
                _ => {}
            }
        }
        Ok(Self { width_s, columns })
    }

    fn end_s(&self) -> f64 {
        self.columns.len() as f64 * f64::from(self.width_s)
    }

    /// The columns with the time at which each begins.
    fn iter(&self) -> impl Iterator<Item = (f64, &Column)> {
        let width_s = f64::from(self.width_s);
        self.columns.iter().enumerate().map(move |(at, column)| (at as f64 * width_s, column))
    }
}

/// The picture, and a line that says how to read it.
pub(super) fn timeline(evidence: &Evidence<'_>) -> Result<Markup, EvidenceError> {
    let columns = Columns::of(evidence).map_err(|cause| EvidenceError::Histogram {
        file: super::super::evidence::HLOG_FILE.into(),
        cause,
    })?;
    let lanes = Lanes::of(evidence.faults);
    let marks = Marks::of(evidence);
    let x = Linear { min: 0.0, max: columns.end_s(), from: LEFT, to: RIGHT };
    let lanes_top = 6.0;
    let marks_top = lanes_top + lanes.height() + 2.0;
    let heat_top = marks_top + marks.height() + 8.0;
    let load_top = heat_top + HEAT + GAP;
    let bottom = load_top + LOAD;
    let height = bottom + 44.0;
    Ok(html! {
        div.legend aria-hidden="true" {
            span.key { svg.swatch viewBox="0 0 28 10" { rect.fault x="1" y="1" width="26" height="8" {} } "fault active" }
            @if marks.height() > 0.0 {
                span.key { svg.swatch viewBox="0 0 28 10" { rect.mark.bad x="9" y="0" width="2.5" height="10" {} rect.mark.hazard x="17" y="0" width="2.5" height="10" {} } "breach, and hazard" }
            }
            span.key { (ramp()) "acquisitions in a cell, few to many" }
            span.key { svg.swatch viewBox="0 0 28 10" { polyline.p50 points="1,5 27,5" {} } "p50" }
            span.key { svg.swatch viewBox="0 0 28 10" { polyline.p99 points="1,5 27,5" {} } "p99" }
            span.key { svg.swatch viewBox="0 0 28 10" { polyline.sent points="1,5 27,5" {} } "sent per second" }
            span.key { svg.swatch viewBox="0 0 28 10" { polyline.granted points="1,5 27,5" {} } "granted per second" }
        }
        div.scroll {
            svg.chart viewBox=(format!("0 0 {WIDTH} {}", px(height))) role="img" aria-labelledby="time-t time-d" {
                title id="time-t" { "Acquisitions over time, under the faults that were active" }
                desc id="time-d" { (description(evidence, &columns)) }
                (seconds(&x, lanes_top, bottom))
                (lanes.draw(&x, lanes_top))
                (marks.draw(&x, marks_top))
                (heat(&columns, &x, heat_top))
                (load(&columns, &x, load_top))
                text.axis x=(px(f64::midpoint(LEFT, RIGHT))) y=(px(height - 8.0)) { "seconds from the start of the measured part" }
            }
        }
        p.note {
            "Each column is " (columns.width_s) " s: the acquisitions granted in it, by how long they took from the time they were due. "
            "Below: acquisitions sent and granted per second."
        }
    })
}

fn description(evidence: &Evidence<'_>, columns: &Columns) -> String {
    let total = evidence.timeline.total(Phase::Acquire);
    let at = |quantile| time(total.value_at_quantile(quantile) as f64);
    format!(
        "{} acquisitions in {} s, half of them within {}, 99 % within {}; {} faults.",
        total.len(),
        columns.end_s(),
        at(0.5),
        at(0.99),
        evidence.faults.len(),
    )
}

fn seconds(x: &Linear, top: f64, bottom: f64) -> Markup {
    html! {
        g.grid {
            @for tick in x.ticks(10) {
                line x1=(px(x.at(tick))) x2=(px(x.at(tick))) y1=(px(top)) y2=(px(bottom + 4.0)) {}
                text.x x=(px(x.at(tick))) y=(px(bottom + 18.0)) { (tick) }
            }
        }
    }
}

fn heat(columns: &Columns, x: &Linear, top: f64) -> Markup {
    let all =
        || columns.columns.iter().map(|column| &column.acquire).filter(|histogram| !histogram.is_empty());
    let (Some(min), Some(max)) =
        (all().map(|histogram| histogram.min_nz().max(1)).min(), all().map(Histogram::max).max())
    else {
        return html! { text.axis x=(px(f64::midpoint(LEFT, RIGHT))) y=(px(top + HEAT / 2.0)) { "no acquisition was granted" } };
    };
    let y = Log::new(floor(min as f64), ceiling(max as f64), top + HEAT, top);
    let rows: Vec<_> =
        columns.iter().map(|(start_s, column)| (start_s, cells(&column.acquire, &y))).collect();
    let most = rows.iter().flat_map(|(_, cells)| cells.values()).copied().max().unwrap_or(1);
    let width_s = f64::from(columns.width_s);
    html! {
        rect.frame x=(px(LEFT)) y=(px(top)) width=(px(RIGHT - LEFT)) height=(px(HEAT)) {}
        g.heat {
            @for (start_s, cells) in &rows {
                @let (from, to) = (x.at(*start_s), x.at(start_s + width_s));
                @for (&row, &count) in cells {
                    @let (lower, upper) = (row_edge(&y, row), row_edge(&y, row + 1));
                    rect class=(format!("h{}", shade(count, most))) x=(px(from)) y=(px(y.at(upper)))
                        width=(px(to - from + 0.1)) height=(px(y.at(lower) - y.at(upper) + 0.1)) {
                        title { (start_s) " s, " (time(lower)) " to " (time(upper)) ": " (count) }
                    }
                }
            }
        }
        g.grid {
            @for tick in y.ticks() {
                line x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y.at(tick))) y2=(px(y.at(tick))) {}
                text.y x=(px(LEFT - 8.0)) y=(px(y.at(tick) + 4.0)) { (time(tick)) }
            }
        }
        polyline.p50 points=(quantile_line(columns, 0.5, x, &y)) {}
        polyline.p99 points=(quantile_line(columns, 0.99, x, &y)) {}
    }
}

/// Where row `row` of the heatmap begins, in nanoseconds.
fn row_edge(y: &Log, row: u32) -> f64 {
    let (low, high) = y.ends();
    10_f64.powf(low + (high - low) * f64::from(row) / f64::from(ROWS))
}

/// How many samples each row has; rows without any are left out.
fn cells(histogram: &Histogram<u64>, y: &Log) -> BTreeMap<u32, u64> {
    let mut cells = BTreeMap::new();
    let mut row = 0;
    for step in histogram.iter_recorded() {
        let value = step.value_iterated_to() as f64;
        while row + 1 < ROWS && value >= row_edge(y, row + 1) {
            row += 1;
        }
        *cells.entry(row).or_default() += step.count_at_value();
    }
    cells
}

/// By the logarithm: a cell of one sample is to be seen beside one of thousands.
fn shade(count: u64, most: u64) -> u32 {
    let share = (1.0 + count as f64).ln() / (1.0 + most as f64).ln();
    (1..=SHADES).find(|shade| share * f64::from(SHADES) <= f64::from(*shade) + 1e-9).unwrap_or(SHADES)
}

fn quantile_line(columns: &Columns, quantile: f64, x: &Linear, y: &Log) -> String {
    let half_s = f64::from(columns.width_s) / 2.0;
    let points = columns.iter().filter(|(_, column)| !column.acquire.is_empty()).map(|(start_s, column)| {
        let value = column.acquire.value_at_quantile(quantile) as f64;
        format!("{},{}", px(x.at(start_s + half_s)), px(y.at(value)))
    });
    points.collect::<Vec<_>>().join(" ")
}

fn load(columns: &Columns, x: &Linear, top: f64) -> Markup {
    let width_s = f64::from(columns.width_s);
    let rate = |count: u64| count as f64 / width_s;
    let most = columns.columns.iter().map(|column| column.sent.max(column.acquire.len())).max().unwrap_or(0);
    let y = Linear { min: 0.0, max: (rate(most) * 1.05).max(1.0), from: top + LOAD, to: top };
    let line = |count: fn(&Column) -> u64| {
        let steps = columns.iter().flat_map(|(start_s, column)| {
            let level = px(y.at(rate(count(column))));
            [start_s, start_s + width_s].map(|at| format!("{},{level}", px(x.at(at))))
        });
        steps.collect::<Vec<_>>().join(" ")
    };
    html! {
        g.grid {
            @for tick in y.ticks(3) {
                line x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y.at(tick))) y2=(px(y.at(tick))) {}
                text.y x=(px(LEFT - 8.0)) y=(px(y.at(tick) + 4.0)) { (tick) "/s" }
            }
        }
        polyline.sent points=(line(|column| column.sent)) {}
        polyline.granted points=(line(|column| column.acquire.len())) {}
    }
}

fn ramp() -> Markup {
    html! {
        svg.swatch viewBox="0 0 54 10" {
            @for shade in 1..=SHADES {
                rect class=(format!("h{shade}")) x=((shade - 1) * 6) y="0" width="6" height="10" {}
            }
        }
    }
}

/// Kept violations on the axis.
struct Marks {
    /// Seconds from the start of the measured part, and whether a promise of exclusion was broken.
    at: Vec<(f64, bool)>,
}

impl Marks {
    /// None where the run does not tell how the referee's clock relates to its start.
    fn of(evidence: &Evidence<'_>) -> Self {
        let violations = evidence.violations;
        let Some(start_ns) = violations.started_ns else { return Self { at: Vec::new() } };
        let hazard = |kind| matches!(kind, ViolationKind::ActingOverlap | ViolationKind::StaleWrite);
        let marks = violations
            .violations
            .iter()
            .map(|violation| ((violation.at_ns as f64 - start_ns as f64) / 1e9, !hazard(violation.kind)));
        Self { at: marks.collect() }
    }

    fn height(&self) -> f64 {
        if self.at.is_empty() { 0.0 } else { 14.0 }
    }

    fn draw(&self, x: &Linear, top: f64) -> Markup {
        html! {
            @if !self.at.is_empty() {
                text.y x=(px(LEFT - 8.0)) y=(px(top + 10.0)) { "violations" }
                @for &(at_s, broken) in &self.at {
                    rect class=(if broken { "mark bad" } else { "mark hazard" }) x=(px(x.at(at_s) - 0.75)) y=(px(top + 1.0)) width="1.5" height="12" {}
                }
            }
        }
    }
}
