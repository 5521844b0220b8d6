//! The holder fails: it is stopped past its deadline, killed, or loses its runtime. The next one gets the lease in time, and
//! whoever comes back learns that it is over.
#![cfg(target_os = "linux")]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use leasehold::{Client, ReleaseError};
use leasehold_trio::Trio;
use rustix::process::{Pid, Signal, kill_process};

use crate::common;

const TTL: Duration = Duration::from_secs(2);
/// The longest pause between two looks at a lock that is held, and what a busy machine may be late on top.
const RETRY: Duration = Duration::from_secs(5);

const HELPER: &str = "holder::holds_a_lease_until_told";
const HELPER_URLS: &str = "LEASEHOLD_TEST_HOLDER_URLS";

/// Not a test of its own: the process that the tests below stop and kill. It takes a lease and says so, waits for a line, and
/// says what it finds then.
#[tokio::test]
#[ignore = "started by the tests below"]
async fn holds_a_lease_until_told() {
    let Ok(urls) = env::var(HELPER_URLS) else { return };
    let connect = Client::builder().endpoints(urls.split(',')).connect_timeout(Duration::from_secs(10));
    let client = connect.connect().await.unwrap();
    let lease = client.lease("job").ttl(TTL).acquire().await.unwrap();
    eprintln!("held {}", lease.fence());
    // On this thread: nothing else of the process runs before the look below.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let valid = lease.is_valid();
    let release = match lease.release().await {
        Ok(()) => "released",
        Err(ReleaseError::Lost { .. }) => "lost",
        Err(_) => "unconfirmed",
    };
    eprintln!("valid={valid} release={release}");
}

struct Holder {
    process: Child,
    words: BufReader<ChildStderr>,
}

impl Holder {
    /// Starts the process above, and waits until it holds the lease. Gives the lease's token.
    fn start(trio: &Trio) -> (Self, u64) {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", HELPER, "--ignored", "--nocapture"])
            .env(HELPER_URLS, trio.urls().join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let words = BufReader::new(process.stderr.take().unwrap());
        let mut holder = Self { process, words };
        let line = holder.line();
        let fence = line.strip_prefix("held ").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        (holder, fence)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.words.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_past_its_deadline() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let (mut holder, old_fence) = Holder::start(&trio);
    holder.signal(Signal::STOP);
    let next = client.lease("job").wait(TTL + RETRY).acquire().await.unwrap();
    assert!(
        next.fence().get() > old_fence,
        "what the sleeper writes late can be told from what is written now"
    );

    // What it does first when it wakes is to look at its lease.
    holder.process.stdin.as_mut().unwrap().write_all(b"look\n").unwrap();
    holder.signal(Signal::CONT);
    assert_eq!(holder.line(), "valid=false release=lost");
    next.validate().await.unwrap();
    next.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_and_resumed_before_its_deadline() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let (mut holder, _) = Holder::start(&trio);
    holder.signal(Signal::STOP);
    holder.process.stdin.as_mut().unwrap().write_all(b"look\n").unwrap();
    holder.signal(Signal::CONT);
    let line = holder.line();
    // On a machine that stood still meanwhile it is over, and both words say so.
    assert!(["valid=true release=released", "valid=false release=lost"].contains(&line.as_str()), "{line}");
    client.lease("job").wait(TTL + RETRY).acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let (holder, old_fence) = Holder::start(&trio);
    let waiting = tokio::spawn(client.lease("job").wait(Duration::from_secs(60)).acquire());
    drop(holder);
    let killed = Instant::now();
    let next = waiting.await.unwrap().unwrap();
    assert!(killed.elapsed() < TTL + RETRY, "free only after {:?}", killed.elapsed());
    assert!(next.fence().get() > old_fence);
}

#[test]
fn its_runtime_shut_down() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (own, others) = (runtime(), runtime());
    let (trio, lease) = own.block_on(async {
        let trio = common::trio().await;
        let lease = common::client(&trio).await.lease("job").ttl(TTL).acquire().await.unwrap();
        (trio, lease)
    });
    own.shutdown_background();
    let gone = Instant::now();
    let client = others.block_on(common::client(&trio));
    let next = others.block_on(client.lease("job").wait(Duration::from_secs(60)).acquire()).unwrap();
    assert!(gone.elapsed() < TTL + RETRY, "free only after {:?}", gone.elapsed());
    assert!(!lease.is_valid(), "two hold it");
    assert!(next.fence() > lease.fence());
    others.block_on(next.release()).unwrap();
}
