//! The command line.

mod options;

pub(crate) use options::{LoadArgs, PauseArgs, ServerArgs, SharingArgs, WatchArgs};

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::report::comparison::Threshold;
use crate::run::plan::LockKind;
use crate::scenario::duration;

/// A macro, so that it can be put after the examples of a command.
macro_rules! exit_status {
    () => {
        "\
Exit status:
  0  fine
  1  wrong usage or environment
  2  a latency or rate threshold was missed
  3  safety was violated by a lock that promises it
  4  the run is invalid: the schedule was not kept, or it was interrupted before its end"
    };
}

/// Drives distributed locks at a steady rate, stops nodes on purpose, and judges what the locks let happen
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, after_help = exit_status!(), disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Drive one lock and write what it did into a folder
    Run(Box<RunArgs>),
    /// Put the shards of a run that several machines made together, and judge between them
    Merge(MergeArgs),
    /// Make the page of a run: one HTML file that opens anywhere, offline
    Report(ReportArgs),
    /// The same load and faults over several locks in turn, repeated, and the referee's negative controls
    Suite(Box<SuiteArgs>),
    /// The largest rate that a lock bears: p99 under a bound, no contract overlap, 99 % of the load granted
    Capacity(Box<CapacityArgs>),
    /// The scenarios that ship: list them, or print one
    Scenarios(ScenariosArgs),
    /// Put runs side by side, with a verdict in words
    Compare(CompareArgs),
    /// The quorum lock and the naive lock under the same load and the same pauses, side by side
    Demo(DemoArgs),
    /// Many clients, endpoints and networks in virtual time, from seeds; what fails is shrunk and shown
    Simulate(SimulateArgs),
    /// Three local servers for other programs, or the admission of a new set
    #[command(subcommand)]
    Trio(TrioCommand),
    /// Print a script that completes this program's commands in a shell
    Completions(CompletionsArgs),
    /// Write the manual: one page for each command
    Man(ManArgs),
    /// A part of a run's nodes; started by `run`
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  loadgen run                                        the quorum lock, 2,000 a second for 30 s
  loadgen run --lock setnx --scenario gc-pause       the naive lock, holders stopped beyond the TTL
  loadgen run --rate 500 --hold 50ms --max-p99 12ms  exits with 2 if p99 is over 12 ms
  loadgen run --memory --duration 5s                 needs no server
  loadgen run --metrics 9100                         for Prometheus at 127.0.0.1:9100/metrics

