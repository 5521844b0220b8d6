//! A server starts on a free loopback port, answers, and is what it says it is.

use std::net::Ipv4Addr;

use leasehold_trio::{CommandError, Server, ServerOptions, Trio};

#[test]
fn starts_and_answers() {
    let server = Server::start(ServerOptions::default()).unwrap();
    assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
    assert_eq!(server.command(&["PING"]).unwrap().text(), Some("PONG"));
    assert_eq!(server.command(&["SET", "key", "a value\r\nof two lines"]).unwrap().text(), Some("OK"));
    assert_eq!(server.command(&["GET", "key"]).unwrap().text(), Some("a value\r\nof two lines"));
    assert_eq!(server.command(&["PTTL", "key"]).unwrap().integer(), Some(-1));
    assert!(server.command(&["GET", "other"]).unwrap().is_nil());

    let info = server.command(&["INFO", "server"]).unwrap().to_string();
    assert!(info.contains(&format!("process_id:{}\r\n", server.pid())), "{info}");
    assert!(info.contains(server.program().version()), "{info}");
}

#[test]
fn a_refusal_is_an_error_that_names_the_command() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let refused = server.command(&["INCR"]).unwrap_err();
    assert!(
        matches!(&refused, CommandError::Refused { command, message, .. }
        if command == "INCR" && message.starts_with("ERR wrong number of arguments")),
        "{refused}"
    );
}

#[test]
fn writes_only_into_its_own_directory_and_keeps_no_snapshot() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let setting = |name| server.command(&["CONFIG", "GET", name]).unwrap().to_string();
    let data = server.dir().join("data").canonicalize().unwrap();
    assert_eq!(setting("dir"), format!("[dir, {}]", data.display()));
    assert_eq!(setting("save"), "[save, ]");
    assert_eq!(setting("appendonly"), "[appendonly, no]");
    assert_eq!(setting("bind"), "[bind, 127.0.0.1]");
    assert_eq!(setting("maxmemory-policy"), "[maxmemory-policy, noeviction]");
}

#[test]
fn takes_further_settings_which_win() {
    let options = ServerOptions::default().setting("save", "900 1").setting("enable-debug-command", "local");
    let server = Server::start(options).unwrap();
    assert_eq!(server.command(&["CONFIG", "GET", "save"]).unwrap().to_string(), "[save, 900 1]");
    assert_eq!(server.command(&["DEBUG", "SLEEP", "0"]).unwrap().text(), Some("OK"));
}

#[test]
fn a_password_is_used_everywhere() {
    let server = Server::start(ServerOptions::default().setting("requirepass", "s3cret")).unwrap();
    assert_eq!(server.url(), format!("redis://:s3cret@127.0.0.1:{}", server.port()));
    assert_eq!(server.command(&["PING"]).unwrap().text(), Some("PONG"));
    assert!(!format!("{server:?}").contains("s3cret"));
}

#[test]
fn two_trios_run_side_by_side() {
    let (first, second) = (Trio::start().unwrap(), Trio::start().unwrap());
    let servers: Vec<&Server> = first.servers().iter().chain(second.servers()).collect();
    for (index, server) in servers.iter().enumerate() {
        server.command(&["SET", "who", &index.to_string()]).unwrap();
    }
    for (index, server) in servers.iter().enumerate() {
        assert_eq!(server.command(&["GET", "who"]).unwrap().text(), Some(index.to_string().as_str()));
    }
}

#[test]
fn a_trio_takes_three_ports_in_a_row_when_given_the_first() {
    // Three free ports in a row, as far as one can know; another three if somebody is quicker.
    let outcomes = (0..20).map(|_| {
        let probe = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let first = probe.local_addr().unwrap().port();
        drop(probe);
        (first, Trio::start_with(ServerOptions { port: Some(first), ..Default::default() }))
    });
    let (first, trio) = outcomes.into_iter().find_map(|(first, trio)| Some((first, trio.ok()?))).unwrap();
    assert_eq!(trio.servers().each_ref().map(Server::port), [first, first + 1, first + 2]);
}
