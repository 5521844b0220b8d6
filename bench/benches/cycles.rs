//! Acquire and release over three real servers: leasehold beside `rslock` and the raw limit, taking turns in one process.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench cycles -- --seconds 10 --repeats 9
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use leasehold::{Client, admin};
use leasehold_bench::contender::{Failure, Quorum, Raw, Rslock};
use leasehold_bench::machine::Machine;
use leasehold_bench::report::{Report, Scenario, Series};
use leasehold_bench::sample::{Load, Sample, sample};
use leasehold_trio::{ServerOptions, ServerProgram, Trio};

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
    #[arg(long, value_delimiter = ',', default_values_t = [Lock::Leasehold, Lock::Rslock, Lock::Raw], value_name = "LOCKS")]
    locks: Vec<Lock>,
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
    Raw,
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Leasehold => "leasehold",
            Self::Rslock => "rslock",
            Self::Raw => "raw",
        })
    }
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let cores = std::thread::available_parallelism()?.get();
    let threads = options.threads.unwrap_or(cores);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let report = runtime.block_on(measure(&options, threads))?;
    println!("{report}");
    let folder = options.out.unwrap_or_else(|| default_folder(&report.started));
    write(&report, &folder)?;
    println!("written to {}", folder.display());
    Ok(())
}

async fn measure(options: &Options, threads: usize) -> Result<Report, Failure> {
    let program = ServerProgram::find()?;
    let machine = Machine::look(&program);
    let started = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let trio = Trio::start_with(ServerOptions { program: Some(program), ..ServerOptions::default() })?;
    let arena = Arena::open(trio).await?;
    let duration = Duration::try_from_secs_f64(options.seconds)?;
    let mut scenarios = Vec::new();
    for &tasks in &options.tasks {
        let load = Load { tasks, duration };
        let mut contenders: Vec<Series> = options
            .locks
            .iter()
            .map(|lock| Series { label: lock.to_string(), samples: Vec::new() })
            .collect();
        for repeat in 0..=options.repeats {
            for (lock, series) in options.locks.iter().zip(&mut contenders) {
                let sample = arena.sample(*lock, load).await?;
                eprintln!(
                    "{tasks} tasks, {lock}, {repeat}/{}: {:.0} cycles/s",
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
    Ok(Report { schema: 1, started, machine, threads, sample_s: options.seconds, scenarios })
}

/// Three servers, and every contender connected to them.
struct Arena {
    quorum: Arc<Quorum>,
    rslock: Arc<Rslock>,
    raw: Arc<Raw>,
    trio: Trio,
}

impl Arena {
    async fn open(trio: Trio) -> Result<Self, Failure> {
        let urls = trio.urls();
        admin::fresh(Client::builder().endpoints(urls.clone())).await?;
        Ok(Self {
            quorum: Arc::new(Quorum::connect(&urls).await?),
            rslock: Arc::new(Rslock::new(&urls)?),
            raw: Arc::new(Raw::connect(&urls).await?),
            trio,
        })
    }

    async fn sample(&self, lock: Lock, load: Load) -> Result<Sample, Failure> {
        let label = lock.to_string();
        match lock {
            Lock::Leasehold => sample(&self.quorum, &label, load, &self.trio).await,
            Lock::Rslock => sample(&self.rslock, &label, load, &self.trio).await,
            Lock::Raw => sample(&self.raw, &label, load, &self.trio).await,
        }
    }
}

/// Cargo starts a bench in its package's folder and says which that is.
fn default_folder(started: &str) -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let workspace = package.and_then(|package| package.parent().map(Path::to_owned)).unwrap_or_default();
    workspace.join("results").join(format!("bench-{started}"))
}

fn write(report: &Report, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(folder.join("table.txt"), report.to_string()))
        .and_then(|()| fs::write(folder.join("cycles.json"), serde_json::to_vec_pretty(report)?))
        .map_err(|error| {
            format!("cannot write {}: {error}; name a folder with --out", folder.display()).into()
        })
}
