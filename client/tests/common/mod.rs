//! What the tests on real servers share.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test file uses its own part")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold::{
    AttemptReport, Client, ClientBuilder, EndpointState, LossReport, Observer, RenewalReport, admin,
};
use leasehold_trio::{Fsync, Persistence, Server, ServerOptions, Trio};

/// Three new servers, declared fresh.
pub async fn trio() -> Trio {
    trio_with(ServerOptions::default()).await
}

/// Three new servers whose data outlives them, declared fresh.
pub async fn lasting_trio() -> Trio {
    let persistence = Persistence::AppendOnly(Fsync::EverySecond);
    trio_with(ServerOptions { persistence, ..ServerOptions::default() }).await
}

async fn trio_with(options: ServerOptions) -> Trio {
    let trio = Trio::start_with(options).unwrap();
    admin::fresh(builder(&trio)).await.unwrap();
    trio
}

/// Settings for a client of these servers. Patient: a machine that is busy with other things is no failed endpoint.
pub fn builder(trio: &Trio) -> ClientBuilder {
    Client::builder()
        .endpoints(trio.urls())
        .connect_timeout(Duration::from_secs(10))
        .request_timeout(REQUEST_TIMEOUT)
}

/// How long a client of [`builder`] waits for an answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A client of these servers that all of them have admitted.
pub async fn client(trio: &Trio) -> Client {
    connect(builder(trio)).await
}

/// A client of these servers, so many of which vote.
pub async fn client_of(trio: &Trio, voters: usize) -> Client {
    let client = builder(trio).connect().await.unwrap();
    ready(&client, voters).await;
    client
}

/// A client that all of its endpoints have admitted and vote for.
pub async fn connect(builder: ClientBuilder) -> Client {
    let client = builder.connect().await.unwrap();
    ready(&client, 3).await;
    client
}

/// Waits until so many endpoints vote.
pub async fn ready(client: &Client, count: usize) {
    let vote = || client.endpoints().iter().filter(|status| status.state == EndpointState::Ready).count();
    eventually(&format!("{count} endpoints are ready: {client:?}"), || vote() >= count).await;
}

/// What the lock's key holds on one server.
pub fn lock_value(server: &Server, name: &str) -> Option<String> {
    server.command(&["GET", &format!("lh:lock:{name}")]).unwrap().text().map(str::to_owned)
}

/// Whether no lock at all stands on these servers.
pub fn no_locks(servers: &[Server]) -> bool {
    servers.iter().all(|server| server.command(&["KEYS", "lh:lock:*"]).unwrap().to_string() == "[]")
}

/// Takes a lock on one server as a program does that knows nothing of leases.
pub fn set_nx_px(server: &Server, name: &str, ttl: Duration) {
    let (key, ttl_ms) = (format!("lh:lock:{name}"), ttl.as_millis().to_string());
    let reply = server.command(&["SET", &key, "somebody", "NX", "PX", &ttl_ms]).unwrap();
    assert_eq!(reply.text(), Some("OK"), "{name} is not free");
}

/// Waits until something comes true; fails after ten seconds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// Waits for something that must come, within ten seconds.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(10), event).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("not within ten seconds: {what}"),
    }
}

/// A server without persistence, on any free port.
pub fn lone_server() -> Server {
    Server::start(ServerOptions::default()).unwrap()
}

/// Keeps everything it is told.
#[derive(Default)]
pub struct Recorder {
    pub attempts: Mutex<Vec<AttemptReport>>,
    pub renewals: Mutex<Vec<RenewalReport>>,
    pub losses: Mutex<Vec<LossReport>>,
}

impl Recorder {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn attempts(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }

    /// Renewal rounds that succeeded.
    pub fn renewed(&self) -> usize {
        self.renewals.lock().unwrap().iter().filter(|report| report.succeeded).count()
    }
}

impl Observer for Recorder {
    fn on_attempt(&self, report: &AttemptReport) {
        self.attempts.lock().unwrap().push(report.clone());
    }

    fn on_renewal(&self, report: &RenewalReport) {
        self.renewals.lock().unwrap().push(report.clone());
    }

    fn on_loss(&self, report: &LossReport) {
        self.losses.lock().unwrap().push(report.clone());
    }
}

/// Watches whether this process gets to run: what is late on a machine that stands still proves nothing.
pub struct Stalls {
    longest: Arc<Mutex<Duration>>,
    watch: tokio::task::JoinHandle<()>,
}

impl Stalls {
    pub fn watch() -> Self {
        let longest = Arc::new(Mutex::new(Duration::ZERO));
        let kept = Arc::clone(&longest);
        let watch = tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_millis(1)).await;
                let mut longest = kept.lock().unwrap();
                *longest = (*longest).max(begun.elapsed());
            }
        });
        Self { longest, watch }
    }

    /// The longest that a timer of one millisecond took.
    pub fn longest(&self) -> Duration {
        *self.longest.lock().unwrap()
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Chance with a seed, for tests that say which one they drew from.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to `max`.
    pub fn up_to(&mut self, max: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % (max + 1)
    }

    /// True so many times of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.up_to(99) < percent
    }
}
