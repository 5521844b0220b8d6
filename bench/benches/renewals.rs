//! One client holds many leases over three real servers: is any lost, does it burst, and what does it cost?
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench renewals -- --leases 100000 --ttl 30 --seconds 60
//! ```

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use jiff::Timestamp;
use leasehold::{Client, Lease, LossReport, Observer, RenewalReport, admin};
use leasehold_bench::arena;
use leasehold_bench::contender::Failure;
use leasehold_bench::machine::Machine;
use leasehold_bench::sample::{process_cpu, servers_cpu};
use leasehold_trio::{ServerProgram, Trio};
use serde::Serialize;
use tokio::task::JoinSet;

/// Tasks that acquire the leases.
const TASKS: usize = 256;
/// The bucket holds what flows in over this time, and bursts are looked for in windows of it.
const WINDOW: Duration = Duration::from_millis(100);

/// Measures what it costs to hold many leases.
#[derive(Debug, Parser)]
struct Options {
    /// How many leases one client holds.
    #[arg(long, default_value_t = 100_000, value_name = "COUNT")]
    leases: usize,
    /// Their TTL.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    ttl: u32,
    /// How long they are held while it is measured; half a TTL passes before.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u32,
    /// Folder for the table and the JSON. Default: `results/renewals-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    /// Version of this document.
    schema: u32,
    started: String,
    machine: Machine,
    leases: usize,
    ttl_s: u32,
    seconds: f64,
    acquired_in_s: f64,
    lost: usize,
    renewed: usize,
    renewals_failed: usize,
    /// The most that began in any window of 100 ms, and the most that the bucket may let through in one.
    burst: usize,
    burst_max: usize,
    slack_p99_s: f64,
    slack_least_s: f64,
    client_cpu_cores: f64,
    servers_cpu_cores: f64,
    client_bytes_per_lease: f64,
}

/// Counts renewals while it is switched on.
struct Watch {
    on: AtomicBool,
    start: Instant,
    /// When each renewal began, in microseconds, and its slack.
    renewals: Mutex<Vec<(u64, u64)>>,
    failed: AtomicUsize,
    lost: AtomicUsize,
}

impl Observer for Watch {
    fn on_renewal(&self, report: &RenewalReport) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        if !report.succeeded {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let began = self.start.elapsed().saturating_sub(report.latency);
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner);
        renewals.push((us(began), us(report.slack)));
    }

    fn on_loss(&self, _: &LossReport) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&options))?;
    let folder = arena::folder(options.out.as_deref(), "renewals", &report.started);
    arena::write_as(&folder, "table.md", "renewals.json", &report.to_string(), &report)?;
    if report.lost > 0 || report.burst > report.burst_max {
        return Err("leases were lost, or renewed in bursts".into());
    }
    Ok(())
}

async fn measure(options: &Options) -> Result<Report, Failure> {
    let machine = Machine::look(&ServerProgram::find()?);
    let started = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let trio = Trio::start()?;
    admin::fresh(Client::builder().endpoints(trio.urls())).await?;
    let ttl = Duration::from_secs(options.ttl.into());
    let expected = options.leases * usize::try_from(options.seconds)? * 3 / usize::try_from(options.ttl)?;
    let watch = Arc::new(Watch {
        on: AtomicBool::new(false),
        start: Instant::now(),
        // Its pages are touched before memory is measured.
        renewals: Mutex::new(vec![(1, 1); expected]),
        failed: AtomicUsize::new(0),
        lost: AtomicUsize::new(0),
    });
    watch.renewals.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let builder = Client::builder().endpoints(trio.urls()).ttl(ttl).observer(Arc::clone(&watch) as _);
    // On a machine that is busy with other things an answer may take long.
    let builder = builder.request_timeout(Duration::from_secs(5)).wait(ttl);
    let client = builder.connect().await?;

    let (empty_bytes, begun) = (resident_bytes()?, Instant::now());
    let held = acquire(&client, options.leases).await?;
    let acquired_in = begun.elapsed();
    tokio::time::sleep(ttl / 2).await;

    watch.on.store(true, Ordering::Relaxed);
    let (client_before, servers_before, begun) =
        (process_cpu(), servers_cpu(trio.servers())?, Instant::now());
    tokio::time::sleep(Duration::from_secs(options.seconds.into())).await;
    let took = begun.elapsed();
    let cores = |cpu: Duration| cpu.as_secs_f64() / took.as_secs_f64();
    let client_cpu_cores = cores(process_cpu().saturating_sub(client_before));
    let servers_cpu_cores = cores(servers_cpu(trio.servers())?.saturating_sub(servers_before));
    watch.on.store(false, Ordering::Relaxed);
    let full_bytes = resident_bytes()?;
    let over = held.iter().filter(|lease| !lease.is_valid()).count();

    let mut renewals = std::mem::take(&mut *watch.renewals.lock().unwrap_or_else(PoisonError::into_inner));
    renewals.sort_unstable();
    let mut slack_us = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3)?;
    for (_, slack) in &renewals {
        slack_us.saturating_record(*slack);
    }
    Ok(Report {
        schema: 1,
        started,
        machine,
        leases: options.leases,
        ttl_s: options.ttl,
        seconds: took.as_secs_f64(),
        acquired_in_s: acquired_in.as_secs_f64(),
        lost: watch.lost.load(Ordering::Relaxed).max(over),
        renewed: renewals.len(),
        renewals_failed: watch.failed.load(Ordering::Relaxed),
        burst: largest_burst(&renewals),
        burst_max: bucket(options.leases, ttl),
        // The 99th percentile of how little was left: one of a hundred had less.
        slack_p99_s: slack_us.value_at_quantile(0.01) as f64 / 1e6,
        slack_least_s: slack_us.min() as f64 / 1e6,
        client_cpu_cores,
        servers_cpu_cores,
        client_bytes_per_lease: full_bytes.saturating_sub(empty_bytes) as f64 / options.leases as f64,
    })
}

