//! One measurement: one contender, so many tasks, so long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use leasehold_trio::Server;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::contender::{Contender, Failure};

/// How much is asked at a time, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Tasks, each going round on a name of its own.
    pub tasks: u32,
    /// How long no task begins its last cycle.
    pub duration: Duration,
}

/// What one measurement found.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Locks acquired and released, both done.
    pub cycles: u64,
    /// From the start of the first task to the end of the last.
    pub elapsed_us: u64,
    /// Cycles of all tasks together.
    pub cycles_per_s: f64,
    /// How long acquire took.
    pub acquire_us: Percentiles,
    /// Processor time of this process, kernel included.
    pub client_cpu_us_per_cycle: f64,
    /// Processor time of the servers together, as they tell it.
    pub server_cpu_us_per_cycle: f64,
}

/// Of a latency, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Nine of ten are as fast.
    pub p90: f64,
    /// 99 of 100 are as fast.
    pub p99: f64,
}

/// Measures. Each task cycles through acquire and release without a pause.
///
/// # Errors
/// When any acquire or release fails: the locks are free and the servers healthy, so the measurement would be of something
/// else.
pub async fn sample<'a, C: Contender>(
    contender: &Arc<C>,
    label: &str,
    load: Load,
    servers: impl IntoIterator<Item = &'a Server> + Clone,
) -> Result<Sample, Failure> {
    let (client_before, servers_before) = (process_cpu(), servers_cpu(servers.clone())?);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..load.tasks {
        let name = format!("bench:{label}:{task}");
        tasks.spawn(cycle(Arc::clone(contender), name, start + load.duration));
    }
    let mut acquire_ns = histogram()?;
    while let Some(task) = tasks.join_next().await {
        acquire_ns.add(task??)?;
    }
    let elapsed = start.elapsed();
    let client_cpu = process_cpu().saturating_sub(client_before);
    let server_cpu = servers_cpu(servers)?.saturating_sub(servers_before);
    let cycles = acquire_ns.len() * C::LOCKS;
    let per_cycle = |time: Duration| time.as_secs_f64() * 1e6 / cycles as f64;
    let us = |quantile| acquire_ns.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Sample {
        cycles,
        elapsed_us: u64::try_from(elapsed.as_micros())?,
        cycles_per_s: cycles as f64 / elapsed.as_secs_f64(),
        acquire_us: Percentiles { p50: us(0.5), p90: us(0.9), p99: us(0.99) },
        client_cpu_us_per_cycle: per_cycle(client_cpu),
        server_cpu_us_per_cycle: per_cycle(server_cpu),
    })
}

async fn cycle<C: Contender>(
    contender: Arc<C>,
    name: String,
    end: Instant,
) -> Result<Histogram<u64>, Failure> {
    let mut acquire_ns = histogram()?;
    loop {
        let start = Instant::now();
        let held = contender.acquire(&name).await?;
        acquire_ns.saturating_record(u64::try_from(start.elapsed().as_nanos())?);
        contender.release(held).await?;
        if Instant::now() >= end {
            return Ok(acquire_ns);
        }
    }
}

/// 100 ns to 10 s, to one part in a hundred: small enough that each task has its own.
fn histogram() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new_with_bounds(100, 10_000_000_000, 2)?)
}

/// Processor time that this process has used, kernel included.
#[must_use]
pub fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processor time that servers have used, as they tell it.
///
/// # Errors
/// When a server does not answer.
pub fn servers_cpu<'a>(servers: impl IntoIterator<Item = &'a Server>) -> Result<Duration, Failure> {
    let mut total = Duration::ZERO;
    for server in servers {
        let reply = server.command(&["INFO", "cpu"])?;
        let info = reply.text().ok_or("INFO cpu is not a text")?;
        for name in ["used_cpu_sys:", "used_cpu_user:"] {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            let seconds: f64 = line.ok_or_else(|| format!("INFO cpu has no {name}"))?.trim().parse()?;
            total += Duration::try_from_secs_f64(seconds)?;
        }
    }
    Ok(total)
}
