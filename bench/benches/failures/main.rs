//! What the failure of one endpoint costs in latency, and what is said and when if two fail: every row of the README's table,
//! healthy and failing by turns, on real servers.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench failures -- --seconds 1 --repeats 3
//! ```

mod rows;
mod scene;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use leasehold_bench::arena;
use leasehold_bench::contender::Failure;
use leasehold_bench::machine::Machine;
use leasehold_trio::ServerProgram;

use self::rows::{One, Two};
use self::scene::Times;
use self::table::{OneRow, Report, TwoRow};

/// Measures latency with one endpoint of three failing, against the same servers before.
#[derive(Debug, Parser)]
struct Options {
    /// How long each sample lasts, healthy and failing.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    seconds: f64,
    /// How long a failure has lasted before it is measured: it has been detected then.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    settle: f64,
    /// Samples of each row, each on new servers.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    repeats: u32,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "", value_name = "TEXT")]
    only: String,
    /// Folder for the table and the JSON. Default: `results/failures-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&options))?;
    let folder = arena::folder(options.out.as_deref(), "failures", &report.started);
    arena::write_as(&folder, "table.md", "failures.json", &report.to_string(), &report)
}

async fn measure(options: &Options) -> Result<Report, Failure> {
    let machine = Machine::look(&ServerProgram::find()?);
    let started = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let times = Times {
        sample: Duration::try_from_secs_f64(options.seconds)?,
        settle: Duration::try_from_secs_f64(options.settle)?,
    };
    let mut one: Vec<OneRow> = One::all().iter().map(|row| OneRow::new(row.name())).collect();
    let mut two: Vec<TwoRow> = Two::ALL.iter().map(|row| TwoRow::new(row.name())).collect();
    // Repeat by repeat: what disturbs the machine for a while disturbs every row.
    for repeat in 1..=options.repeats {
        for (row, found) in
            One::all().iter().zip(&mut one).filter(|(row, _)| row.name().contains(&options.only))
        {
            eprintln!("{repeat}/{}: {}", options.repeats, row.name());
            found.samples.push(row.measure(times).await?);
        }
        for (row, found) in
            Two::ALL.iter().zip(&mut two).filter(|(row, _)| row.name().contains(&options.only))
        {
            eprintln!("{repeat}/{}: {}", options.repeats, row.name());
            found.samples.push(row.measure().await?);
        }
    }
    one.retain(|row| !row.samples.is_empty());
    two.retain(|row| !row.samples.is_empty());
    Ok(Report { schema: 1, started, machine, sample_s: options.seconds, settle_s: options.settle, one, two })
}
