//! Figures of a run under way, as Prometheus gets them.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use common::{command, passed_over};

/// Long enough to be asked many times; it is ended when it has told.
const LONG: &str = "run --memory --nodes 8 --rate 200 --keys 8 --hold 5ms --warm-up 100ms --duration 60s \
                    --pause-nodes 2 --pause-every 900ms --pause-for 300ms --metrics 0";

/// Head and body of an answer.
fn ask(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}:\n{text}")).parse().unwrap()
}

/// What promtool says of it; nothing where there is no promtool.
fn lint(text: &str) -> Option<Result<(), String>> {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    Some(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&told).into_owned()) })
}

#[test]
fn a_run_tells_prometheus_how_it_goes() {
    let results = tempfile::tempdir().unwrap();
    let mut run = command(LONG);
    run.arg("--out").arg(results.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut run = run.spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find(|line| line.starts_with("metrics at")).unwrap();
    let address = told.split_once("http://").unwrap().1.strip_suffix("/metrics").unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:"), "nobody else can reach it: {address}");
    // From its first plain line on, whole seconds are known.
    lines.find(|line| line.contains("s left |")).unwrap();
    let (head, text) = ask(&address, "/metrics");
    let (other, _) = ask(&address, "/");
    run.kill().unwrap();
    run.wait().unwrap();

    assert!(
        head.starts_with("http/1.1 200") && head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(other.starts_with("http/1.1 404"), "{other}");
    assert!(value(&text, "loadgen_grants_total") > 0.0);
    assert!(value(&text, "loadgen_sent_total") > 0.0);
    assert!(value(&text, "loadgen_offered_per_second") > 199.0);
    let acquired = value(&text, "loadgen_acquire_seconds_count");
    assert!(acquired > 0.0 && value(&text, "loadgen_acquire_seconds_sum") > 0.0);
    assert_eq!(value(&text, "loadgen_acquire_seconds_bucket{le=\"+Inf\"}"), acquired);
    assert_eq!(value(&text, "loadgen_contract_overlaps_total"), 0.0);
    assert!(value(&text, "loadgen_faults_active{kind=\"pause-node\"}") <= 2.0);
    assert!(text.contains("loadgen_run_info{") && text.contains("lock=\"quorum\""), "{text}");
    match lint(&text) {
        Some(verdict) => verdict.unwrap(),
        None => passed_over("promtool"),
    }
}

#[test]
fn an_address_that_is_taken_is_named_before_anything_is_started() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let results = tempfile::tempdir().unwrap();
    let output = command(&format!("run --memory --metrics {address}"))
        .arg("--out")
        .arg(results.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("--metrics {address}: ")) && !stderr.contains("lock on"), "{stderr}");
}
