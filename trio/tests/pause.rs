//! A paused server is hung: it takes connections and answers nothing.

use std::time::Duration;

use leasehold_trio::{CommandError, Data, ProcessError, Server, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_paused_server_is_silent_and_runs_on_after_resume() {
    let mut server = Server::start(ServerOptions::default()).unwrap();
    server.command(&["SET", "key", "value"]).unwrap();
    for _ in 0..3 {
        server.pause().unwrap();
        let silent = server.command_within(SHORT, &["GET", "key"]).unwrap_err();
        assert!(matches!(&silent, CommandError::Timeout { command, .. } if command == "GET"), "{silent}");
        assert!(server.is_running().unwrap());
        server.resume().unwrap();
        assert_eq!(server.command(&["GET", "key"]).unwrap().text(), Some("value"));
    }
}

/// `pause` returns when the process stands still, not when the signal is on its way: what is sent after it is
/// not answered, however quick the server is.
#[test]
fn nothing_is_answered_once_pause_has_returned() {
    let server = Server::start(ServerOptions::default()).unwrap();
    for round in 0..20 {
        server.pause().unwrap();
        let answer = server.command_within(Duration::from_millis(5), &["INCR", "n"]);
        assert!(matches!(answer, Err(CommandError::Timeout { .. })), "round {round}: {answer:?}");
        server.resume().unwrap();
    }
}

#[test]
fn pausing_twice_and_resuming_twice_is_fine() {
    let server = Server::start(ServerOptions::default()).unwrap();
    server.pause().unwrap();
    server.pause().unwrap();
    server.resume().unwrap();
    server.resume().unwrap();
    assert_eq!(server.command(&["PING"]).unwrap().text(), Some("PONG"));
}

#[test]
fn a_paused_server_can_be_killed_and_restarted() {
    let mut server = Server::start(ServerOptions::default()).unwrap();
    server.pause().unwrap();
    server.restart(Data::Keep).unwrap();
    assert_eq!(server.command(&["PING"]).unwrap().text(), Some("PONG"));
}

#[test]
fn a_server_that_somebody_else_killed_cannot_be_paused() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let pid = Pid::from_raw(server.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert!(matches!(server.pause(), Err(ProcessError::NotRunning { .. })));
}

#[test]
fn a_killed_server_cannot_be_paused() {
    let mut server = Server::start(ServerOptions::default()).unwrap();
    server.kill().unwrap();
    let port = server.port();
    assert!(matches!(server.pause(), Err(ProcessError::NotRunning { port: p }) if p == port));
    assert!(matches!(server.resume(), Err(ProcessError::NotRunning { .. })));
}
