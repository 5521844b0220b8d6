//! What befalls a server shows in what it answers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use leasehold_trio::{CommandError, Fault, Forwarder, Server};

fn struck_by(fault: &Fault) -> (Server, Forwarder) {
    let mut server = Server::start(Fault::options()).unwrap();
    let way = Forwarder::start(server.port()).unwrap();
    for number in 0..10 {
        server.command(&["SET", &format!("key:{number}"), "v"]).unwrap();
    }
    fault.strike(&mut server, &way).unwrap();
    (server, way)
}

fn refusal(server: &Server, command: &[&str]) -> String {
    match server.command(command).unwrap_err() {
        CommandError::Refused { message, .. } => message,
        other => panic!("{other}"),
    }
}

#[test]
fn old_data_is_the_first_part_of_what_there_was() {
    let (server, _way) = struck_by(&Fault::RestartedFromOldData);
    assert_eq!(server.command(&["GET", "key:0"]).unwrap().text(), Some("v"));
    assert!(server.command(&["GET", "key:9"]).unwrap().is_nil());
}

#[test]
fn a_server_that_reads_back_its_data_says_so() {
    let (server, _way) = struck_by(&Fault::Loading);
    assert!(refusal(&server, &["GET", "key:0"]).starts_with("LOADING"));
}

#[test]
fn a_server_in_an_endless_script_says_so_until_it_is_killed() {
    let (server, _way) = struck_by(&Fault::Busy);
    assert!(refusal(&server, &["GET", "key:0"]).starts_with("BUSY"));
    server.command(&["SCRIPT", "KILL"]).unwrap();
}

#[test]
fn writes_are_refused_for_want_of_memory_and_by_a_replica() {
    let (server, _way) = struck_by(&Fault::OutOfMemory);
    assert!(refusal(&server, &["SET", "k", "v"]).starts_with("OOM"));
    let (server, _way) = struck_by(&Fault::ReadOnly);
    assert!(refusal(&server, &["SET", "k", "v"]).starts_with("READONLY"));
    let (server, _way) = struck_by(&Fault::WrongPassword);
    assert!(refusal(&server, &["SET", "k", "v"]).starts_with("NOAUTH"));
}
