//! Three servers, and where results are written.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use leasehold::{Client, admin};
use leasehold_trio::{ServerOptions, ServerProgram, Trio};
use serde::Serialize;

use crate::contender::Failure;
use crate::machine::Machine;

/// Three servers that have been declared a fresh set.
#[derive(Debug)]
pub struct Arena {
    /// The servers.
    pub trio: Trio,
    /// Where they run.
    pub machine: Machine,
    /// Start, UTC.
    pub started: String,
}

impl Arena {
    /// Starts them.
    ///
    /// # Errors
    /// When there is no server program, or it does not start.
    pub async fn open() -> Result<Self, Failure> {
        let program = ServerProgram::find()?;
        let machine = Machine::look(&program);
        let started = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        // A thousand clients have three thousand connections.
        let options = ServerOptions { program: Some(program), ..ServerOptions::default() };
        let trio = Trio::start_with(options.setting("maxclients", "4096"))?;
        admin::fresh(Client::builder().endpoints(trio.urls())).await?;
        Ok(Self { trio, machine, started })
    }

    /// Their URLs.
    #[must_use]
    pub fn urls(&self) -> [String; 3] {
        self.trio.urls()
    }
}

/// Where results go: the folder that was named, or `results/<kind>-<utc>` in the workspace. Cargo starts a bench in its
/// package's folder, so a relative name is the workspace's.
#[must_use]
pub fn folder(named: Option<&Path>, kind: &str, started: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new(""));
    match named {
        Some(named) => workspace.join(named),
        None => workspace.join("results").join(format!("{kind}-{started}")),
    }
}

/// Writes a table for people and the same as JSON for everything else, and prints the table.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(folder: &Path, name: &str, table: &str, json: &impl Serialize) -> Result<(), Failure> {
    write_as(folder, &format!("{name}.txt"), &format!("{name}.json"), table, json)
}

/// The same, into the files named.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write_as(
    folder: &Path,
    table_name: &str,
    json_name: &str,
    table: &str,
    json: &impl Serialize,
) -> Result<(), Failure> {
    println!("{table}");
    let write = || -> Result<(), Failure> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(table_name), table)?;
        fs::write(folder.join(json_name), serde_json::to_vec_pretty(json)?)?;
        Ok(())
    };
    write().map_err(|error| {
        format!("cannot write to {}: {error}; name a folder with --out", folder.display())
    })?;
    println!("written to {}", folder.display());
    Ok(())
}
