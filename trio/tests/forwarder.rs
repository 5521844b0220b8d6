//! The way to a server, made slow, stalled, half-open, and led elsewhere.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use leasehold_trio::{Data, Forwarder, Server, ServerOptions};

/// More than an answer takes on a busy machine, less than anybody would wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must come.
const SILENCE: Duration = Duration::from_millis(200);

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(way: &Forwarder) -> Self {
        Self(BufReader::new(TcpStream::connect(("127.0.0.1", way.port())).unwrap()))
    }

    fn send(&mut self, command: &str) {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
    }

    /// The next line; empty at the end of the stream, `None` if nothing comes in time.
    fn line(&mut self, patience: Duration) -> Option<String> {
        self.0.get_mut().set_read_timeout(Some(patience)).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).ok().map(|_| line.trim_end().to_owned())
    }

    fn ask(&mut self, command: &str) -> Option<String> {
        self.send(command);
        self.line(PATIENCE)
    }
}

fn server() -> Server {
    Server::start(ServerOptions::default()).unwrap()
}

#[test]
fn bytes_pass_both_ways_and_more_of_them_than_one_read_takes() {
    let server = server();
    let way = Forwarder::start(server.port()).unwrap();
    let mut connection = Connection::open(&way);
    assert_eq!(connection.ask("PING").as_deref(), Some("+PONG"));
    let value = "x".repeat(1_000_000);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}", value.len());
    assert_eq!(connection.ask(&set).as_deref(), Some("+OK"));
    assert_eq!(connection.ask("GET k").as_deref(), Some("$1000000"));
    assert_eq!(connection.line(PATIENCE).as_deref(), Some(value.as_str()));
}

#[test]
fn a_delay_is_added_to_each_round_trip_and_not_to_each_byte() {
    let server = server();
    let way = Forwarder::start(server.port()).unwrap();
    let delay = Duration::from_millis(400);
    way.set_delay(delay);
    let mut connection = Connection::open(&way);
    let started = Instant::now();
    for _ in 0..20 {
        connection.send("PING");
    }
    for _ in 0..20 {
        assert_eq!(connection.line(PATIENCE).as_deref(), Some("+PONG"));
    }
    assert!(started.elapsed() >= delay);
    assert!(started.elapsed() < delay * 10, "one after the other");
}

#[test]
fn what_was_stalled_arrives_in_order_afterwards() {
    let server = server();
    let way = Forwarder::start(server.port()).unwrap();
    let mut connection = Connection::open(&way);
    way.set_stalled(true);
    connection.send("PING one");
    connection.send("PING two");
    assert_eq!(connection.line(SILENCE), None);
    way.set_stalled(false);
    assert_eq!(connection.line(PATIENCE).as_deref(), Some("$3"));
    assert_eq!(connection.line(PATIENCE).as_deref(), Some("one"));
    assert_eq!(connection.line(PATIENCE).as_deref(), Some("$3"));
    assert_eq!(connection.line(PATIENCE).as_deref(), Some("two"));
}

#[test]
fn a_lost_connection_is_silent_even_when_the_server_dies_and_a_new_one_works() {
    let mut server = server();
    let way = Forwarder::start(server.port()).unwrap();
    let mut connection = Connection::open(&way);
    assert_eq!(connection.ask("PING").as_deref(), Some("+PONG"));
    way.lose_connections();
    connection.send("SET k v");
    assert_eq!(connection.line(SILENCE), None);
    server.restart(Data::Discard).unwrap();
    assert_eq!(connection.line(SILENCE), None, "nobody is told");
    assert_eq!(Connection::open(&way).ask("GET k").as_deref(), Some("$-1"), "it never arrived");
}

#[test]
fn a_server_that_ends_ends_its_connections() {
    let mut server = server();
    let way = Forwarder::start(server.port()).unwrap();
    let mut connection = Connection::open(&way);
    assert_eq!(connection.ask("PING").as_deref(), Some("+PONG"));
    server.kill().unwrap();
    assert_eq!(connection.line(PATIENCE).as_deref(), Some(""));
}

#[test]
fn new_connections_are_led_elsewhere_once_the_old_ones_are_closed() {
    let (one, other) = (server(), server());
    one.command(&["SET", "who", "one"]).unwrap();
    other.command(&["SET", "who", "other"]).unwrap();
    let way = Forwarder::start(one.port()).unwrap();
    let mut connection = Connection::open(&way);
    let who = |connection: &mut Connection| {
        connection.ask("GET who").unwrap();
        connection.line(PATIENCE).unwrap()
    };
    assert_eq!(who(&mut connection), "one");
    way.set_target(other.port());
    assert_eq!(who(&mut connection), "one", "a connection stays where it is");
    way.close_connections();
    assert_eq!(connection.line(PATIENCE).as_deref(), Some(""));
    assert_eq!(who(&mut Connection::open(&way)), "other");
}