", exit_status!()))]
pub(crate) struct RunArgs {
    /// Which lock to drive
    #[arg(long, value_enum, default_value_t = LockKind::Quorum)]
    pub(crate) lock: LockKind,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// What every random choice is drawn from: the same seed gives the same arrivals, keys and pauses to every lock
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    #[command(flatten)]
    pub(crate) sharing: SharingArgs,
    #[command(flatten)]
    pub(crate) pauses: PauseArgs,
    /// The folder that gets a folder for this run
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) out: PathBuf,
    /// Exit with 2 if the 99th percentile of acquisitions, counted from their due times, is over this
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_p99: Option<Duration>,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    /// Print run.json to standard output, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Example, on two machines and then on either:
  loadgen run --shard 1/2 --start-at 2026-11-25T12:00:00Z --endpoints URL,URL,URL --out a
  loadgen run --shard 2/2 --start-at 2026-11-25T12:00:00Z --endpoints URL,URL,URL --out b
  loadgen merge a/* b/*

", exit_status!()))]
pub(crate) struct MergeArgs {
    /// The folders of all shards of one run
    #[arg(required = true, value_name = "SHARD")]
    pub(crate) shards: Vec<PathBuf>,
    /// The folder that gets a folder for the whole run
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  loadgen report results/example-gc-pause-quorum     writes report.html there")]
pub(crate) struct ReportArgs {
    /// Folders of runs; each gets its report.html anew
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  loadgen suite --scenario gc-pause                                  every lock once, then controls
  loadgen suite --scenario calm --locks quorum,redlock --repeats 5   five turns of two

", exit_status!()))]
pub(crate) struct SuiteArgs {
    /// The locks, in the order of their turns
    #[arg(
        long,
        value_enum,
        value_name = "LOCK",
        value_delimiter = ',',
        default_values = ["quorum", "setnx", "lease", "redlock", "none"]
    )]
    pub(crate) locks: Vec<LockKind>,
    /// How often each lock has its turn; a claim about speed takes five
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repeats: u32,
    /// Leave the negative controls out
    #[arg(long)]
    pub(crate) no_controls: bool,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// What every random choice is drawn from: the first repeat's seed, the next one's is one more
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) pauses: PauseArgs,
    /// The folder that gets a folder for this suite
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  loadgen capacity --max-p99 12ms --duration 10s
  loadgen capacity --lock redlock --skew hot:0.9 --rate 500

", exit_status!()))]
pub(crate) struct CapacityArgs {
    /// Which lock to drive
    #[arg(long, value_enum, default_value_t = LockKind::Quorum)]
    pub(crate) lock: LockKind,
    /// The 99th percentile of acquisitions, counted from their due times, must not be over this
    #[arg(long, value_name = "TIME", default_value = "12ms", value_parser = duration)]
    pub(crate) max_p99: Duration,
    /// How near the answer must come, as a part of it
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub(crate) within: f64,
    /// The load of each point; --rate is where the search begins, --duration the length of one point (10 s if it is not given)
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// What every random choice is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// The folder that gets a folder for this search
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.001..=0.5).contains(share));
    share.ok_or_else(|| "expected a part from 0.001 to 0.5".to_owned())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loadgen scenarios                            lists them
  loadgen scenarios gc-pause > mine.toml       one to begin with; then: loadgen run --scenario mine.toml")]
pub(crate) struct ScenariosArgs {
    /// Print this one, as the file it is
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("Examples:
  loadgen compare before/run after/run
  loadgen compare before/* -- after/* --fail-if 'p99 > +10%' --fail-if 'double_acquisition > 0'
  loadgen compare results/*-gc-pause-* --html locks.html     runs grouped by their locks

Without -- two runs are set against each other, and more of them by their locks. \
A change that is smaller than the runs' own scatter \
is noise, and fails nothing.

Figures: p50 p90 p99 p999 rate retries handoff_p50 client_cpu server_cpu contract_overlaps double_acquisition \
stale_writes stale_writes_fenced
"))]
pub(crate) struct CompareArgs {
    /// Folders of runs
    #[arg(required = true, value_name = "A")]
    pub(crate) a: Vec<PathBuf>,
    /// Folders of the runs that are set against them
    #[arg(last = true, value_name = "B")]
    pub(crate) b: Vec<PathBuf>,
    /// Write a page with all curves into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Exit with 2 if this is found: 'p99 > +10%' is a change against A, 'p99 > 12ms' a value of B itself
    #[arg(long, value_name = "RULE")]
    pub(crate) fail_if: Vec<Threshold>,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  loadgen demo               three servers of its own, two minutes
  loadgen demo --memory      needs no server

", exit_status!()))]
pub(crate) struct DemoArgs {
    /// What every random choice is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The folder that gets a folder for each run
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) out: PathBuf,
    /// Endpoints in this program's memory: nothing to install
    #[arg(long)]
    pub(crate) memory: bool,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loadgen completions bash > /etc/bash_completion.d/loadgen
  loadgen completions zsh > ~/.zfunc/_loadgen
  loadgen completions fish > ~/.config/fish/completions/loadgen.fish")]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  loadgen man man1 && man -l man1/loadgen-run.1")]
pub(crate) struct ManArgs {
    /// The folder that gets the pages
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  loadgen simulate --seeds 10000
  loadgen simulate --only 1000042 --trace         one seed, and all that happens in it
  loadgen simulate --scenario restart-amnesia     the file that runs on real servers
  loadgen simulate --controls                     rules broken on purpose, each of which must be found
  loadgen simulate --controls NoDrift --only 1000000 --trace    one, in one seed

", exit_status!()))]
pub(crate) struct SimulateArgs {
    /// Play a scenario instead of what each seed draws: its file, or the name of one that ships (`loadgen scenarios` lists
    /// them). Load and faults are the scenario's; a seed draws clocks, delays, and who asks for what when
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "controls")]
    pub(crate) scenario: Option<String>,
    /// How many seeds to play; 1,000, or 10 of a scenario, if neither this nor a time is given
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
    /// Play on for so many minutes
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) minutes: Option<u64>,
    /// The first seed; the others follow it
    #[arg(long, value_name = "S", default_value_t = 1_000_000)]
    pub(crate) seed: u64,
    /// Play this seed alone, and show its plan
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "minutes"])]
    pub(crate) only: Option<u64>,
    /// Show all that happens in it
    #[arg(long, requires = "only")]
    pub(crate) trace: bool,
    /// Break each rule on purpose, or those named, and list how many seeds the referee needs to find it; one not found is a
    /// failure
    #[arg(long, value_name = "RULE", num_args = 0.., conflicts_with = "minutes")]
    pub(crate) controls: Option<Vec<String>>,
    /// Seeds played at once; as many as there are cores if not given
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  loadgen trio up --port 7001      prints three URLs; the servers run on
  loadgen trio admit --fresh       they may vote at once, without quarantine
  loadgen trio down")]
pub(crate) enum TrioCommand {
    /// Start three servers that run on after this command, and print their URLs
    Up {
        /// The first of three ports in a row; free ones if not given
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
    },
    /// End them
    Down,
    /// Say whether they run
    Status,
    /// Admit servers to a set of endpoints
    Admit(AdmitArgs),
    /// The process in the background that owns the servers; started by `up`
    #[command(hide = true)]
    Keep {
        /// See `up`
        #[arg(long)]
        port: Option<u16>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AdmitArgs {
    /// Your word that the servers are brand-new and have lost nothing: they may vote at once, without quarantine
    #[arg(long, required = true)]
    pub(crate) fresh: bool,
    /// The servers; those of `trio up` if not given
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub(crate) endpoints: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_fleets_example_says_what_this_program_understands() {
        let job = include_str!("../../../deploy/loadgen-job.yaml");
        let (_, command) = job.split_once("exec loadgen ").expect("it runs loadgen");
        let (command, _) = command.split_once("          resources:").expect("and then has resources");
        let index = "$((JOB_COMPLETION_INDEX + 1))";
        let command =
            command.replace(index, "2").replace("START_AT", "2026-11-25T12:00:00Z").replace('"', "");
        let cli = Cli::try_parse_from(["loadgen"].into_iter().chain(command.split_whitespace())).unwrap();
        let Command::Run(run) = cli.command else { panic!("another command") };
        let shard = run.sharing.shard.unwrap();
        assert!(job.contains(&format!("completions: {0}\n  parallelism: {0}\n", shard.of)), "{shard}");
    }

    #[test]
    fn a_shard_needs_a_start_and_endpoints() {
        let parse = |args: &str| Cli::try_parse_from(args.split(' '));
        assert!(parse("loadgen run --shard 1/2").is_err());
        assert!(parse("loadgen run --shard 1/2 --start-at 1795608000").is_err());
        assert!(parse("loadgen run --start-at 1795608000 --endpoints redis://a").is_err());
        assert!(parse("loadgen run --shard 1/2 --start-at 1795608000 --endpoints redis://a").is_ok());
    }

    #[test]
    fn pauses_are_given_whole_or_not_at_all() {
        let parse = |args: &str| Cli::try_parse_from(args.split(' '));
        assert!(parse("loadgen run --pause-nodes 3").is_err());
        assert!(parse("loadgen run --pause-every 3s").is_err());
        assert!(parse("loadgen run --pause-nodes 3 --pause-every 3s --pause-for 1s").is_ok());
        assert!(parse("loadgen run --spawn --memory").is_err());
    }
}
