//! How far the limit is: one call from a bare round trip upwards, and what three servers can do with full batches.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench limits -- --seconds 5
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use leasehold_bench::arena::{self, Arena};
use leasehold_bench::contender::{Batches, Contender, Failure, Fred, Quorum, Raw, Rslock, Rung, Step, Word};
use leasehold_bench::report::{Report, Scenario, Series};
use leasehold_bench::sample::{Load, sample};

/// Measures what lies between a lease and a bare round trip, and between its throughput and that of full batches.
#[derive(Debug, Parser)]
struct Options {
    /// How long each sample lasts.
    #[arg(long, default_value_t = 1.5, value_name = "SECONDS")]
    seconds: f64,
    /// Samples of each, after one that is not counted.
    #[arg(long, default_value_t = 7, value_name = "COUNT")]
    repeats: u32,
    /// How many batches are under way at once.
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    batches: u32,
    /// Folder for the table and the JSON. Default: `results/bench-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let threads = std::thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let report = runtime.block_on(measure(&options, threads))?;
    let folder = arena::folder(options.out.as_deref(), "bench", &report.started);
    arena::write(&folder, "limits", &report.to_string(), &report)
}

async fn measure(options: &Options, threads: usize) -> Result<Report, Failure> {
    let arena = Arena::open().await?;
    let urls = arena.urls();
    let raw: Arc<Raw<Fred>> = Arc::new(Raw::connect(&urls).await?);
    let own = Arc::new(Quorum::connect(&urls).await?);
    let rslock = Arc::new(Rslock::new(&urls)?);
    let mut steps = Vec::new();
    for rung in Rung::ALL {
        steps.push((rung.label(), Arc::new(Step::new(&raw, rung).await?)));
    }
    let word = Arc::new(Word::connect(&urls).await?);
    let batches = Arc::new(Batches(Arc::clone(&raw)));
    let duration = Duration::try_from_secs_f64(options.seconds)?;
    let mut alone = Turns { arena: &arena, load: Load { tasks: 1, duration }, series: Vec::new() };
    let mut full =
        Turns { arena: &arena, load: Load { tasks: options.batches, duration }, series: Vec::new() };
    // The first time round opens connections and warms caches.
    for repeat in 0..=options.repeats {
        let counts = repeat > 0;
        alone.take("leasehold", &own, counts).await?;
        alone.take("the script with its operation", &raw, counts).await?;
        for (label, step) in steps.iter().rev() {
            alone.take(label, step, counts).await?;
        }
        alone.take("rslock", &rslock, counts).await?;
        alone.take("PUBLISH, heard", &word, counts).await?;
        full.take("batches of 64", &batches, counts).await?;
        eprintln!("{repeat}/{}", options.repeats);
    }
    let scenarios = vec![alone.scenario(), full.scenario()];
    let Arena { machine, started, .. } = arena;
    Ok(Report {
        schema: 1,
        started,
        machine,
        threads,
        sample_s: options.seconds,
        peers: Vec::new(),
        scenarios,
    })
}

/// Contenders that take turns under one load.
struct Turns<'a> {
    arena: &'a Arena,
    load: Load,
    series: Vec<Series>,
}

impl Turns<'_> {
    async fn take<C: Contender>(
        &mut self,
        label: &str,
        contender: &Arc<C>,
        counts: bool,
    ) -> Result<(), Failure> {
        let sample = sample(contender, "limits", self.load, self.arena.trio.servers()).await?;
        if !counts {
            return Ok(());
        }
        match self.series.iter_mut().find(|series| series.label == label) {
            Some(series) => series.samples.push(sample),
            None => self.series.push(Series { label: label.to_owned(), samples: vec![sample] }),
        }
        Ok(())
    }

    fn scenario(self) -> Scenario {
        Scenario { tasks: self.load.tasks, contenders: self.series }
    }
}
