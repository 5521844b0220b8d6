//! What a held lease and a waiter take of this process's memory.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench memory -- --leases 100000
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use leasehold::{AcquireError, Client, Lease};
use leasehold_bench::arena::{self, Arena};
use leasehold_bench::contender::Failure;
use leasehold_bench::table::{Findings, Row};
use peak_alloc::PeakAlloc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Measures memory.
#[derive(Debug, Parser)]
struct Options {
    /// Leases held at once by one client.
    #[arg(long, default_value_t = 20_000, value_name = "COUNT")]
    leases: u32,
    /// Waiters for one name, in one client.
    #[arg(long, default_value_t = 5_000, value_name = "COUNT")]
    waiters: u32,
    /// Repeats.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    repeats: u32,
    /// Folder for the table and the JSON. Default: `results/bench-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Long enough that no renewal comes between.
const TTL: Duration = Duration::from_secs(30);
/// Acquisitions under way at once.
const AT_ONCE: usize = 1_000;
/// Memory is at rest when so many looks at it found it the same, but for what a request or two take.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_SAME: u32 = 10;
const LOOKS_MAX: u32 = 200;
const STILL_BYTES: usize = 16 * 1024;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let arena = Arena::open().await?;
    let builder = Client::builder().endpoints(arena.urls()).ttl(TTL).wait(Duration::from_secs(300));
    let client = builder.connect().await?;
    let mut rows = [Row::new("a held lease", 1), Row::new("a waiter, its task included", 1)];
    for repeat in 0..=options.repeats {
        let held = held(&client, options.leases).await?;
        let waiting = waiting(&client, options.waiters).await?;
        eprintln!("{held:.0} bytes a lease, {waiting:.0} bytes a waiter");
        // The first time round, tables and buffers grow.
        if repeat > 0 {
            rows[0].add(&[held]);
            rows[1].add(&[waiting]);
        }
    }
    let folder = arena::folder(options.out.as_deref(), "bench", &arena.started);
    let findings = Findings {
        schema: 1,
        started: arena.started,
        machine: arena.machine,
        what: format!(
            "one client: what its process has allocated more with {} leases held, and with {} waiters for one name",
            options.leases, options.waiters
        ),
        columns: vec!["bytes"],
        rows: rows.to_vec(),
        notes: Vec::new(),
    };
    arena::write(&folder, "memory", &findings.to_string(), &findings)
}

/// What is allocated when it has stayed the same for a while: late answers have come in, and what was released is gone.
async fn settled() -> Result<usize, Failure> {
    let (mut usage, mut same) = (ALLOCATOR.current_usage(), 0);
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = ALLOCATOR.current_usage();
        same = if now.abs_diff(usage) <= STILL_BYTES { same + 1 } else { 0 };
        usage = now;
        if same == LOOKS_SAME {
            return Ok(usage);
        }
    }
    Err("memory does not come to rest".into())
}

/// Bytes a held lease.
async fn held(client: &Client, count: u32) -> Result<f64, Failure> {
    let mut leases: Vec<Lease> = Vec::with_capacity(count as usize);
    let before = settled().await?;
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let turn = Arc::clone(&turns).acquire_owned().await?;
        let request = client.lease(format!("memory:{number}"));
        tasks.spawn(async move {
            let lease = request.try_acquire().await;
            drop(turn);
            lease
        });
        while let Some(lease) = tasks.try_join_next() {
            leases.push(lease??);
        }
    }
    while let Some(lease) = tasks.join_next().await {
        leases.push(lease??);
    }
    drop(tasks);
    let bytes = settled().await? as f64 - before as f64;
    let mut releases = JoinSet::new();
    for lease in leases {
        releases.spawn(lease.release());
        if releases.len() >= AT_ONCE
            && let Some(released) = releases.join_next().await
        {
            released??;
        }
    }
    while let Some(released) = releases.join_next().await {
        released??;
    }
    Ok(bytes / f64::from(count))
}

/// Bytes a waiter: all for one name that is held.
async fn waiting(client: &Client, count: u32) -> Result<f64, Failure> {
    let holder = client.lease("memory:hot").try_acquire().await?;
    let before = settled().await?;
    let mut waiters: JoinSet<Result<Lease, AcquireError>> = JoinSet::new();
    for _ in 0..count {
        waiters.spawn(client.lease("memory:hot").acquire());
    }
    // Until all have asked once and been told that it is held.
    let bytes = settled().await? as f64 - before as f64;
    if let Some(ended) = waiters.try_join_next() {
        return Err(format!("a waiter did not wait: {ended:?}").into());
    }
    waiters.shutdown().await;
    holder.release().await?;
    Ok(bytes / f64::from(count))
}
