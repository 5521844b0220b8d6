//! Puts together the files of a results folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use tempfile::TempPath;
use thiserror::Error;

use super::evidence::{Evidence, FAULTS_FILE, HLOG_FILE, VIOLATIONS_FILE};
use super::fault_line::FaultLine;
use super::folder::{FolderError, folder_name, write_folder};
use super::hgrm::write_hgrm;
use super::hlog::{HlogError, write_hlog};
use super::html::{HtmlError, REPORT_FILE, run_html};
use super::read::RUN_FILE;
use super::run_json::Run;
use crate::measure::Timeline;
use crate::referee::Violations;

/// Why a run was not saved.
#[derive(Debug, Error)]
pub(crate) enum SaveError {
    /// The folder or a file of it cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The interval log cannot be made.
    #[error(transparent)]
    Hlog(#[from] HlogError),
    /// A percentile distribution cannot be made.
    #[error("a percentile distribution cannot be made: {0}")]
    Hgrm(#[from] io::Error),
    /// The page cannot be made.
    #[error(transparent)]
    Html(#[from] HtmlError),
    /// A value cannot be written as JSON.
    #[error("the results cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What a run's folder holds beside what every run's does.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// What the folder's name ends with.
    pub(crate) suffix: String,
    /// Files by name.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Files that are moved there, too large to be kept in memory.
    pub(crate) moved: Vec<(String, TempPath)>,
}

/// Saves a run and tells in which folder. `started` is when its measured part began; each of the `faults` becomes a
/// line.
pub(crate) fn save(
    results: &Path,
    started: SystemTime,
    run: &Run,
    timeline: &Timeline,
    violations: &Violations,
    faults: &[FaultLine],
    beside: Beside,
) -> Result<PathBuf, SaveError> {
    let html = run_html(&Evidence { run, timeline, faults, violations })?;
    let mut files = vec![
        (RUN_FILE.to_owned(), json(run)?),
        (VIOLATIONS_FILE.to_owned(), json(violations)?),
        (FAULTS_FILE.to_owned(), json_lines(faults)?),
        (REPORT_FILE.to_owned(), html.into_bytes()),
    ];
    let mut hlog = Vec::new();
    write_hlog(timeline, started, &mut hlog)?;
    files.push((HLOG_FILE.to_owned(), hlog));
    for (phase, histogram) in timeline.totals().iter() {
        let mut hgrm = Vec::new();
        write_hgrm(histogram, &mut hgrm)?;
        files.push((format!("{}.hgrm", phase.name()), hgrm));
    }
    files.extend(beside.files);
    let name = folder_name(started, &run.scenario, &run.lock, run.seed) + &beside.suffix;
    Ok(write_folder(results, &name, &files, beside.moved)?)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn json_lines(values: &[impl Serialize]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    for value in values {
        serde_json::to_writer(&mut bytes, value)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
