//! What cannot start says why, and what to do about it.

mod support;

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use leasehold_trio::{ProgramError, Server, ServerOptions, ServerProgram, StartError};
use support::{VERSION, impostor};

#[test]
fn a_taken_port_is_named() {
    let theirs = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = theirs.local_addr().unwrap().port();
    let error = Server::start(ServerOptions { port: Some(port), ..Default::default() }).unwrap_err();
    assert!(matches!(error, StartError::PortInUse { port: p } if p == port), "{error}");
    assert!(error.to_string().starts_with(&format!("port {port} on 127.0.0.1 is in use")), "{error}");
}

#[test]
fn another_server_on_the_port_is_not_mistaken_for_ours() {
    let theirs = Server::start(ServerOptions::default()).unwrap();
    let port = Some(theirs.port());
    let error = Server::start(ServerOptions { port, ..Default::default() }).unwrap_err();
    assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
    assert_eq!(theirs.command(&["PING"]).unwrap().text(), Some("PONG"));
}

#[test]
fn when_somebody_else_is_quicker_other_ports_are_tried_a_bounded_number_of_times() {
    let (dir, path) =
        impostor(VERSION, "echo tried >>\"$TRIES\"; echo 'bind: Address already in use'; exit 1");
    let tries = dir.path().join("tries");
    let options = ServerOptions {
        program: Some(ServerProgram::at(path).unwrap()),
        env: vec![("TRIES".into(), tries.display().to_string())],
        ..Default::default()
    };
    let error = Server::start(options).unwrap_err();
    assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(tries).unwrap().lines().count(), 5);
}

#[test]
fn a_setting_the_server_does_not_know_shows_its_own_words() {
    let error = Server::start(ServerOptions::default().setting("no-such-setting", "1")).unwrap_err();
    assert!(matches!(error, StartError::Exited { .. }), "{error}");
    // Each version words it differently, but all quote the line.
    assert!(error.to_string().contains("'no-such-setting 1'"), "{error}");
}

#[test]
fn a_program_that_never_answers_is_given_up_and_ended() {
    let (_dir, path) = impostor(VERSION, "echo still thinking; exec sleep 600");
    let timeout = Duration::from_millis(300);
    let options = ServerOptions {
        program: Some(ServerProgram::at(path).unwrap()),
        start_timeout: timeout,
        ..Default::default()
    };
    let started = Instant::now();
    let error = Server::start(options).unwrap_err();
    assert!(started.elapsed() >= timeout);
    assert!(matches!(error, StartError::NotReady { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("did not answer within 300ms") && text.contains("still thinking"), "{text}");
}

#[test]
fn a_program_that_ends_at_once_shows_how_and_its_last_words() {
    let (_dir, path) = impostor(VERSION, "echo 'cannot map memory' >&2; exit 3");
    let program = Some(ServerProgram::at(path).unwrap());
    let error = Server::start(ServerOptions { program, ..Default::default() }).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("exit status: 3") && text.contains("cannot map memory"), "{text}");
}

#[test]
fn the_environment_reaches_the_program() {
    let (_dir, path) = impostor(VERSION, "echo \"mark: $LEASEHOLD_TEST_MARK\"; exit 1");
    let options = ServerOptions {
        program: Some(ServerProgram::at(path).unwrap()),
        env: vec![("LEASEHOLD_TEST_MARK".into(), "42".into())],
        ..Default::default()
    };
    let text = Server::start(options).unwrap_err().to_string();
    assert!(text.contains("mark: 42"), "{text}");
}

#[test]
fn old_and_foreign_programs_are_refused() {
    let (_dir, old) = impostor("Redis server v=6.2.14 sha=00000000:0", "exit 1");
    assert!(
        matches!(ServerProgram::at(old), Err(ProgramError::TooOld { version, .. }) if version == "6.2.14")
    );
    let (_dir, foreign) = impostor("sleep (GNU coreutils) 9.1", "exit 1");
    assert!(matches!(ServerProgram::at(foreign), Err(ProgramError::NotAServer { answer, .. })
        if answer == "sleep (GNU coreutils) 9.1"));
    assert!(matches!(ServerProgram::at("/nonexistent/redis-server"), Err(ProgramError::Run { .. })));
}
