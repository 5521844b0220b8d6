//! What a run leaves behind.
//!
//! # Layout
//!
//! - `run_json`, `read`: the run as one value, written and read back.
//! - `hgrm`, `hlog`: histograms in the formats that existing plotters read.
//! - `fault_line`: what was done, one line each.
//! - `save`, `folder`: the results folder, whole or not at all.
//! - `environment`: where and with what a run was made.
//! - `verdict`: whether its figures may be used, and the exit status.
//! - `evidence`: all that a run left, read back. `html`: pages of it.
//! - `comparison`: groups of runs against each other.
//! - `summary`, `compare`, `table`: runs on a terminal, alone and side by side.

mod compare;
pub(crate) mod comparison;
mod environment;
pub(crate) mod evidence;
mod fault_line;
mod folder;
mod hgrm;
mod hlog;
pub(crate) mod html;
mod read;
mod run_json;
mod save;
mod summary;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use compare::{CompareError, compare, side_by_side, workload_differences};
pub(crate) use environment::shareable_command;
pub(crate) use evidence::{EvidenceError, Record};
pub(crate) use fault_line::FaultLine;
pub(crate) use folder::{FolderError, check_writable, compact_utc, from_rfc3339, rfc3339};
pub(crate) use read::{ReadError, parse, read_run};
pub(crate) use run_json::{
    Contention, Environment, LatencyTable, Machine, Merged, Parameters, PlannedFault, Renewals, Run, SCHEMA,
    Server, Usage,
};
pub(crate) use save::{Beside, SaveError, save};
pub(crate) use summary::{summary, workload};
pub(crate) use verdict::{Exit, Punctuality, promises_exclusion};
