//! Many nodes at one rate: acquisitions fall due whether or not earlier ones are done, and each is counted from when it was
//! due. A node that falls behind cannot hide it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use leasehold_trio::Trio;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::contender::{Contender, Failure};
use crate::sample::{process_cpu, servers_cpu};

/// More than this under way at once is a collapse: what falls due then is counted as failed, not queued.
const UNDER_WAY_MAX: u64 = 5_000;
/// Names that take turns: so many that each is free again when its turn comes.
const NAMES: u64 = 100_000;

/// What one run at one rate found.
#[derive(Clone, Copy, Debug)]
pub struct OpenSample {
    /// Acquired and released.
    pub done: u64,
    /// Refused, timed out, or due during a collapse.
    pub failed: u64,
    /// From due to granted.
    pub p50_us: f64,
    /// From due to granted, 99 of 100.
    pub p99_us: f64,
    /// Processor time of all nodes, kernel included.
    pub client_cpu_us_per_cycle: f64,
    /// Processor time of the three servers.
    pub server_cpu_us_per_cycle: f64,
}

impl OpenSample {
    /// Whether all were granted, and 99 of 100 within this time.
    #[must_use]
    pub fn keeps(&self, p99_max: Duration) -> bool {
        self.failed == 0 && self.p99_us <= p99_max.as_secs_f64() * 1e6
    }
}

/// Runs so many acquisitions a second for so long, nodes in turn.
///
/// # Errors
/// When a server does not answer. Acquisitions that fail are counted.
pub async fn run<C: Contender>(
    nodes: &[Arc<C>],
    label: &str,
    rate: f64,
    duration: Duration,
    trio: &Trio,
) -> Result<OpenSample, Failure> {
    let (client_before, servers_before) = (process_cpu(), servers_cpu(trio.servers())?);
    let (found, mut finds) = mpsc::unbounded_channel();
    let pacer = Pacer {
        nodes: nodes.to_vec(),
        label: label.to_owned(),
        runtime: Handle::current(),
        under_way: Arc::new(AtomicU64::new(0)),
        found,
    };
    // A thread of its own: the runtime's timers are a millisecond coarse.
    let pacer = std::thread::spawn(move || pacer.pace(rate, duration));
    let mut latency_ns: Histogram<u64> = Histogram::new_with_bounds(1_000, 60_000_000_000, 2)?;
    let mut failed = 0;
    while let Some(granted_ns) = finds.recv().await {
        match granted_ns {
            Some(ns) => latency_ns.saturating_record(ns),
            None => failed += 1,
        }
    }
    pacer.join().map_err(|_| "the pacer has panicked")?;
    let client = process_cpu().saturating_sub(client_before);
    let servers = servers_cpu(trio.servers())?.saturating_sub(servers_before);
    let per_cycle = |time: Duration| time.as_secs_f64() * 1e6 / latency_ns.len().max(1) as f64;
    Ok(OpenSample {
        done: latency_ns.len(),
        failed,
        p50_us: latency_ns.value_at_quantile(0.5) as f64 / 1e3,
        p99_us: latency_ns.value_at_quantile(0.99) as f64 / 1e3,
        client_cpu_us_per_cycle: per_cycle(client),
        server_cpu_us_per_cycle: per_cycle(servers),
    })
}

/// The highest rate that keeps the bound, to a twentieth: doubled until it does not, then halved in between.
///
/// # Errors
/// As [`run`].
pub async fn capacity<C: Contender>(
    nodes: &[Arc<C>],
    label: &str,
    p99_max: Duration,
    duration: Duration,
    trio: &Trio,
) -> Result<f64, Failure> {
    const START: f64 = 1_000.0;
    let (mut kept, mut broken) = (0.0, f64::INFINITY);
    let mut rate = START;
    while broken - kept > kept / 20.0 && rate > START / 32.0 {
        let sample = run(nodes, label, rate, duration, trio).await?;
        eprintln!("  {label} at {rate:.0}/s: p99 {:.1} ms, {} failed", sample.p99_us / 1e3, sample.failed);
        if sample.keeps(p99_max) {
            kept = rate;
        } else {
            broken = rate;
        }
        rate = if broken.is_finite() { f64::midpoint(kept, broken) } else { rate * 2.0 };
    }
    Ok(kept)
}

struct Pacer<C> {
    nodes: Vec<Arc<C>>,
    label: String,
    runtime: Handle,
    under_way: Arc<AtomicU64>,
    /// Nanoseconds from due to granted, or `None`.
    found: mpsc::UnboundedSender<Option<u64>>,
}

impl<C: Contender> Pacer<C> {
    fn pace(self, rate: f64, duration: Duration) {
        let start = Instant::now();
        for (number, node) in (0_u64..).zip(self.nodes.iter().cycle()) {
            let after = Duration::from_secs_f64(number as f64 / rate);
            if after >= duration {
                break;
            }
            let due = start + after;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.under_way.load(Ordering::Relaxed) >= UNDER_WAY_MAX {
                // The receiver waits for all senders: it is there.
                let _ = self.found.send(None);
                continue;
            }
            self.under_way.fetch_add(1, Ordering::Relaxed);
            let (node, under_way, found) =
                (Arc::clone(node), Arc::clone(&self.under_way), self.found.clone());
            let name = format!("bench:{}:{}", self.label, number % NAMES);
            self.runtime.spawn(async move {
                let granted_ns = match node.acquire(&name).await {
                    Ok(held) => {
                        let ns = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                        node.release(held).await.is_ok().then_some(ns)
                    }
                    Err(_) => None,
                };
                under_way.fetch_sub(1, Ordering::Relaxed);
                let _ = found.send(granted_ns);
            });
        }
    }
}
