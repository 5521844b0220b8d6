//! Tables of whatever was measured, five repeats or more of it.

use std::fmt;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use crate::machine::Machine;
use crate::report::Spread;

/// What was measured, row by row.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Version of this document.
    pub schema: u32,
    /// Start, UTC.
    pub started: String,
    /// Where.
    pub machine: Machine,
    /// What was done, in a sentence.
    pub what: String,
    /// Names of the columns, each with its unit last.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Row>,
    /// What else a reader must know, a sentence each.
    pub notes: Vec<String>,
}

/// One row: a contender under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Whose.
    pub label: String,
    /// One per column: the repeats, in order.
    pub values: Vec<Vec<f64>>,
}

impl Row {
    /// A row without repeats yet.
    #[must_use]
    pub fn new(label: impl Into<String>, columns: usize) -> Self {
        Self { label: label.into(), values: vec![Vec::new(); columns] }
    }

    /// Adds a repeat: one value per column.
    pub fn add(&mut self, values: &[f64]) {
        self.values.iter_mut().zip(values).for_each(|(column, &value)| column.push(value));
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        let headings = std::iter::once("").chain(self.columns.iter().copied()).map(Cell::new);
        table.load_style(presets::ASCII_MARKDOWN).set_header(headings.collect::<Vec<_>>());
        for Row { label, values } in &self.rows {
            let cells =
                values.iter().map(|values| Spread::of(values.iter().copied()).map_or_else(String::new, text));
            table.add_row(std::iter::once(label.clone()).chain(cells));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let repeats = self.rows.iter().flat_map(|row| row.values.iter().map(Vec::len)).max().unwrap_or(0);
        writeln!(f, "{}: {}", self.started, self.machine)?;
        writeln!(f, "{}; {repeats} repeats, contenders taking turns; median (min - max)\n", self.what)?;
        writeln!(f, "{table}")?;
        self.notes.iter().try_for_each(|note| writeln!(f, "\n{note}"))
    }
}

/// With as many decimals as mean anything.
fn text(Spread { min, median, max }: Spread) -> String {
    let decimals = match median.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 3,
    };
    format!("{median:.decimals$} ({min:.decimals$} - {max:.decimals$})")
}
