//! Each effect on a real server, and that it is over when it is over.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use leasehold_trio::{Server, ServerOptions};

use super::*;
use crate::scenario::{Action, Delay, PlannedFault};

/// Long enough for an answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Silence for this long means that something is held back.
const SILENCE: Duration = Duration::from_millis(300);

struct Fixture {
    server: Server,
    proxy: Proxy,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start(ServerOptions::default()).unwrap();
        let proxy = Proxy::start(2, &[host_and_port(&server.url(), 6379)], true, 1).unwrap();
        Self { server, proxy }
    }

    fn connect(&self, group: usize) -> TcpStream {
        let stream = TcpStream::connect(self.proxy.address(group, 0).unwrap()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn begin(&self, way: Way, effect: Effect) -> AilmentId {
        self.proxy.begin(&[0], &[0], way, effect)
    }

    fn stored(&self, key: &str) -> String {
        format!("{:?}", self.server.command(&["GET", key]).unwrap())
    }

    fn await_stored(&self, key: &str, value: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stored(key).contains(value) {
            assert!(Instant::now() < deadline, "{key} was never set: {}", self.stored(key));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn ask(stream: &mut TcpStream, command: &str) {
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
}

/// The next bytes, within this time.
fn heard(stream: &mut TcpStream, within: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(within)).unwrap();
    let mut bytes = [0; 1_024];
    let read = stream.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

fn assert_answers(stream: &mut TcpStream) {
    ask(stream, "PING");
    assert_eq!(heard(stream, PATIENCE).unwrap(), "+PONG\r\n");
}

#[track_caller]
fn assert_silent(stream: &mut TcpStream) {
    let error = heard(stream, SILENCE).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

#[track_caller]
fn assert_broken(stream: &mut TcpStream) {
    let error = heard(stream, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn a_partition_holds_everything_back_and_delivers_it_when_it_heals() {
    let fixture = Fixture::new();
    let (mut cut, mut other) = (fixture.connect(0), fixture.connect(1));
    assert_answers(&mut cut);
    let partition = fixture.begin(Way::Both, Effect::Partition);
    ask(&mut cut, "SET late 1");
    assert_silent(&mut cut);
    let mut new = fixture.connect(0);
    ask(&mut new, "PING");
    assert_silent(&mut new);
    assert_answers(&mut other);
    assert!(!fixture.stored("late").contains('1'), "it did not get through");
    // Its sender has gone, and still it arrives.
    drop(cut);
    fixture.proxy.end(partition);
    fixture.await_stored("late", "1");
    assert_eq!(heard(&mut new, PATIENCE).unwrap(), "+PONG\r\n");
}

#[test]
fn one_way_is_cut_alone() {
    let fixture = Fixture::new();
    let mut cut = fixture.connect(0);
    assert_answers(&mut cut);
    let partition = fixture.begin(Way::ToNode, Effect::Partition);
    ask(&mut cut, "SET done 1");
    fixture.await_stored("done", "1");
    assert_silent(&mut cut);
    fixture.proxy.end(partition);
    assert_eq!(heard(&mut cut, PATIENCE).unwrap(), "+OK\r\n");
}

#[test]
fn a_lost_reply_was_carried_out_and_costs_the_connection() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect(0);
    assert_answers(&mut stream);
    let losing = fixture.begin(Way::Both, Effect::LoseReply { share: 1.0 });
    ask(&mut stream, "SET lost 1");
    assert_broken(&mut stream);
    fixture.await_stored("lost", "1");
    fixture.proxy.end(losing);
    assert_answers(&mut fixture.connect(0));
}

#[test]
fn half_open_connections_are_dead_and_do_not_know_it() {
    let fixture = Fixture::new();
    let mut old = fixture.connect(0);
    assert_answers(&mut old);
    let half_open = fixture.begin(Way::Both, Effect::HalfOpen);
    ask(&mut old, "SET swallowed 1");
    assert_silent(&mut old);
    assert_answers(&mut fixture.connect(0));
    assert!(!fixture.stored("swallowed").contains('1'));
    fixture.proxy.end(half_open);
    assert_broken(&mut old);
}

#[test]
fn a_reset_breaks_what_stands_and_what_comes() {
    let fixture = Fixture::new();
    let (mut old, mut other) = (fixture.connect(0), fixture.connect(1));
    assert_answers(&mut old);
    let reset = fixture.begin(Way::Both, Effect::Reset);
    assert_broken(&mut old);
    assert_broken(&mut fixture.connect(0));
    assert_answers(&mut other);
    fixture.proxy.end(reset);
    assert_answers(&mut fixture.connect(0));
}

#[test]
fn delays_add_up_and_do_not_reorder() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect(0);
    assert_answers(&mut stream);
    let delay = Delay::Uniform(Duration::from_millis(20), Duration::from_millis(60));
    fixture.begin(Way::Both, Effect::Latency(delay));
    let began = Instant::now();
    for number in 0..5 {
        ask(&mut stream, &format!("ECHO {number}"));
    }
    let mut answers = String::new();
    while answers.matches('$').count() < 5 {
        answers.push_str(&heard(&mut stream, PATIENCE).unwrap());
    }
    assert!(began.elapsed() >= Duration::from_millis(40), "twenty there, twenty back");
    let order: Vec<char> = answers.lines().filter(|line| line.len() == 1).flat_map(str::chars).collect();
    assert_eq!(order, ['0', '1', '2', '3', '4']);
    fixture.proxy.end_all();
    assert_answers(&mut stream);
}

#[test]
fn a_throttle_lets_no_more_through_than_it_says() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect(0);
    assert_answers(&mut stream);
    fixture.begin(Way::ToEndpoint, Effect::Throttle { bytes_per_s: 10_000 });
    let began = Instant::now();
    ask(&mut stream, &format!("ECHO {}", "x".repeat(2_000)));
    assert!(heard(&mut stream, PATIENCE).unwrap().starts_with("$2000"));
    assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
}

#[test]
fn a_stall_stands_still_and_goes_on_where_it_was() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect(0);
    assert_answers(&mut stream);
    let stall = fixture.begin(Way::ToEndpoint, Effect::Stall);
    ask(&mut stream, "PING");
    assert_silent(&mut stream);
    fixture.proxy.end(stall);
    assert_eq!(heard(&mut stream, PATIENCE).unwrap(), "+PONG\r\n");
}

#[test]
fn a_server_that_is_down_breaks_its_connections() {
    let mut fixture = Fixture::new();
    let mut stream = fixture.connect(0);
    assert_answers(&mut stream);
    fixture.server.kill().unwrap();
    assert!(matches!(heard(&mut stream, PATIENCE).as_deref(), Ok("") | Err(_)));
    assert_broken(&mut fixture.connect(0));
}

#[test]
fn what_the_proxy_costs_is_measured() {
    let fixture = Fixture::new();
    let straight = host_and_port(&fixture.server.url(), 6379);
    let overhead = measure(&straight, fixture.proxy.address(0, 0).unwrap()).unwrap();
    assert!(overhead.straight_p50_ns > 0 && overhead.proxied_p50_ns > 0);
}

#[test]
fn nodes_that_faults_treat_alike_share_a_group() {
    let network = |nodes: &[u32]| PlannedFault {
        action: Action::Network {
            nodes: nodes.into(),
            endpoints: vec![0],
            way: Way::Both,
            effect: Effect::Stall,
        },
        start_ns: 0,
        end_ns: 1,
    };
    let faults = [network(&[0, 1, 2]), network(&[2, 3]), network(&[0, 1, 2])];
    assert_eq!(groups(6, &faults), [vec![0, 1], vec![2], vec![3], vec![4, 5]]);
    let pause = PlannedFault { action: Action::PauseNode { node: 1 }, start_ns: 0, end_ns: 1 };
    assert!(groups(6, &[pause]).is_empty());
}

#[test]
fn urls_are_taken_apart_and_put_together() {
    assert_eq!(host_and_port("redis://:p@ss@host:7001/3", 6379), "host:7001");
    assert_eq!(host_and_port("redis://host", 6379), "host:6379");
    let to = "127.0.0.1:9".parse().unwrap();
    assert_eq!(redirected("redis://u:p@host:7001/3", to), "redis://u:p@127.0.0.1:9/3");
    assert_eq!(redirected("redis://host", to), "redis://127.0.0.1:9");
}
