//! Bad input and bad days: one clear sentence, exit 1, and nothing left behind.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::net::TcpListener;

use common::{command, loadgen};

/// Fails as it should, before anything is written.
#[track_caller]
fn refused(args: &str, because: &str) {
    let results = tempfile::tempdir().unwrap();
    let output = command(args).arg("--out").arg(results.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args}: {stderr}");
    assert!(stderr.contains(because), "{args}: {stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("s3cret"), "{args}: {stderr}");
    assert!(output.stdout.is_empty());
    let left = std::fs::read_dir(results.path()).unwrap().count();
    assert_eq!(left, 0, "{args} left something behind");
}

#[test]
fn options_that_make_no_run_are_refused() {
    refused("run --ttl 0s", "ttl is 0ns; it must be 50ms to 30s");
    refused("run --ttl 31s", "it must be 50ms to 30s");
    refused("run --rate 0", "0.1 to 1000000");
    refused("run --hold soon", "expected a time such as 30s");
    refused("run --skew steep", "uniform, zipf:S");
    refused("run --lock redlock --memory", "needs real servers");
    refused("run --memory --spawn", "cannot be used with");
    refused("run --nodes 3 --pause-nodes 3 --pause-every 2s --pause-for 1s", "one at least must never be");
    refused("run --pause-nodes 1 --pause-every 1s --pause-for 2s", "shorter than --pause-every");
    refused("run --scenario clam", "did you mean \"calm\"?");
    refused("run --scenario no/such.toml", "no/such.toml");
    refused("run --scenario partition --memory", "the fault partition needs real servers");
    refused("run --scenario hung-endpoint --endpoints redis://127.0.0.1:1", "leave --endpoints out");
    refused("run --no-such-option", "--no-such-option");
}

#[test]
fn endpoints_that_cannot_vote_are_refused() {
    refused("run --endpoints redis://a,redis://b", "give an odd number");
    refused("run --endpoints redis://a,redis://b,redis://a", "named twice");
    refused("run --endpoints http://a", "redis://[user[:password]@]host[:port]");
    refused("run --endpoints redis://u:s3cret@a:port", "endpoint redis://a:port is no URL");
}

#[test]
fn endpoints_that_are_down_are_named() {
    // Held and not listened on, so that nobody answers there.
    let held: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = held.iter().filter_map(|l| l.local_addr().ok()).map(|a| a.port()).collect();
    drop(held);
    let urls: Vec<String> = ports.iter().map(|port| format!("redis://:s3cret@127.0.0.1:{port}")).collect();
    for lock in ["quorum", "redlock"] {
        for port in &ports {
            let args = format!("run --lock {lock} --endpoints {}", urls.join(","));
            refused(&args, &format!("127.0.0.1:{port}"));
        }
    }
    refused(&format!("run --lock setnx --endpoints {}", urls[0]), "Connection refused");
}

#[test]
fn a_folder_that_cannot_be_written_is_found_out_first() {
    let output = loadgen("run --out /dev/null/results");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("/dev/null/results") && stderr.contains("--out"), "{stderr}");
    assert!(!stderr.contains("lock on"), "before anything was started: {stderr}");
}

#[test]
fn without_a_server_program_the_remedy_is_named() {
    let results = tempfile::tempdir().unwrap();
    let mut command = command("run --duration 1s");
    command.env("PATH", "").env_remove("LEASEHOLD_SERVER").arg("--out").arg(results.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--memory needs no server"), "{stderr}");
}

#[test]
fn help_is_no_error() {
    let help = loadgen("run --help");
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Exit status"));
    assert_eq!(loadgen("--version").status.code(), Some(0));
    assert_eq!(loadgen("").status.code(), Some(1));
}
