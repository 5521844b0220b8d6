//! One of three endpoints hung: it takes connections and answers nothing. Free locks, leasehold beside `rslock`.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench outage -- --seconds 10
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use leasehold_bench::arena::{self, Arena};
use leasehold_bench::contender::{Contender, Failure, Quorum, Rslock};
use leasehold_bench::sample::{Load, Sample, sample};
use leasehold_bench::table::{Findings, Row};
use leasehold_trio::Trio;

/// Measures free locks while one endpoint hangs.
#[derive(Debug, Parser)]
struct Options {
    /// How long each sample lasts.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    seconds: f64,
    /// Samples of each lock, healthy and hung.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    repeats: u32,
    /// How many tasks go round at once, each on a name of its own.
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    tasks: u32,
    /// Folder for the table and the JSON. Default: `results/bench-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const COLUMNS: [&str; 6] = [
    "healthy p50 us",
    "healthy p99 us",
    "hung p50 us",
    "hung p99 us",
    "p99 hung / healthy",
    "cycles/s hung / healthy",
];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let arena = Arena::open().await?;
    let urls = arena.urls();
    let own = Arc::new(Quorum::connect(&urls).await?);
    let rslock = Arc::new(Rslock::new(&urls)?);
    let load = Load { tasks: options.tasks, duration: Duration::try_from_secs_f64(options.seconds)? };
    let mut rows = [Row::new("leasehold", COLUMNS.len()), Row::new("rslock", COLUMNS.len())];
    for repeat in 0..=options.repeats {
        let pairs = [
            pair(&own, "leasehold", load, &arena.trio).await?,
            pair(&rslock, "rslock", load, &arena.trio).await?,
        ];
        // The first time round opens connections and warms caches.
        if repeat > 0 {
            rows.iter_mut().zip(pairs).for_each(|(row, pair)| row.add(&values(pair)));
        }
    }
    let folder = arena::folder(options.out.as_deref(), "bench", &arena.started);
    let findings = Findings {
        schema: 1,
        started: arena.started,
        machine: arena.machine,
        what: format!(
            "free locks, {} tasks, {} s each; then the same with one server stopped",
            load.tasks, options.seconds
        ),
        columns: COLUMNS.to_vec(),
        rows: rows.to_vec(),
        notes: Vec::new(),
    };
    arena::write(&folder, "outage", &findings.to_string(), &findings)
}

/// Healthy, and right after it with one server stopped.
async fn pair<C: Contender>(
    contender: &Arc<C>,
    label: &str,
    load: Load,
    trio: &Trio,
) -> Result<[Sample; 2], Failure> {
    let [_, third, _] = trio.servers();
    let healthy = sample(contender, label, load, trio.servers()).await?;
    third.pause()?;
    let [first, _, last] = trio.servers();
    let hung = sample(contender, label, load, [first, last]).await;
    third.resume()?;
    let hung = hung?;
    let ms = |sample: &Sample| sample.acquire_us.p99 / 1e3;
    eprintln!("{label}: p99 {:.2} ms healthy, {:.2} ms hung", ms(&healthy), ms(&hung));
    Ok([healthy, hung])
}

fn values([healthy, hung]: [Sample; 2]) -> [f64; COLUMNS.len()] {
    [
        healthy.acquire_us.p50,
        healthy.acquire_us.p99,
        hung.acquire_us.p50,
        hung.acquire_us.p99,
        hung.acquire_us.p99 / healthy.acquire_us.p99,
        hung.cycles_per_s / healthy.cycles_per_s,
    ]
}
