//! Programs that pretend to be servers.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

pub(crate) const VERSION: &str = "Redis server v=7.0.15 sha=00000000:0 malloc=libc bits=64 build=0";

/// A program that answers --version as a server does, and otherwise runs `body`.
pub(crate) fn impostor(version: &str, body: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("redis-server");
    let script = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n{body}\n");
    // Written by another process: a child that a test beside this one forks would inherit our open file for a moment,
    // and a file open for writing cannot be executed.
    let write = Command::new("/bin/sh")
        .args(["-c", "printf %s \"$2\" >\"$1\" && chmod +x \"$1\"", "sh"])
        .arg(&path)
        .arg(script)
        .status();
    assert!(write.expect("a shell").success());
    (dir, path)
}
