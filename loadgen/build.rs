//! Tells the program what it was built from, so that every result names its sources.

use std::env;
use std::path::Path;
use std::process::Command;

/// What goes into the program, seen from this folder. A change there may change the answers below.
const SOURCES: [&str; 5] = [".", "../client", "../trio", "../Cargo.toml", "../Cargo.lock"];

fn main() {
    for source in SOURCES.into_iter().filter(|source| Path::new(source).exists()) {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-env-changed=RUSTC");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let compiler = answer(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=LOADGEN_COMPILER={compiler}");
    // No git, or no repository: a result can do without a commit, but not with a wrong one.
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return };
    println!("cargo:rustc-env=LOADGEN_COMMIT={commit}");
    let mut status = vec!["status", "--porcelain", "--"];
    status.extend(SOURCES);
    if let Some(changes) = git(&status) {
        println!("cargo:rustc-env=LOADGEN_DIRTY={}", !changes.is_empty());
    }
    // A commit moves the branch, and HEAD only names it.
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"]);
    for reference in ["HEAD"].into_iter().chain(branch.as_deref()) {
        if let Some(path) =
            git(&["rev-parse", "--git-path", reference]).filter(|path| Path::new(path).exists())
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    answer("git", arguments)
}

fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
