//! Servers die with a parent that is killed and can run no destructor. The parent is this test program, started again.
#![cfg(target_os = "linux")]

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use leasehold_trio::Trio;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

const HELPER: &str = "hold_a_trio_until_killed";
const HELPER_MARK: &str = "LEASEHOLD_TEST_HOLDS_A_TRIO";

/// Not a test of its own: the parent for the test below, which kills it.
#[test]
#[ignore = "started by the test below"]
fn hold_a_trio_until_killed() {
    if env::var_os(HELPER_MARK).is_none() {
        return;
    }
    let trio = Trio::start().unwrap();
    trio.servers()[2].pause().unwrap(); // a stopped process must go, too
    let pids = trio.servers().each_ref().map(|server| server.pid().to_string());
    eprintln!(
        "{} {}",
        pids.join(" "),
        trio.servers().each_ref().map(|s| s.dir().display().to_string()).join(" ")
    );
    // Ends at once when the test that started this one ends, whatever ends it.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn servers_die_with_a_killed_parent() {
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--exact", HELPER, "--ignored", "--nocapture"])
        .env(HELPER_MARK, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.len(), 6, "{line:?}");
    let servers: Vec<_> = words[..3]
        .iter()
        .map(|pid| pidfd_open(Pid::from_raw(pid.parse().unwrap()).unwrap(), PidfdFlags::empty()).unwrap())
        .collect();

    parent.kill().unwrap();
    parent.wait().unwrap();

    let bound = Timespec { tv_sec: 5, tv_nsec: 0 };
    for (server, pid) in servers.iter().zip(&words) {
        let mut ended = [PollFd::new(server, PollFlags::IN)];
        assert_eq!(poll(&mut ended, Some(&bound)).unwrap(), 1, "server {pid} outlived its killed parent");
    }
    for dir in &words[3..] {
        std::fs::remove_dir_all(dir).unwrap();
    }
}
