//! Three servers, one of which something befalls, and a client under a steady load that also holds leases.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use leasehold::{Client, ClientBuilder, EndpointState, Lease, LossReport, Observer, admin};
use leasehold_bench::contender::Failure;
use leasehold_trio::{Fault, Forwarder, Trio};
use serde::Serialize;
use tokio::task::JoinSet;

/// Which server it befalls.
pub(crate) const STRUCK: usize = 1;
/// Tasks that acquire and release, and how long each pauses in between: a load that leaves the machine room.
const TASKS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(3);
/// Leases that are held meanwhile, and a TTL so short that all of them are renewed during a sample.
const HELD: u32 = 50;
const TTL: Duration = Duration::from_millis(1_500);

/// How long everything lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) sample: Duration,
    pub(crate) settle: Duration,
}

/// What the load met.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) grants: u64,
    /// Attempts that brought none.
    pub(crate) failed: u64,
    pub(crate) acquire_p50_us: f64,
    pub(crate) acquire_p99_us: f64,
    pub(crate) release_p99_us: f64,
}

pub(crate) struct Scene {
    pub(crate) trio: Trio,
    pub(crate) way: Forwarder,
    pub(crate) client: Client,
    pub(crate) held: Vec<Lease>,
    pub(crate) losses: Arc<Losses>,
}

/// The losses there were.
#[derive(Default)]
pub(crate) struct Losses(pub(crate) Mutex<Vec<LossReport>>);

impl Observer for Losses {
    fn on_loss(&self, report: &LossReport) {
        let mut losses = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        losses.push(report.clone());
    }
}

impl Losses {
    pub(crate) fn all(&self) -> Vec<LossReport> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Scene {
    /// Healthy servers, and a client that all of them have admitted.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let trio = Trio::start_with(Fault::options())?;
        admin::fresh(Client::builder().endpoints(trio.urls())).await?;
        let way = Forwarder::start(trio.servers()[STRUCK].port())?;
        let losses = Arc::new(Losses::default());
        let client = builder(&trio, &way, &losses).connect().await?;
        until(|| client.endpoints().iter().all(|endpoint| endpoint.state == EndpointState::Ready)).await?;
        let mut held = Vec::new();
        for number in 0..HELD {
            held.push(client.lease(format!("held:{number}")).acquire().await?);
        }
        until(|| held.iter().all(|lease: &Lease| lease.votes() == 3)).await?;
        Ok(Self { trio, way, client, held, losses })
    }

    /// Another client of the same servers, as they are.
    pub(crate) async fn reconnect(&mut self) -> Result<(), Failure> {
        self.client = builder(&self.trio, &self.way, &self.losses).connect().await?;
        Ok(())
    }

    pub(crate) fn strike(&mut self, fault: &Fault) -> Result<(), Failure> {
        Ok(fault.strike(self.trio.server(STRUCK), &self.way)?)
    }

    /// The keys of the locks that the load takes.
    pub(crate) fn keys() -> Vec<String> {
        (0..TASKS).map(|task| format!("lh:lock:{}", name(task))).collect()
    }

    /// The load goes round for so long.
    pub(crate) async fn sample(&self, time: Duration) -> Result<Sample, Failure> {
        let (end, failed) = (Instant::now() + time, Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            tasks.spawn(cycle(self.client.clone(), name(task), end, Arc::clone(&failed)));
        }
        let (mut acquire, mut release) = (histogram()?, histogram()?);
        for found in tasks.join_all().await {
            let (acquired, released) = found?;
            acquire.add(acquired)?;
            release.add(released)?;
        }
        let us = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Sample {
            grants: acquire.len(),
            failed: failed.load(Ordering::Relaxed),
            acquire_p50_us: us(&acquire, 0.5),
            acquire_p99_us: us(&acquire, 0.99),
            release_p99_us: us(&release, 0.99),
        })
    }
}

fn builder(trio: &Trio, way: &Forwarder, losses: &Arc<Losses>) -> ClientBuilder {
    let [first, _, third] = trio.urls();
    Client::builder().endpoints([first, way.url(), third]).ttl(TTL).observer(Arc::clone(losses) as _)
}

fn name(task: u32) -> String {
    format!("cycle:{task}")
}

type Latencies = (Histogram<u64>, Histogram<u64>);

async fn cycle(
    client: Client,
    name: String,
    end: Instant,
    failed: Arc<AtomicU64>,
) -> Result<Latencies, Failure> {
    let (mut acquire, mut release) = (histogram()?, histogram()?);
    while Instant::now() < end {
        let begun = Instant::now();
        match client.lease(&name).try_acquire().await {
            Ok(lease) => {
                acquire.saturating_record(u64::try_from(begun.elapsed().as_nanos())?);
                let begun = Instant::now();
                lease.release().await?;
                release.saturating_record(u64::try_from(begun.elapsed().as_nanos())?);
            }
            Err(error) => {
                eprintln!("no grant: {error}");
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok((acquire, release))
}

fn histogram() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new_with_bounds(100, 60_000_000_000, 3)?)
}

/// Waits until something comes true, at most twenty seconds.
pub(crate) async fn until(holds: impl Fn() -> bool) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        if Instant::now() > end {
            return Err("the servers did not become what they were to be within 20 s".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
