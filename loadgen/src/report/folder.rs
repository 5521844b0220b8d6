//! The results folder of a run: all of it or nothing.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use tempfile::TempPath;
use thiserror::Error;

/// How many runs may begin in one second with the same scenario, lock and seed.
const NAMESAKES_MAX: u32 = 1_000;

/// Why there is no results folder.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// The folder for results cannot be made or written to.
    #[error("cannot write results into {}: {cause}; name another folder with --out", folder.display())]
    NotWritable {
        /// The folder that was asked for.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file of the run cannot be written.
    #[error("cannot write {file} of the results in {}: {cause}", folder.display())]
    File {
        /// The file.
        file: String,
        /// The folder that was asked for.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// All names are taken.
    #[error("{} already holds {NAMESAKES_MAX} runs called {name}; move some away", folder.display())]
    NamesTaken {
        /// The folder that was asked for.
        folder: PathBuf,
        /// The name they share.
        name: String,
    },
}

/// Makes sure that a run's results can be kept, before there are any: creates the folder if need be, and a file in it.
pub(crate) fn check_writable(results: &Path) -> Result<(), FolderError> {
    let not_writable = |cause| FolderError::NotWritable { folder: results.to_owned(), cause };
    fs::create_dir_all(results).map_err(not_writable)?;
    tempfile::tempfile_in(results).map(drop).map_err(not_writable)
}

/// `<utc>-<scenario>-<lock>-<seed>`, fit for every file system.
pub(crate) fn folder_name(started: SystemTime, scenario: &str, lock: &str, seed: u64) -> String {
    format!("{}-{}-{}-{seed}", compact_utc(started), plain(scenario), plain(lock))
}

/// A time in UTC to the second, as the names of folders begin.
pub(crate) fn compact_utc(time: SystemTime) -> String {
    utc(time, "%Y%m%dT%H%M%SZ")
}

/// A time in UTC, as RFC 3339 to the second.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    utc(time, "%Y-%m-%dT%H:%M:%SZ")
}

/// The reverse of [`rfc3339`].
pub(crate) fn from_rfc3339(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

/// Writes a run's files into a folder of their own and tells which it became. They are written beside it and moved
/// into place at once, so a folder with a run's name is a whole run, whatever ends this program.
pub(crate) fn write_folder(
    results: &Path,
    name: &str,
    files: &[(String, Vec<u8>)],
    moved: Vec<(String, TempPath)>,
) -> Result<PathBuf, FolderError> {
    let not_writable = |cause| FolderError::NotWritable { folder: results.to_owned(), cause };
    fs::create_dir_all(results).map_err(not_writable)?;
    let unfinished = tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(Permissions::from_mode(0o777)) // less what the umask takes: the folder is to be shared
        .tempdir_in(results)
        .map_err(not_writable)?;
    for (file, contents) in files {
        fs::write(unfinished.path().join(file), contents).map_err(|cause| FolderError::File {
            file: file.clone(),
            folder: results.to_owned(),
            cause,
        })?;
    }
    for (file, from) in moved {
        from.persist(unfinished.path().join(&file)).map_err(|error| FolderError::File {
            file,
            folder: results.to_owned(),
            cause: error.error,
        })?;
    }
    for namesake in 1..=NAMESAKES_MAX {
        let path = results.join(if namesake == 1 { name.to_owned() } else { format!("{name}-{namesake}") });
        match fs::rename(unfinished.path(), &path) {
            Ok(()) => {
                // Nothing is left there to be cleaned up.
                let _moved = unfinished.keep();
                return Ok(path);
            }
            Err(_) if path.exists() => {}
            Err(cause) => return Err(not_writable(cause)),
        }
    }
    Err(FolderError::NamesTaken { folder: results.to_owned(), name: name.to_owned() })
}

fn utc(time: SystemTime, format: &str) -> String {
    // Times that no calendar holds, some eight thousand years off, are written as the epoch.
    Timestamp::try_from(time).unwrap_or_default().strftime(format).to_string()
}

fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if is_plain(c) { c } else { '-' }).collect()
}
