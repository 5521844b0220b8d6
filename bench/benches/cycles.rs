//! Acquire and release over three real servers: leasehold beside `rslock` and the raw limit, taking turns in one process.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench cycles -- --seconds 10 --repeats 9
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use leasehold_bench::arena::{self, Arena};
use leasehold_bench::contender::{Failure, Fred, Quorum, Raw, RedisRs, Rslock};
use leasehold_bench::peer::Peer;
use leasehold_bench::report::{Report, Scenario, Series};
use leasehold_bench::sample::{Load, Sample, sample};

/// Measures acquire and release of free locks over three real servers.
#[derive(Debug, Parser)]
struct Options {
    /// How long each sample lasts.
    #[arg(long, default_value_t = 1.5, value_name = "SECONDS")]
    seconds: f64,
    /// Samples of each contender under each load, after one that is not counted.
    #[arg(long, default_value_t = 7, value_name = "COUNT")]
    repeats: u32,
    /// Loads: how many tasks go round at once, each on a name of its own.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 40, 400], value_name = "COUNTS")]
    tasks: Vec<u32>,
    /// Who takes part. Ratios are the first one's to the others.
    #[arg(long, value_delimiter = ',', default_values_t = Lock::ALL, value_name = "LOCKS")]
    locks: Vec<Lock>,
    /// Where `bench/peers/install` put peers of other languages. Default: `target/peers`.
    #[arg(long, value_name = "FOLDER")]
    peers: Option<PathBuf>,
    /// The most tasks that peers of other languages are asked for: they have one thread.
    #[arg(long, default_value_t = 40, value_name = "COUNT")]
    peer_tasks: u32,
    /// Worker threads of the runtime. Default: as many as cores.
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Folder for the table and the JSON. Default: `results/bench-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lock {
    Leasehold,
    Rslock,
    RawFred,
    RawRedisRs,
}

impl Lock {
    const ALL: [Self; 4] = [Self::Leasehold, Self::Rslock, Self::RawFred, Self::RawRedisRs];
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Leasehold => "leasehold",
            Self::Rslock => "rslock",
            Self::RawFred => "raw-fred",
            Self::RawRedisRs => "raw-redis-rs",
        })
    }
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let cores = std::thread::available_parallelism()?.get();
    let threads = options.threads.unwrap_or(cores);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let report = runtime.block_on(measure(&options, threads))?;
    let folder = arena::folder(options.out.as_deref(), "bench", &report.started);
    arena::write(&folder, "cycles", &report.to_string(), &report)
}

async fn measure(options: &Options, threads: usize) -> Result<Report, Failure> {
    let arena = Arena::open().await?;
    let locks = Locks::connect(&arena).await?;
    let installed = options.peers.clone().unwrap_or_else(installed_peers);
    let mut peers = Peer::start_all(&installed, &arena.urls())?;
    let duration = Duration::try_from_secs_f64(options.seconds)?;
    let mut scenarios = Vec::new();
    for &tasks in &options.tasks {
        let load = Load { tasks, duration };
        let asked = if tasks <= options.peer_tasks { &mut peers[..] } else { &mut [] };
        let labels = options.locks.iter().map(Lock::to_string).chain(asked.iter().map(Peer::to_string));
        let mut contenders: Vec<Series> = labels.map(|label| Series { label, samples: Vec::new() }).collect();
        for repeat in 0..=options.repeats {
            let mut samples = Vec::new();
            for lock in &options.locks {
                samples.push(locks.sample(*lock, load, &arena).await?);
            }
            for peer in asked.iter_mut() {
                samples.push(peer.sample(load, &arena.trio)?);
            }
            for (series, sample) in contenders.iter_mut().zip(samples) {
                let Series { label, .. } = series;
                eprintln!(
                    "{tasks} tasks, {label}, {repeat}/{}: {:.0} cycles/s",
                    options.repeats, sample.cycles_per_s
                );
                // The first time round opens connections and warms caches.
                if repeat > 0 {
                    series.samples.push(sample);
                }
            }
        }
        scenarios.push(Scenario { tasks, contenders });
    }
    let Arena { machine, started, .. } = arena;
    let peers = peers.iter().map(Peer::note).collect();
    Ok(Report { schema: 1, started, machine, threads, sample_s: options.seconds, peers, scenarios })
}

/// Every contender of this process, connected.
struct Locks {
    quorum: Arc<Quorum>,
    rslock: Arc<Rslock>,
    raw_fred: Arc<Raw<Fred>>,
    raw_redis_rs: Arc<Raw<RedisRs>>,
}

impl Locks {
    async fn connect(arena: &Arena) -> Result<Self, Failure> {
        let urls = arena.urls();
        Ok(Self {
            quorum: Arc::new(Quorum::connect(&urls).await?),
            rslock: Arc::new(Rslock::new(&urls)?),
            raw_fred: Arc::new(Raw::connect(&urls).await?),
            raw_redis_rs: Arc::new(Raw::connect(&urls).await?),
        })
    }

    async fn sample(&self, lock: Lock, load: Load, arena: &Arena) -> Result<Sample, Failure> {
        let (label, servers) = (lock.to_string(), arena.trio.servers());
        match lock {
            Lock::Leasehold => sample(&self.quorum, &label, load, servers).await,
            Lock::Rslock => sample(&self.rslock, &label, load, servers).await,
            Lock::RawFred => sample(&self.raw_fred, &label, load, servers).await,
            Lock::RawRedisRs => sample(&self.raw_redis_rs, &label, load, servers).await,
        }
    }
}

/// Where `bench/peers/install` puts them.
fn installed_peers() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new(""));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    target.join("peers")
}
