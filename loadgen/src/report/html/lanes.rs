//! Faults as lanes over a time axis: one lane per target, as planned and as it happened.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::fault_line::FaultLine;
use super::scale::{LEFT, Linear, RIGHT, px};

/// How many lanes are drawn; targets beyond them share the last one.
const LANES_MAX: usize = 14;
/// How many faults are drawn in a lane; where there are more, they would be one bar to the eye.
const BARS_MAX: usize = 400;
const LANE: f64 = 13.0;

/// Lanes, sorted, each with its name and its faults.
#[derive(Debug)]
pub(super) struct Lanes<'a>(Vec<(String, Vec<&'a FaultLine>)>);

impl<'a> Lanes<'a> {
    pub(super) fn of(faults: &'a [FaultLine]) -> Self {
        let mut targets: BTreeMap<(&str, (usize, &str)), Vec<&FaultLine>> = BTreeMap::new();
        for fault in faults {
            // By length first, so that node 10 stands after node 9.
            targets.entry((&fault.fault, (fault.target.len(), &fault.target))).or_default().push(fault);
        }
        let mut lanes: Vec<(String, Vec<&FaultLine>)> =
            targets.into_iter().map(|((kind, (_, target)), faults)| (name(kind, target), faults)).collect();
        if lanes.len() > LANES_MAX {
            let rest = lanes.split_off(LANES_MAX - 1);
            let name = format!("{} more", rest.len());
            lanes.push((name, rest.into_iter().flat_map(|lane| lane.1).collect()));
        }
        Self(lanes)
    }

    pub(super) fn height(&self) -> f64 {
        self.0.len() as f64 * LANE
    }

    pub(super) fn draw(&self, x: &Linear, top: f64) -> Markup {
        html! {
            @for (lane, (name, faults)) in self.0.iter().enumerate() {
                @let y = top + lane as f64 * LANE;
                g.lane {
                    rect.track x=(px(LEFT)) y=(px(y + 1.5)) width=(px(RIGHT - LEFT)) height=(px(LANE - 3.0)) {}
                    text.y x=(px(LEFT - 8.0)) y=(px(y + LANE - 3.0)) { title { (name) } (short(name)) }
                    @for fault in faults.iter().take(BARS_MAX) {
                        @let (start_ms, end_ms) = fault.span_ms();
                        @let (from, to) = (x.at(start_ms / 1e3), x.at(end_ms / 1e3));
                        rect.fault x=(px(from)) y=(px(y + 1.5)) width=(px((to - from).max(1.0))) height=(px(LANE - 3.0)) {
                            title { (told(fault)) }
                        }
                    }
                }
            }
        }
    }
}

/// `pause-node` and `node 5` make `pause-node 5`.
fn name(kind: &str, target: &str) -> String {
    let said = kind.rsplit('-').next().unwrap_or(kind);
    let rest = target.strip_prefix(said).filter(|rest| rest.starts_with(' ')).map(str::trim_start);
    format!("{kind} {}", rest.unwrap_or(target))
}

fn told(fault: &FaultLine) -> String {
    let seconds = |ms: f64| format!("{:.3} s", ms / 1e3);
    let until = fault.actual_end_ms.map_or_else(|| "the run's end".to_owned(), seconds);
    let detail = if fault.detail.is_empty() { String::new() } else { format!(", {}", fault.detail) };
    format!(
        "{}{detail}: from {} to {until} (planned {} to {})",
        name(&fault.fault, &fault.target),
        seconds(fault.actual_start_ms),
        seconds(fault.planned_start_ms),
        seconds(fault.planned_end_ms),
    )
}

/// What fits to the left of a lane. The kind is the same for many lanes in a row, so its beginning goes first.
fn short(name: &str) -> String {
    const FITS: usize = 15;
    let characters = name.chars().count();
    if characters <= FITS {
        return name.to_owned();
    }
    format!("…{}", name.chars().skip(characters - FITS + 1).collect::<String>())
}
