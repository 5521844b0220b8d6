//! Kill and restart, with and without data, always on the same port.

use std::time::{Duration, Instant};

use leasehold_trio::{CommandError, Data, Fsync, Persistence, Server, ServerOptions};

fn start(persistence: Persistence) -> Server {
    let server = Server::start(ServerOptions { persistence, ..ServerOptions::default() }).expect("a server");
    server.command(&["SET", "key", "value"]).expect("a reply");
    server
}

fn value(server: &Server) -> Option<String> {
    server.command(&["GET", "key"]).expect("a reply").text().map(str::to_owned)
}

#[test]
fn a_killed_server_refuses_connections_until_it_is_restarted() {
    let mut server = start(Persistence::None);
    let (port, pid) = (server.port(), server.pid());
    server.kill().unwrap();
    assert!(!server.is_running().unwrap());
    let refused = server.command(&["PING"]).unwrap_err();
    assert!(
        matches!(&refused, CommandError::Connect { source, .. }
        if source.kind() == std::io::ErrorKind::ConnectionRefused),
        "{refused}"
    );
    server.kill().unwrap(); // as often as one likes

    server.restart(Data::Keep).unwrap();
    assert!(server.is_running().unwrap());
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    assert_eq!(server.command(&["PING"]).unwrap().text(), Some("PONG"));
}

#[test]
fn without_persistence_nothing_is_kept() {
    let mut server = start(Persistence::None);
    server.restart(Data::Keep).unwrap();
    assert_eq!(value(&server), None);
}

#[test]
fn an_append_only_file_keeps_every_answered_write() {
    for fsync in [Fsync::EverySecond, Fsync::Always] {
        let mut server = start(Persistence::AppendOnly(fsync));
        server.restart(Data::Keep).unwrap();
        assert_eq!(value(&server).as_deref(), Some("value"), "{fsync:?}");
    }
}

#[test]
fn data_can_be_discarded() {
    let mut server = start(Persistence::AppendOnly(Fsync::EverySecond));
    server.restart(Data::Discard).unwrap();
    assert_eq!(value(&server), None);
    server.command(&["SET", "key", "again"]).unwrap();
    server.restart(Data::Keep).unwrap();
    assert_eq!(value(&server).as_deref(), Some("again"));
}

#[test]
fn restarts_on_its_port_time_and_again() {
    let mut server = start(Persistence::None);
    let port = server.port();
    for _ in 0..10 {
        server.restart(Data::Discard).unwrap();
        assert_eq!(server.port(), port);
    }
}

#[test]
fn a_server_that_ends_by_itself_is_seen() {
    let mut server = start(Persistence::None);
    // Ends without a reply, so the command itself fails.
    server.command(&["SHUTDOWN", "NOSAVE"]).unwrap_err();
    let deadline = Instant::now() + Duration::from_secs(5);
    while server.is_running().unwrap() {
        assert!(Instant::now() < deadline, "still running");
        std::thread::yield_now();
    }
    server.restart(Data::Keep).unwrap();
    assert_eq!(server.command(&["PING"]).unwrap().text(), Some("PONG"));
}