async fn acquire(client: &Client, count: usize) -> Result<Vec<Lease>, Failure> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let client = client.clone();
        tasks.spawn(async move {
            let mut held = Vec::with_capacity(count / TASKS + 1);
            for number in (task..count).step_by(TASKS) {
                held.push(client.lease(format!("reconciliation:txn:{number:06}")).acquire().await?);
            }
            Ok::<_, Failure>(held)
        });
    }
    let mut held = Vec::with_capacity(count);
    while let Some(task) = tasks.join_next().await {
        held.append(&mut task??);
    }
    Ok(held)
}

/// The most renewals that began within one window.
fn largest_burst(renewals: &[(u64, u64)]) -> usize {
    let window_us = u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX);
    let mut first = 0;
    let within = renewals.iter().enumerate().map(|(index, (began, _))| {
        while renewals[first].0 + window_us < *began {
            first += 1;
        }
        index - first + 1
    });
    within.max().unwrap_or(0)
}

/// What a full bucket holds, and what flows in meanwhile: each is a tenth of a second at 1.5 times the leases' own rate.
fn bucket(leases: usize, ttl: Duration) -> usize {
    let millis = |time: Duration| usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
    // Two renewals a TTL, times 1.5, for two windows.
    (leases * 2 * 3 / 2 * 2 * millis(WINDOW)).div_ceil(millis(ttl)).max(64)
}

fn resident_bytes() -> Result<usize, Failure> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: usize =
        text.split_whitespace().nth(1).ok_or("/proc/self/statm has no second number")?.parse()?;
    Ok(pages * rustix::param::page_size())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, machine, leases, ttl_s, seconds, .. } = self;
        writeln!(f, "{started}: {machine}; three servers and one client on it\n")?;
        writeln!(f, "{leases} leases of {ttl_s} s, held for {seconds:.0} s after the first half TTL\n")?;
        writeln!(f, "| what | goal | found |")?;
        writeln!(f, "|---|---|---|")?;
        writeln!(f, "| leases lost | 0 | {} |", self.lost)?;
        writeln!(f, "| renewals | | {} ({} rounds failed) |", self.renewed, self.renewals_failed)?;
        writeln!(
            f,
            "| most renewals in 100 ms | at most {} (the bucket) | {} |",
            self.burst_max, self.burst
        )?;
        let quarter = f64::from(*ttl_s) / 4.0;
        writeln!(
            f,
            "| p99 of slack | at least {quarter:.1} s | {:.1} s (least {:.1} s) |",
            self.slack_p99_s, self.slack_least_s
        )?;
        let (client, servers) = (self.client_cpu_cores, self.servers_cpu_cores);
        writeln!(
            f,
            "| processor, client and servers | at most 0.5 cores | {:.2} cores (client {client:.2}, servers {servers:.2}) |",
            client + servers
        )?;
        writeln!(
            f,
            "| client's memory per lease | at most 1,024 B | {:.0} B |",
            self.client_bytes_per_lease
        )?;
        writeln!(f, "| all acquired within | | {:.1} s |", self.acquired_in_s)
    }
}
