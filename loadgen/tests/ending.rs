//! Whatever ends a run early, no process of it stays, and what was measured is written down.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use common::command;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A run of a minute with nodes that are stopped most of the time.
const LONG: &str = "run --lock setnx --nodes 6 --rate 50 --hold 20ms --wait 200ms --warm-up 100ms --duration 60s \
                    --pause-nodes 3 --pause-every 700ms --pause-for 500ms";

struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    results: TempDir,
    descendants: Vec<u32>,
}

impl Running {
    /// Starts a run, and returns when it shows its first figures.
    fn start() -> Self {
        let results = tempfile::tempdir().unwrap();
        let mut command = command(LONG);
        let mut child = command
            .arg("--out")
            .arg(results.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, stderr, results, descendants: Vec::new() };
        running.await_line("s left |");
        running.descendants = descendants(running.child.id());
        assert!(running.descendants.len() >= 7, "three servers, four workers: {:?}", running.descendants);
        running
    }

    fn await_line(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ended before it said {part:?}");
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn assert_nothing_runs(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let alive = || self.descendants.iter().filter(|&&pid| is_alive(pid)).collect::<Vec<_>>();
        while !alive().is_empty() {
            assert!(Instant::now() < deadline, "still running: {:?}", alive());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn an_interrupt_ends_everything_and_leaves_an_incomplete_run() {
    let mut running = Running::start();
    running.signal(Signal::INT);
    running.await_line("interrupted");
    let status = running.child.wait().unwrap();
    assert_eq!(status.code(), Some(4));
    running.assert_nothing_runs();
    let folder = fs::read_dir(running.results.path()).unwrap().next().unwrap().unwrap().path();
    let run: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["complete"], false);
    assert_eq!(run["valid"], false);
    assert!(common::count(&run["granted"]) > 0);
}

#[test]
fn even_a_kill_leaves_no_process() {
    let mut running = Running::start();
    running.signal(Signal::KILL);
    running.child.wait().unwrap();
    running.assert_nothing_runs();
    assert_eq!(fs::read_dir(running.results.path()).unwrap().count(), 0, "nothing half-written");
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            parents.extend(&children);
            found.extend(children);
        }
    }
    found
}

/// A process that has ended and was not waited for yet counts as gone.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
