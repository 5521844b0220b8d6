//! Runs as pages: one self-contained file each, for a browser without a network, for paper, for a telephone.
//!
//! # Layout
//!
//! - `run_page`, `comparison_page`: what stands on a page. `page`: its frame. `words`, `headline`: verdicts in sentences.
//! - `curves`, `timeline` with its `lanes`, `lifelines` with their `incidents`: pictures. `scale`: where things are
//!   drawn.
//! - `tables`, `figures`: figures, each bearing its name in `run.json`.

mod comparison_page;
mod curves;
mod figures;
pub(super) mod headline;
mod incidents;
mod lanes;
mod lifelines;
mod page;
mod run_page;
mod scale;
mod tables;
mod timeline;
mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::comparison::Group;
use super::evidence::{Evidence, EvidenceError, Record};

/// The page in a run's folder.
pub(crate) const REPORT_FILE: &str = "report.html";

/// Why there is no page.
#[derive(Debug, Error)]
pub(crate) enum HtmlError {
    /// What it would show cannot be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// Its figures cannot be looked up.
    #[error("the figures cannot be taken from the run: {0}")]
    Figures(#[from] serde_json::Error),
    /// It cannot be written.
    #[error("cannot write {}: {cause}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// The page of one run.
pub(crate) fn run_html(evidence: &Evidence<'_>) -> Result<String, HtmlError> {
    Ok(run_page::run_page(evidence)?.into_string())
}

/// Writes the page of the run in this folder, and tells where.
pub(crate) fn write_report(run: &Path) -> Result<PathBuf, HtmlError> {
    let record = Record::read(run)?;
    let folder = if run.is_dir() { run } else { run.parent().unwrap_or(run) };
    let file = folder.join(REPORT_FILE);
    write(&file, &run_html(&record.evidence())?)?;
    Ok(file)
}

/// Writes a page on which the runs in these folders are set against each other by their locks, the first lock against the
/// others. Runs that may not be used are drawn and marked, and left out of every sentence.
pub(crate) fn write_comparison(folders: &[PathBuf], file: &Path) -> Result<(), HtmlError> {
    let records = read(folders)?;
    let groups = Group::by_lock(records.iter().map(|record| &record.run));
    write(file, &comparison_page::comparison_page(&records, &groups).into_string())
}

/// The same with groups of one's own; `folders` are those of their runs, in any order.
pub(crate) fn write_groups(folders: &[PathBuf], groups: &[Group<'_>], file: &Path) -> Result<(), HtmlError> {
    let records = read(folders)?;
    write(file, &comparison_page::comparison_page(&records, groups).into_string())
}

fn read(folders: &[PathBuf]) -> Result<Vec<Record>, HtmlError> {
    folders.iter().map(|folder| Ok(Record::read(folder)?)).collect()
}

fn write(file: &Path, html: &str) -> Result<(), HtmlError> {
    fs::write(file, html).map_err(|cause| HtmlError::Io { file: file.to_owned(), cause })
}
