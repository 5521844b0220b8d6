//! Servers for other programs, and how a newcomer meets a set that nobody has admitted.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Output, Stdio};

use common::{command, loadgen};
use tempfile::TempDir;

/// A place of its own for the state, so that nobody's trio is touched; ends what was started there.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn loadgen(&self, args: &str) -> Output {
        command(args).env("XDG_RUNTIME_DIR", self.0.path()).output().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.loadgen("trio down");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[test]
fn a_trio_outlives_its_command_until_it_is_ended() {
    let place = Place::new();
    let up = place.loadgen("trio up");
    assert_eq!(up.status.code(), Some(0), "{}", text(&up.stderr));
    let urls = text(&up.stdout);
    assert_eq!(urls.split(',').count(), 3, "{urls}");
    assert_eq!(text(&place.loadgen("trio status").stdout), urls);
    let again = place.loadgen("trio up");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("loadgen trio down"));

    let admitted = place.loadgen("trio admit --fresh");
    assert_eq!(admitted.status.code(), Some(0), "{}", text(&admitted.stderr));
    let twice = place.loadgen("trio admit --fresh");
    assert_eq!(twice.status.code(), Some(1), "only a new set is fresh");
    let results = tempfile::tempdir().unwrap();
    let load = "--nodes 3 --rate 50 --warm-up 0s --duration 1s --cool-down 0s";
    let run = place.loadgen(&format!("run {load} --endpoints {urls} --out {}", results.path().display()));
    assert!(matches!(run.status.code(), Some(0 | 4)), "{}", text(&run.stderr));
    assert!(!text(&run.stderr).contains("quarantine"), "{}", text(&run.stderr));

    assert_eq!(place.loadgen("trio down").status.code(), Some(0));
    assert_eq!(text(&place.loadgen("trio status").stdout), "no trio runs");
    let port = urls.split(',').next().and_then(|url| url.rsplit(':').next()).unwrap();
    TcpListener::bind(format!("127.0.0.1:{port}")).expect("its servers are gone");
}

#[test]
fn a_quarantine_is_announced_with_its_reason() {
    let place = Place::new();
    let urls = text(&place.loadgen("trio up").stdout);
    let results = tempfile::tempdir().unwrap();
    let mut run = command(&format!("run --endpoints {urls} --out {}", results.path().display()));
    let mut run = run.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find(|line| line.contains("quarantine")).expect("a word about the quarantine");
    assert!(told.contains("127.0.0.1:") && told.contains("may have forgotten votes"), "{told}");
    lines.find(|line| line.contains("loadgen trio admit --fresh")).expect("what an operator can do");
    lines.find(|line| line.contains("s left")).expect("how long it takes");
    rustix::process::kill_process(rustix::process::Pid::from_child(&run), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(4));
    assert_eq!(std::fs::read_dir(results.path()).unwrap().count(), 0);
}

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let up = place.loadgen(&format!("trio up --port {port}"));
    assert_eq!(up.status.code(), Some(1));
    assert!(text(&up.stderr).contains(&port.to_string()), "{}", text(&up.stderr));
    assert_eq!(text(&place.loadgen("trio status").stdout), "no trio runs");
}

#[test]
fn one_endpoint_that_is_down_is_named_and_done_without() {
    let mut trio = leasehold_trio::Trio::start().unwrap();
    let urls = trio.urls().join(",");
    let admitted = loadgen(&format!("trio admit --fresh --endpoints {urls}"));
    assert_eq!(admitted.status.code(), Some(0), "{}", text(&admitted.stderr));
    trio.server(0).kill().unwrap();
    let results = tempfile::tempdir().unwrap();
    let load = "--nodes 3 --rate 50 --warm-up 0s --duration 1s --cool-down 0s";
    let run = loadgen(&format!("run {load} --endpoints {urls} --out {}", results.path().display()));
    let stderr = text(&run.stderr);
    assert!(matches!(run.status.code(), Some(0 | 4)), "{stderr}");
    assert!(
        stderr.contains(&format!("warning: endpoint 127.0.0.1:{} is", trio.server(0).port())),
        "{stderr}"
    );
    assert!(text(&run.stdout).contains("promises kept"), "{}", text(&run.stdout));
}
