//! Reads a run back from its folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::run_json::{Run, SCHEMA};

/// The file in a results folder that holds the run.
pub(crate) const RUN_FILE: &str = "run.json";

/// Why a run cannot be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read {}: {cause}; name the folder of a run", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is not a run.
    #[error("{} is not a run: {cause}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong, and in which line.
        cause: serde_json::Error,
    },
    /// It is a run of another version of this program.
    #[error("{} has schema {found}, and this program reads schema {SCHEMA}: use the version that wrote it", file.display())]
    Schema {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: u64,
    },
}

/// The one field that every schema has.
#[derive(Deserialize)]
struct Versioned {
    schema: u64,
}

/// Reads a run, named by its folder or by its `run.json`.
pub(crate) fn read_run(path: &Path) -> Result<Run, ReadError> {
    let file = if path.is_dir() { path.join(RUN_FILE) } else { path.to_owned() };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(cause) => return Err(ReadError::Io { file, cause }),
    };
    parse(&text, file)
}

/// The text of a run; `file` is what messages call it.
pub(crate) fn parse(text: &str, file: PathBuf) -> Result<Run, ReadError> {
    // The version first: what else is wrong with a run of another schema is of no interest.
    let versioned: Versioned = match serde_json::from_str(text) {
        Ok(versioned) => versioned,
        Err(cause) => return Err(ReadError::Json { file, cause }),
    };
    if versioned.schema != u64::from(SCHEMA) {
        return Err(ReadError::Schema { file, found: versioned.schema });
    }
    serde_json::from_str(text).map_err(|cause| ReadError::Json { file, cause })
}
