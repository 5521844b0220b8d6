//! All that a run left in its folder, read back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use thiserror::Error;

use super::fault_line::FaultLine;
use super::read::{ReadError, read_run};
use super::run_json::Run;
use crate::measure::{CodecError, EncodedInterval, Phase, Timeline};
use crate::referee::Violations;

/// The interval log of a run's folder.
pub(crate) const HLOG_FILE: &str = "intervals.hlog";
/// The faults of a run's folder.
pub(crate) const FAULTS_FILE: &str = "faults.jsonl";
/// The violations of a run's folder.
pub(crate) const VIOLATIONS_FILE: &str = "violations.json";

/// A run with its histograms by the second, its faults and its violations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) run: &'a Run,
    pub(crate) timeline: &'a Timeline,
    pub(crate) faults: &'a [FaultLine],
    pub(crate) violations: &'a Violations,
}

/// The same, as read from a folder.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) run: Run,
    pub(crate) timeline: Timeline,
    pub(crate) faults: Vec<FaultLine>,
    pub(crate) violations: Violations,
}

/// Why a run's evidence cannot be read.
#[derive(Debug, Error)]
pub(crate) enum EvidenceError {
    /// The run itself.
    #[error(transparent)]
    Run(#[from] ReadError),
    /// A file beside it cannot be read.
    #[error("cannot read {}: {cause}; a run's folder is of use only whole", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file beside it is not what its name says.
    #[error("{} is damaged: {cause}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        cause: serde_json::Error,
    },
    /// The interval log is not one.
    #[error("{} is damaged at byte {offset}", file.display())]
    Hlog {
        /// The file.
        file: PathBuf,
        /// Where reading ended.
        offset: usize,
    },
    /// A histogram in the interval log is not one.
    #[error("{} is damaged: {cause}", file.display())]
    Histogram {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: CodecError,
    },
}

impl Record {
    /// Reads a run's folder, named by itself or by its `run.json`.
    pub(crate) fn read(path: &Path) -> Result<Self, EvidenceError> {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        Ok(Self {
            run: read_run(path)?,
            timeline: read_timeline(folder)?,
            faults: read_faults(folder)?,
            violations: read_violations(folder)?,
        })
    }

    pub(crate) fn evidence(&self) -> Evidence<'_> {
        let Self { run, timeline, faults, violations } = self;
        Evidence { run, timeline, faults, violations }
    }
}

fn read_timeline(folder: &Path) -> Result<Timeline, EvidenceError> {
    let file = folder.join(HLOG_FILE);
    timeline_in(&read(&file)?, file)
}

/// The text of an interval log; `file` is what messages call it.
pub(crate) fn timeline_in(text: &str, file: PathBuf) -> Result<Timeline, EvidenceError> {
    let mut timeline = Timeline::default();
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let hdrhistogram::serialization::interval_log::LogIteratorError::ParseError { offset } =
                    error;
                return Err(EvidenceError::Hlog { file, offset });
            }
        };
        let LogEntry::Interval(interval) = entry else { continue };
        let phase = interval.tag().map_or(Some(Phase::Acquire), |tag| Phase::named(tag.as_str()));
        // A phase that this version does not know is none of its charts.
        let Some(phase) = phase else { continue };
        let second = u32::try_from(interval.start_timestamp().as_secs()).unwrap_or(u32::MAX);
        let phases = vec![(phase, interval.encoded_histogram().to_owned())];
        let merged = timeline.merge(EncodedInterval { second, phases });
        merged.map_err(|cause| EvidenceError::Histogram { file: file.clone(), cause })?;
    }
    Ok(timeline)
}

fn read_faults(folder: &Path) -> Result<Vec<FaultLine>, EvidenceError> {
    let file = folder.join(FAULTS_FILE);
    faults_in(&read(&file)?, file)
}

/// The text of a list of faults; `file` is what messages call it.
pub(crate) fn faults_in(text: &str, file: PathBuf) -> Result<Vec<FaultLine>, EvidenceError> {
    let lines: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    lines.map_err(|cause| EvidenceError::Json { file, cause })
}

fn read_violations(folder: &Path) -> Result<Violations, EvidenceError> {
    let file = folder.join(VIOLATIONS_FILE);
    serde_json::from_str(&read(&file)?).map_err(|cause| EvidenceError::Json { file, cause })
}

fn read(file: &Path) -> Result<String, EvidenceError> {
    fs::read_to_string(file).map_err(|cause| EvidenceError::Io { file: file.to_owned(), cause })
}
