//! A real server whose clock jumps and runs as it is told.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leasehold_trio::{Data, Server, ServerOptions};

const HOUR_MS: i64 = 3_600_000;

/// What a server's answer may take on a busy machine.
const SLACK_MS: i64 = 2_000;

fn server() -> Server {
    Server::start(ServerOptions { own_clock: true, ..ServerOptions::default() }).unwrap()
}

/// How far the server's clock is ahead of this machine's.
fn ahead_ms(server: &Server) -> i64 {
    let reply =
        server.command(&["EVAL", "local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000", "0"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    reply.unwrap().integer().unwrap() - i64::try_from(now.as_millis()).unwrap()
}

#[test]
fn a_clock_jumps_and_keys_expire_by_it() {
    let mut server = server();
    assert!(ahead_ms(&server).abs() < SLACK_MS);
    server.command(&["SET", "k", "v", "PX", "1800000"]).unwrap();
    server.step_clock(HOUR_MS).unwrap();
    assert!((ahead_ms(&server) - HOUR_MS).abs() < SLACK_MS);
    assert!(server.command(&["GET", "k"]).unwrap().is_nil());

    server.restart(Data::Discard).unwrap();
    assert!((ahead_ms(&server) - HOUR_MS).abs() < SLACK_MS, "a restart does not set the clock");
    server.step_clock(-HOUR_MS).unwrap();
    assert!(ahead_ms(&server).abs() < SLACK_MS);
}

#[test]
fn a_clock_runs_faster_and_then_no_more() {
    let server = server();
    let started = Instant::now();
    server.set_clock_rate(1_000_000).unwrap(); // twice as fast
    sleep(Duration::from_secs(1));
    let gained_ms = ahead_ms(&server);
    let real_ms = i64::try_from(started.elapsed().as_millis()).unwrap();
    assert!((500..=real_ms + 1).contains(&gained_ms), "{gained_ms} of {real_ms} ms");
    server.set_clock_rate(0).unwrap();
    let before_ms = ahead_ms(&server);
    sleep(Duration::from_secs(1));
    assert!((before_ms - 500..=before_ms + 500).contains(&ahead_ms(&server)));
}

#[test]
fn a_server_without_a_clock_of_its_own_says_so() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let error = server.step_clock(1).unwrap_err();
    assert!(error.to_string().contains("own_clock"), "{error}");
}
