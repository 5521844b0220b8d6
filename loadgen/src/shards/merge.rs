//! `loadgen merge`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::check::{CheckError, check};
use super::judge::{CommonClock, judge};
use super::part::{PART_FILE, PartFile, RECORDS_FILE};
use super::sum::sum;
use crate::cli::MergeArgs;
use crate::measure::{CodecError, Timeline};
use crate::referee::Violations;
use crate::report::{
    self, Beside, EvidenceError, Exit, FaultLine, FolderError, Record, Run, SaveError, summary,
};

/// Why there is no merged run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    #[error("{} is no shard of a run: {cause}; `loadgen run --shard` writes {PART_FILE}", folder.display())]
    NoShard { folder: PathBuf, cause: io::Error },
    #[error("{} is damaged: {cause}", file.display())]
    Damaged { file: PathBuf, cause: serde_json::Error },
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("no endpoint's clock was seen by all shards, so their times cannot be put on one line")]
    NoClock,
    #[error("the records of the shards cannot be read: {0}")]
    Records(#[from] io::Error),
    #[error(transparent)]
    Histogram(#[from] CodecError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Results(#[from] FolderError),
    #[error(transparent)]
    Save(#[from] SaveError),
}

/// One shard's folder, read.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) folder: PathBuf,
    pub(super) file: PartFile,
    pub(super) run: Run,
    timeline: Timeline,
    faults: Vec<FaultLine>,
}

impl Part {
    fn read(folder: &Path) -> Result<Self, MergeError> {
        let path = folder.join(PART_FILE);
        let text = fs::read_to_string(&path)
            .map_err(|cause| MergeError::NoShard { folder: folder.to_owned(), cause })?;
        let file = serde_json::from_str(&text).map_err(|cause| MergeError::Damaged { file: path, cause })?;
        let Record { run, timeline, faults, .. } = Record::read(folder)?;
        Ok(Self { folder: folder.to_owned(), file, run, timeline, faults })
    }

    /// Its ledger.
    pub(super) fn records(&self) -> PathBuf {
        self.folder.join(RECORDS_FILE)
    }
}

/// Puts shards together and saves the run that they were.
pub(crate) fn merge(args: &MergeArgs) -> Result<Exit, MergeError> {
    let mut parts = args.shards.iter().map(|folder| Part::read(folder)).collect::<Result<Vec<_>, _>>()?;
    check(&mut parts)?;
    report::check_writable(&args.out)?;
    let common = CommonClock::of(&parts).ok_or(MergeError::NoClock)?;
    let (findings, troubles) = judge(&parts, &common)?;
    let mut timeline = Timeline::default();
    for part in &parts {
        timeline.absorb(&part.timeline)?;
    }
    let run = sum(&parts, &timeline, &findings, troubles, &common).ok_or(MergeError::NoClock)?;
    let warm_up_ns = run.parameters.warm_up_ms.saturating_mul(1_000_000);
    let starts = parts.iter().enumerate().map(|(shard, part)| common.common_ns(shard, part.file.start_ns));
    let started_ns = starts.min().map(|start_ns| start_ns.saturating_add(warm_up_ns));
    let violations = Violations { started_ns, ..findings.violations };
    let mut faults: Vec<FaultLine> = parts.iter().flat_map(|part| part.faults.iter().cloned()).collect();
    faults.sort_by(|a, b| a.actual_start_ms.total_cmp(&b.actual_start_ms));
    let started = report::from_rfc3339(&run.started).unwrap_or_else(SystemTime::now);
    let beside = Beside { suffix: "-merged".to_owned(), ..Beside::default() };
    let folder = report::save(&args.out, started, &run, &timeline, &violations, &faults, beside)?;
    let promises = report::promises_exclusion(&run.lock);
    println!("{}", summary(&run, promises));
    eprintln!("results in {}", folder.display());
    Ok(Exit::of(&run, promises, false))
}
