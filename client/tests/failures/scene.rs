//! Three servers, one of which something befalls while leases are held and others are taken and given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold::{AcquireError, Client, EndpointState, Lease, LeaseState, admin};
use leasehold_trio::{Fault, Forwarder, Server, Trio};

use crate::common::{self, Recorder};

/// Short, so that held leases are renewed often; long enough for a machine that is busy with other things.
pub(crate) const TTL: Duration = Duration::from_secs(3);
/// Which server it befalls.
pub(crate) const STRUCK: usize = 1;
const HELD: usize = 8;
/// Between cycles: they are to go on, not to load the machine.
const PAUSE: Duration = Duration::from_millis(10);
/// An attempt that waited for the endpoint that fails would take longer.
const AT_ONCE: Duration = Duration::from_millis(250);

pub(crate) struct Scene {
    pub(crate) trio: Trio,
    pub(crate) way: Forwarder,
    pub(crate) client: Client,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) held: Vec<Lease>,
    cycles: usize,
}

impl Scene {
    /// Three healthy servers and a client that holds some leases on all of them.
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// The same, with other settings of the client.
    pub(crate) async fn with(
        settings: impl FnOnce(leasehold::ClientBuilder) -> leasehold::ClientBuilder,
    ) -> Self {
        let trio = Trio::start_with(Fault::options()).unwrap();
        admin::fresh(common::builder(&trio)).await.unwrap();
        let way = Forwarder::start(trio.servers()[STRUCK].port()).unwrap();
        let [first, _, third] = trio.urls();
        let recorder = Recorder::new();
        let builder = common::builder(&trio).endpoints([first, way.url(), third]).ttl(TTL);
        let client = common::connect(settings(builder).observer(Arc::clone(&recorder) as _)).await;
        let mut held = Vec::new();
        for number in 0..HELD {
            held.push(client.lease(format!("held:{number}")).acquire().await.unwrap());
        }
        let everywhere = || {
            (0..HELD).all(|number| {
                let name = format!("held:{number}");
                trio.servers().iter().all(|server| common::lock_value(server, &name).is_some())
            })
        };
        common::eventually("all three hold the leases", everywhere).await;
        Self { trio, way, client, recorder, held, cycles: 0 }
    }

    /// Healthy servers, one of which this befalls.
    pub(crate) async fn struck_by(fault: &Fault) -> Self {
        let mut scene = Self::new().await;
        scene.strike(fault);
        scene
    }

    pub(crate) fn strike(&mut self, fault: &Fault) {
        fault.strike(self.trio.server(STRUCK), &self.way).unwrap();
    }

    /// The server that something befell.
    pub(crate) fn server(&self) -> &Server {
        &self.trio.servers()[STRUCK]
    }

    /// How the client sees it.
    pub(crate) fn state(&self) -> EndpointState {
        self.client.endpoints()[STRUCK].state.clone()
    }

    /// Grants go on at once, and the leases that are held are renewed, twice each.
    pub(crate) async fn goes_on(&mut self) {
        let (renewals, attempts) = (self.recorder.renewals.lock().unwrap().len(), self.recorder.attempts());
        let end = Instant::now() + Duration::from_secs(60);
        while !self.renewed_twice_since(renewals) {
            assert!(Instant::now() < end, "not renewed: {:?}", self.held);
            self.cycle().await;
            tokio::time::sleep(PAUSE).await;
        }
        self.nothing_is_lost();
        let mut took: Vec<Duration> = self.recorder.attempts.lock().unwrap()[attempts..]
            .iter()
            .map(|attempt| attempt.latency)
            .collect();
        took.sort();
        assert!(took[took.len() / 2] < AT_ONCE, "attempts wait for the endpoint that fails: {took:?}");
    }

    /// Takes a free lease at the first attempt, and gives it back.
    pub(crate) async fn cycle(&mut self) {
        self.cycles += 1;
        let lease = self.client.lease(format!("cycle:{}", self.cycles)).try_acquire().await;
        lease.unwrap_or_else(|error| panic!("{error}")).release().await.unwrap();
    }

    fn renewed_twice_since(&self, begin: usize) -> bool {
        let mut counts = HashMap::new();
        for report in &self.recorder.renewals.lock().unwrap()[begin..] {
            if report.succeeded && !report.shadow {
                *counts.entry(report.name.clone()).or_insert(0) += 1;
            }
        }
        self.held.iter().all(|lease| counts.get(lease.name()).is_some_and(|&count| count >= 2))
    }

    /// The leases that are held were never over, nor in doubt.
    pub(crate) fn nothing_is_lost(&self) {
        assert!(self.recorder.losses.lock().unwrap().is_empty(), "{:?}", self.recorder.losses);
        assert!(self.held.iter().all(|lease| lease.state() == LeaseState::Held), "{:?}", self.held);
    }

    /// With a second endpoint gone, the error says of the one that failed what is wrong with it.
    pub(crate) async fn says(&mut self, words: &[&str]) {
        self.trio.server(2).kill().unwrap();
        let error = self.client.lease("one:too:many").try_acquire().await.unwrap_err();
        let (AcquireError::NoQuorum { endpoints, .. } | AcquireError::NotALock { endpoints, .. }) = &error
        else {
            panic!("{error}")
        };
        let told = &endpoints.0[STRUCK];
        assert_eq!(told.endpoint, format!("127.0.0.1:{}", self.way.port()));
        assert!(words.iter().any(|word| told.reason.contains(word)), "{words:?} in: {error}");
        assert!(is_healthy(&endpoints.0[0].reason), "{error}");
    }
}

/// What is said of an endpoint that is gone, depending on what met its end first.
pub(crate) const GONE: [&str; 4] = ["refused", "closed", "reset", "Broken pipe"];

/// What is said of an endpoint that nothing befell, in the error that others brought about.
pub(crate) fn is_healthy(reason: &str) -> bool {
    ["granted", "no answer yet"].contains(&reason)
}
