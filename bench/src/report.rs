//! Samples as a table for people and as JSON for everything else.

use std::fmt;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use crate::machine::Machine;
use crate::peer::PeerNote;
use crate::sample::Sample;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this document.
    pub schema: u32,
    /// Start, UTC.
    pub started: String,
    /// Where.
    pub machine: Machine,
    /// Worker threads of the one runtime that all contenders ran on.
    pub threads: usize,
    /// How long each sample lasted.
    pub sample_s: f64,
    /// Peers of other languages that took part.
    pub peers: Vec<PeerNote>,
    /// One per number of tasks.
    pub scenarios: Vec<Scenario>,
}

/// One load, all contenders.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Tasks, each on a name of its own.
    pub tasks: u32,
    /// In the order in which they took turns.
    pub contenders: Vec<Series>,
}

/// One contender's samples, in the order of the repeats.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// The contender.
    pub label: String,
    /// One per repeat.
    pub samples: Vec<Sample>,
}

/// The middle one, and how far the others lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// Half are smaller.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// `None` of no values.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { min, median: low.midpoint(high), max })
    }
}

impl Series {
    /// One number of each sample.
    #[must_use]
    pub fn spread(&self, of: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().map(of))
    }

    /// One number of each sample, divided by the other's of the same repeat: what disturbed the machine then disturbed
    /// both.
    #[must_use]
    pub fn ratio(&self, other: &Self, of: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().zip(&other.samples).map(|(own, other)| of(own) / of(other)))
    }
}

/// A column: its heading, the number it takes of a sample, and how many decimals mean anything.
type Column = (&'static str, fn(&Sample) -> f64, usize);

const NUMBERS: [Column; 6] = [
    ("cycles/s", |sample| sample.cycles_per_s, 0),
    ("acquire p50 us", |sample| sample.acquire_us.p50, 0),
    ("p90 us", |sample| sample.acquire_us.p90, 0),
    ("p99 us", |sample| sample.acquire_us.p99, 0),
    ("client cpu us/cycle", |sample| sample.client_cpu_us_per_cycle, 1),
    ("servers cpu us/cycle", |sample| sample.server_cpu_us_per_cycle, 1),
];

const RATIOS: [Column; 3] = [
    ("cycles/s", |sample| sample.cycles_per_s, 2),
    ("acquire p50", |sample| sample.acquire_us.p50, 2),
    ("acquire p99", |sample| sample.acquire_us.p99, 2),
];

impl Report {
    fn numbers(&self) -> Table {
        let mut table = table(["tasks", "lock"], NUMBERS);
        for Scenario { tasks, contenders } in &self.scenarios {
            for series in contenders {
                let numbers = NUMBERS.map(|(_, of, decimals)| text(series.spread(of), decimals));
                table.add_row([tasks.to_string(), series.label.clone()].into_iter().chain(numbers));
            }
        }
        align(table)
    }

    fn ratios(&self) -> Table {
        let mut table = table(["tasks", "ratio"], RATIOS);
        for Scenario { tasks, contenders } in &self.scenarios {
            let Some((own, others)) = contenders.split_first() else {
                continue;
            };
            for other in others {
                let ratios = RATIOS.map(|(_, of, decimals)| text(own.ratio(other, of), decimals));
                let label = format!("{} / {}", own.label, other.label);
                table.add_row([tasks.to_string(), label].into_iter().chain(ratios));
            }
        }
        align(table)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repeats = self.scenarios.iter().flat_map(|scenario| &scenario.contenders);
        let repeats = repeats.map(|series| series.samples.len()).max().unwrap_or(0);
        let Self { started, machine, threads, sample_s, .. } = self;
        writeln!(f, "{started}: {machine}; three servers and one client of {threads} threads on it")?;
        writeln!(
            f,
            "acquire+release of free locks, {repeats} samples of {sample_s} s each, contenders taking turns; median (min - max)\n"
        )?;
        writeln!(f, "{}\n", self.numbers())?;
        writeln!(f, "ratios, repeat by repeat; median (min - max)\n")?;
        writeln!(f, "{}", self.ratios())?;
        for PeerNote { label, ping_us } in &self.peers {
            writeln!(
                f,
                "\n{label}: a process of its own, one thread; a bare PING takes {ping_us:.0} us in its language"
            )?;
        }
        Ok(())
    }
}

fn table<const COUNT: usize>(head: [&str; 2], columns: [Column; COUNT]) -> Table {
    let mut table = Table::new();
    let headings = head.into_iter().chain(columns.iter().map(|(heading, ..)| *heading));
    table.load_style(presets::ASCII_MARKDOWN).set_header(headings.map(Cell::new).collect::<Vec<_>>());
    table
}

fn align(mut table: Table) -> Table {
    for column in table.column_iter_mut().filter(|column| column.index != 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn text(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(String::new, |Spread { min, median, max }| {
        format!("{median:.decimals$} ({min:.decimals$} - {max:.decimals$})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_the_two_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0]), Some(Spread { min: 3.0, median: 3.0, max: 3.0 }));
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 9.0 }));
        assert_eq!(spread(&[4.0, 1.0, 9.0, 2.0]), Some(Spread { min: 1.0, median: 3.0, max: 9.0 }));
    }
}
