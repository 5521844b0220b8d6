//! Figures as people read them, and the tables they stand in.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// What stands where there is nothing to say.
pub(crate) const NOTHING: &str = "-";

/// An empty table in Markdown's form, which a terminal shows as well as a README; numbers stand to the right.
pub(crate) fn table<'h>(header: impl IntoIterator<Item = &'h str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.into_iter().collect::<Vec<_>>());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A row of as many cells.
pub(crate) fn row(cells: impl IntoIterator<Item = String>) -> Vec<Cell> {
    cells.into_iter().map(Cell::new).collect()
}

/// `1234567` as `1,234,567`.
pub(crate) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A rate per second.
pub(crate) fn per_second(rate: f64) -> String {
    format!("{rate:.1}/s")
}

/// Microseconds as milliseconds, with as many decimals as are worth reading.
pub(crate) fn ms(us: Option<f64>) -> String {
    us.map_or_else(|| NOTHING.to_owned(), |us| decimal(us / 1_000.0))
}

/// Milliseconds as a length of time for a sentence.
pub(crate) fn length(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

/// A share as a percentage; the smaller, the more decimals.
pub(crate) fn percent(share: Option<f64>) -> String {
    let Some(share) = share else { return NOTHING.to_owned() };
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.01 => format!("{percent:.1e} %"),
        percent if percent < 1.0 => format!("{percent:.3} %"),
        percent => format!("{percent:.2} %"),
    }
}

/// By how much `b` differs from `a`.
pub(crate) fn difference(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a > 0.0 => format!("{:+.1} %", (b / a - 1.0) * 100.0),
        _ => NOTHING.to_owned(),
    }
}

/// Three decimals below 10, two below 100, else one.
pub(crate) fn decimal(number: f64) -> String {
    match number.abs() {
        size if size < 10.0 => format!("{number:.3}"),
        size if size < 100.0 => format!("{number:.2}"),
        _ => format!("{number:.1}"),
    }
}
