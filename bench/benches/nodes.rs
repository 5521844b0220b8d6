//! Many nodes, each with a client and connections of its own, open loop: how much 40 of them can ask for, and what a grant
//! costs when the same load comes from more of them. leasehold beside the raw limit of its driver.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench nodes -- --seconds 5
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use leasehold_bench::arena::{self, Arena};
use leasehold_bench::contender::{Failure, Fred, Quorum, Raw};
use leasehold_bench::open_loop;
use leasehold_bench::table::{Findings, Row};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Measures many nodes.
#[derive(Debug, Parser)]
struct Options {
    /// How long each rate is kept up.
    #[arg(long, default_value_t = 1.5, value_name = "SECONDS")]
    seconds: f64,
    /// Repeats of everything.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    repeats: u32,
    /// How many nodes there are; the first number is asked for its capacity, too.
    #[arg(long, value_delimiter = ',', default_values_t = [40, 200, 1000], value_name = "COUNTS")]
    nodes: Vec<u32>,
    /// The load that all numbers of nodes share, acquisitions a second.
    #[arg(long, default_value_t = 1000.0, value_name = "RATE")]
    rate: f64,
    /// Capacity is the highest rate at which 99 of 100 are granted within this time after they were due.
    #[arg(long, default_value_t = 12, value_name = "MS")]
    p99_ms: u64,
    /// Folder for the tables and the JSON. Default: `results/bench-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const CAPACITY: [&str; 1] = ["capacity, cycles/s"];
const COST: [&str; 5] = [
    "acquire p50 us",
    "acquire p99 us",
    "client cpu us/cycle",
    "servers cpu us/cycle",
    "cpu / that of the fewest",
];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    raise_file_limit()?;
    let arena = Arena::open().await?;
    let folder = arena::folder(options.out.as_deref(), "bench", &arena.started);
    let capacity = capacity(&options, &arena).await?;
    arena::write(&folder, "capacity", &capacity.to_string(), &capacity)?;
    let cost = cost(&options, &arena).await?;
    arena::write(&folder, "nodes", &cost.to_string(), &cost)
}

async fn capacity(options: &Options, arena: &Arena) -> Result<Findings, Failure> {
    let duration = Duration::try_from_secs_f64(options.seconds)?;
    let p99_max = Duration::from_millis(options.p99_ms);
    let nodes = options.nodes.first().copied().unwrap_or(40);
    let (urls, trio) = (arena.urls(), &arena.trio);
    let (own, raw) = (own(&urls, nodes).await?, raw(&urls, nodes).await?);
    let mut rows = [Row::new("leasehold", 1), Row::new("raw, fred", 1), Row::new("leasehold / raw, fred", 1)];
    for _ in 0..options.repeats {
        let own = open_loop::capacity(&own, "leasehold", p99_max, duration, trio).await?;
        let raw = open_loop::capacity(&raw, "raw", p99_max, duration, trio).await?;
        rows.iter_mut().zip([own, raw, own / raw]).for_each(|(row, value)| row.add(&[value]));
    }
    Ok(Findings {
        schema: 1,
        started: arena.started.clone(),
        machine: arena.machine.clone(),
        what: format!(
            "{nodes} nodes with clients of their own, open loop, free locks: the highest rate that keeps p99 from due to \
             granted within {} ms, to a twentieth, {} s a rate",
            options.p99_ms, options.seconds
        ),
        columns: CAPACITY.to_vec(),
        rows: rows.to_vec(),
        notes: Vec::new(),
    })
}

async fn cost(options: &Options, arena: &Arena) -> Result<Findings, Failure> {
    let duration = Duration::try_from_secs_f64(options.seconds)?;
    let mut crews = Vec::new();
    for &count in &options.nodes {
        crews.push(own(&arena.urls(), count).await?);
    }
    let mut rows: Vec<Row> =
        options.nodes.iter().map(|count| Row::new(format!("{count} nodes"), COST.len())).collect();
    for repeat in 0..=options.repeats {
        let mut fewest = None;
        for (crew, row) in crews.iter().zip(&mut rows) {
            let sample = open_loop::run(crew, "leasehold", options.rate, duration, &arena.trio).await?;
            eprintln!("{}: p99 {:.2} ms, {} failed", row.label, sample.p99_us / 1e3, sample.failed);
            if sample.failed > 0 {
                return Err(format!(
                    "{}: {} failed at {}/s; ask for less",
                    row.label, sample.failed, options.rate
                )
                .into());
            }
            let cpu = sample.client_cpu_us_per_cycle + sample.server_cpu_us_per_cycle;
            let ratio = cpu / *fewest.get_or_insert(cpu);
            let (client, servers) = (sample.client_cpu_us_per_cycle, sample.server_cpu_us_per_cycle);
            // The first time round warms caches.
            if repeat > 0 {
                row.add(&[sample.p50_us, sample.p99_us, client, servers, ratio]);
            }
        }
    }
    Ok(Findings {
        schema: 1,
        started: arena.started.clone(),
        machine: arena.machine.clone(),
        what: format!(
            "leasehold, the same load of {}/s from more and more nodes with clients of their own, free locks, {} s each",
            options.rate, options.seconds
        ),
        columns: COST.to_vec(),
        rows,
        notes: vec!["All nodes are connected all the time, also while others are asked.".to_owned()],
    })
}

async fn own(urls: &[String; 3], count: u32) -> Result<Vec<Arc<Quorum>>, Failure> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Arc::new(Quorum::connect(urls).await?));
    }
    Ok(nodes)
}

async fn raw(urls: &[String; 3], count: u32) -> Result<Vec<Arc<Raw<Fred>>>, Failure> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Arc::new(Raw::connect(urls).await?));
    }
    Ok(nodes)
}

/// A thousand clients have three thousand sockets, and the servers, which inherit the limit, as many together.
fn raise_file_limit() -> Result<(), Failure> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}
