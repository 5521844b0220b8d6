//! The built program, and what its runs leave behind.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test file uses its own part")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Runs `loadgen` with these arguments, separated by spaces.
pub fn loadgen(args: &str) -> Output {
    command(args).output().unwrap()
}

/// The same, not yet started.
pub fn command(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args.split_whitespace()).stdin(Stdio::null());
    command
}

/// Says aloud that a test is passed over for want of a program; a failure where every test must run. Written past the
/// test's own output, which nobody sees when it passes.
#[track_caller]
pub fn passed_over(missing: &str) {
    let told = format!("SKIPPED: {missing} is not installed here");
    assert!(std::env::var_os("LEASEHOLD_SKIP_NOTHING").is_none(), "{told}");
    std::io::stderr().write_all(format!("{told}\n").as_bytes()).unwrap();
}

/// A short run, and what came of it.
pub struct Run {
    pub json: Value,
    pub code: i32,
    pub stderr: String,
    results: TempDir,
}

impl Run {
    /// `loadgen run` with these arguments.
    pub fn of(args: &str) -> Self {
        let results = tempfile::tempdir().unwrap();
        let output =
            command(&format!("run --json {args}")).arg("--out").arg(results.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        Self { json, code: output.status.code().unwrap(), stderr, results }
    }

    /// A count under `safety`.
    pub fn seen(&self, field: &str) -> u64 {
        count(&self.json["safety"][field]["count"])
    }

    /// The one folder that the run left.
    pub fn folder(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.results.path()).unwrap();
        let folder = folders.next().unwrap().unwrap().path();
        assert!(folders.next().is_none(), "one run, one folder");
        folder
    }

    /// That the run was played as planned: on a busy machine a run may be invalid for being late, and nothing else.
    pub fn assert_played(&self) {
        assert!(matches!(self.code, 0 | 4), "exit {}: {}", self.code, self.stderr);
        assert_eq!(self.json["complete"], true);
        for reason in self.json["invalid_because"].as_array().unwrap() {
            assert!(reason.as_str().unwrap().starts_with("acquisitions were sent late"), "{reason}");
        }
        assert!(count(&self.json["granted"]) > 0);
    }
}

/// A whole number of `run.json`.
pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no count: {value}"))
}
