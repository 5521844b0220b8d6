//! One hot name, 40 nodes with clients of their own, held for 5 ms: leasehold beside `rslock` and the naive lock.
//!
//! ```console
//! $ cargo bench -p leasehold-bench --bench contention -- --seconds 8 --repeats 9
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use leasehold_bench::arena::{self, Arena};
use leasehold_bench::contender::Failure;
use leasehold_bench::contest::{self, ContestSample, HotLeasehold, HotNaive, HotRslock, Rival, Terms, Tries};
use leasehold_bench::table::{Findings, Row};

/// Measures one hot name.
#[derive(Debug, Parser)]
struct Options {
    /// How long each contest lasts.
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    seconds: f64,
    /// Contests of each lock, after a short one that is not counted.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    repeats: u32,
    /// Nodes, each with a client and connections of its own.
    #[arg(long, default_value_t = 40, value_name = "COUNT")]
    nodes: u32,
    /// How long each holds the lock.
    #[arg(long, default_value_t = 5, value_name = "MS")]
    hold_ms: u64,
    /// Folder for the table and the JSON. Default: `results/bench-<utc>` in the workspace.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const COLUMNS: [&str; 10] = [
    "grants/s",
    "held, share of time",
    "wait p50 us",
    "wait p99 us",
    "wait p99, turns",
    "Jain index",
    "retries per grant",
    "given up per grant",
    "hand-over p50 us",
    "hand-over, round trips",
];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let arena = Arena::open().await?;
    let urls = arena.urls();
    let terms = Terms {
        hold: Duration::from_millis(options.hold_ms),
        duration: Duration::try_from_secs_f64(options.seconds)?,
    };
    let tries: [Arc<Tries>; 3] = std::array::from_fn(|_| Arc::default());
    let (mut own, mut rslock, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.nodes {
        own.push(Arc::new(HotLeasehold::connect(&urls, &tries[0]).await?));
        rslock.push(Arc::new(HotRslock::new(&urls, &tries[1])?));
        naive.push(Arc::new(HotNaive::connect(&urls, &tries[2]).await?));
    }
    let labels = ["leasehold", "rslock", "naive, polling every 10 ms"];
    let mut rows = labels.map(|label| Row::new(label, COLUMNS.len()));
    for repeat in 0..=options.repeats {
        let terms = if repeat == 0 { Terms { duration: Duration::from_secs(1), ..terms } } else { terms };
        let samples = [
            contest(labels[0], &own, &tries[0], terms, &urls[0]).await?,
            contest(labels[1], &rslock, &tries[1], terms, &urls[0]).await?,
            contest(labels[2], &naive, &tries[2], terms, &urls[0]).await?,
        ];
        if repeat > 0 {
            rows.iter_mut().zip(samples).for_each(|(row, sample)| row.add(&values(sample)));
        }
    }
    let folder = arena::folder(options.out.as_deref(), "bench", &arena.started);
    let findings = Findings {
        schema: 1,
        started: arena.started,
        machine: arena.machine,
        what: format!(
            "one name, {} nodes with clients of their own, held for {} ms, {} s each",
            options.nodes, options.hold_ms, options.seconds
        ),
        columns: COLUMNS.to_vec(),
        rows: rows.to_vec(),
        notes: vec![
            "Retries are attempts after the first of each grant. A turn is the time in which every other node holds the lock \
             once, hand-over included. A hand-over is the time from the call of release to the next holder at work; a round \
             trip is the middle PING of the same time."
                .to_owned(),
            "rslock and the naive lock find out by polling; the naive lock asks one server only, and nothing guards it."
                .to_owned(),
        ],
    };
    arena::write(&folder, "contention", &findings.to_string(), &findings)
}

async fn contest<R: Rival>(
    label: &str,
    nodes: &[Arc<R>],
    tries: &Tries,
    terms: Terms,
    url: &str,
) -> Result<ContestSample, Failure> {
    let sample = contest::run(nodes, tries, terms, url).await?;
    eprintln!("{label}: {:.0} grants/s, held {:.2} of the time", sample.grants_per_s, sample.held_share);
    Ok(sample)
}

fn values(sample: ContestSample) -> [f64; COLUMNS.len()] {
    [
        sample.grants_per_s,
        sample.held_share,
        sample.wait_p50_us,
        sample.wait_p99_us,
        sample.wait_p99_turns,
        sample.jain,
        sample.retries_per_grant,
        sample.given_up_per_grant,
        sample.hand_over_p50_us,
        sample.hand_over_round_trips,
    ]
}
