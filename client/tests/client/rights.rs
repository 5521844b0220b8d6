//! The access control list that is shipped: enough for a service and for an operator, and for nothing else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use leasehold::admin::{self, AdminError};
use leasehold::{ClientBuilder, Credentials, EndpointState};
use leasehold_trio::{Server, ServerOptions, Trio};

use crate::common;

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/leasehold.acl");
const SERVICE: &str = "leasehold";
const OPERATOR: &str = "leasehold-operator";

/// Three servers with the list as it is shipped, and passwords set.
fn start() -> Trio {
    let list = ServerOptions::default().setting("aclfile", format!("\"{LIST}\""));
    let trio = Trio::start_with(list).unwrap();
    for server in trio.servers() {
        for user in [SERVICE, OPERATOR] {
            let mut stranger = Session::open(server);
            assert!(stranger.ask(&format!("AUTH {user} word")).starts_with("-WRONGPASS"), "{user} came in");
            server.command(&["ACL", "SETUSER", user, ">word"]).unwrap();
        }
    }
    // Of the attempts above nothing is left.
    trio.servers().iter().for_each(|server| drop(server.command(&["ACL", "LOG", "RESET"]).unwrap()));
    trio
}

fn builder(trio: &Trio, user: &'static str) -> ClientBuilder {
    let login = move |_: &str| std::future::ready(Ok::<_, std::io::Error>(Credentials::new(user, "word")));
    common::builder(trio).credentials(login)
}

/// A connection that says what it likes.
struct Session(BufReader<TcpStream>);

impl Session {
    fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    /// The first line of the answer.
    fn ask(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_and_its_operator_can_do_all_they_need() {
    let trio = start();
    admin::fresh(builder(&trio, OPERATOR)).await.unwrap();
    let client = common::connect(builder(&trio, SERVICE)).await;

    let lease = client.lease("job").ttl(Duration::from_secs(5)).acquire().await.unwrap();
    trio.servers()[0].command(&["DEL", "lh:lock:job"]).unwrap();
    lease.renew().await.unwrap();
    common::eventually("the lock is healed", || common::lock_value(&trio.servers()[0], "job").is_some())
        .await;
    lease.validate().await.unwrap();
    let next = tokio::spawn(client.lease("job").wait(Duration::from_secs(10)).acquire());
    tokio::time::sleep(Duration::from_millis(50)).await;
    lease.release().await.unwrap();
    next.await.unwrap().unwrap().release().await.unwrap();

    trio.servers()[2].command(&["FLUSHALL"]).unwrap();
    let quarantined = || matches!(client.endpoints()[2].state, EndpointState::Quarantined { .. });
    client.lease("other").acquire().await.unwrap().release().await.unwrap();
    common::eventually("the flushed one is quarantined", quarantined).await;
    let shorter = builder(&trio, OPERATOR).max_ttl(Duration::from_secs(20));
    admin::reconfigure(shorter, 3).await.unwrap();
    let error = admin::durable(builder(&trio, OPERATOR)).await.unwrap_err();
    assert!(matches!(error, AdminError::NotDurable { .. }), "{error}");

    // Neither the client, nor its script, nor its Redis library was ever denied anything.
    for server in trio.servers() {
        assert_eq!(server.command(&["ACL", "LOG"]).unwrap().to_string(), "[]");
    }
}

#[tokio::test]
async fn keys_channels_and_commands_of_others_are_denied() {
    let trio = start();
    let server = &trio.servers()[0];
    server.command(&["SET", "orders:1", "theirs"]).unwrap();
    for (user, denied) in [
        (
            SERVICE,
            &[
                "GET orders:1",
                "SET orders:1 mine",
                "DEL orders:1",
                "SET lhx mine",
                "EVAL \"return redis.call('get', 'orders:1')\" 0",
                "EVAL \"return redis.call('keys', '*')\" 0",
                "SUBSCRIBE orders",
                "PUBLISH orders hello",
                "SCAN 0",
                "KEYS *",
                "FLUSHALL",
                "CONFIG GET dir",
                "CONFIG SET maxmemory 1",
                "CLIENT LIST",
                "SCRIPT FLUSH",
                "ACL LIST",
                "REPLICAOF NO ONE",
                "SHUTDOWN",
            ][..],
        ),
        (
            OPERATOR,
            &[
                "GET orders:1",
                "SUBSCRIBE lh:wake",
                "CONFIG SET maxmemory 1",
                "FLUSHALL",
                "ACL LIST",
                "SHUTDOWN",
            ],
        ),
    ] {
        let mut session = Session::open(server);
        assert_eq!(session.ask(&format!("AUTH {user} word")), "+OK\r\n");
        assert_eq!(session.ask("SET lh:lock:job mine"), "+OK\r\n", "{user}");
        for command in denied {
            let answer = session.ask(command);
            let words = ["NOPERM", "can't access", "can't run", "ACL failure"];
            let is_denied = answer.starts_with('-') && words.iter().any(|word| answer.contains(word));
            assert!(is_denied, "{user}: {command}: {answer}");
        }
    }
    assert_eq!(server.command(&["GET", "orders:1"]).unwrap().text(), Some("theirs"));
}
