//! One run from the command line to its folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cli::RunArgs;
use crate::clock::{cpu_ns, duration_ns, now_ns, time_until};
use crate::proxy::{Proxy, groups, measure, redirected};
use crate::referee::Violations;
use crate::report::{self, Beside, Environment, Exit, Run, SaveError, shareable_command, summary};
use crate::run::coordinator::{Conclusion, Share, StartError, conduct};
use crate::run::endpoints::without_password;
use crate::run::environment::describe;
use crate::run::interrupt::Interrupts;
use crate::run::plan::{Plan, Route};
use crate::run::preflight::{self, PreflightError};
use crate::run::settings::{self, SettingsError};
use crate::run::stage::{Stage, StageError};
use crate::run::summary::{Circumstances, sum_up};
use crate::run::usage;
use crate::run::watch::{Watch, WatchError};
use crate::scenario::FaultKind;
use crate::shards::{
    ClockError, ClockLog, ClockWatch, Ledger, PART_FILE, PartFile, RECORDS_FILE, Shard, StartAt,
};

/// Why there is no run to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Results(#[from] report::FolderError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Clocks(#[from] ClockError),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Html(#[from] report::html::HtmlError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl RunError {
    /// What to tell the shell.
    pub(crate) fn exit(&self) -> Exit {
        if let Self::Start(StartError::Interrupted) = self { Exit::Invalid } else { Exit::Usage }
    }
}

/// `loadgen run`.
pub(crate) fn run(args: &RunArgs) -> Result<Exit, RunError> {
    let mut plan = settings::plan(&args.load, &args.pauses, &args.servers, args.lock, args.seed)?;
    let start_at = match (args.sharing.shard, args.sharing.start_at) {
        (Some(shard), Some(start_at)) => {
            settings::share(&mut plan, shard)?;
            Some(start_at)
        }
        _ => None,
    };
    let watch = Watch::new(&args.watch)?;
    report::check_writable(&args.out)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut played = runtime.block_on(async {
        let mut interrupts = Interrupts::new()?;
        let stage = Stage::set(plan.lock, &args.servers)?;
        play_shared(&plan, &stage, &watch, &mut interrupts, start_at.map(|at| (at, args.out.as_path()))).await
    })?;
    let folder = played.save(&args.out)?;
    let promises_safety = plan.lock.promises_exclusion();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&played.run)?);
    } else {
        println!("{}", summary(&played.run, promises_safety));
    }
    eprintln!("results in {}", folder.display());
    Ok(Exit::of(&played.run, promises_safety, misses(&played.run, args.max_p99)))
}

/// A run that is over.
pub(crate) struct Played {
    pub(crate) run: Run,
    conclusion: Conclusion,
    /// What it is a part of, if it is one.
    part: Option<PartFile>,
    /// When its measured part began.
    started: SystemTime,
}

impl Played {
    /// Writes its folder.
    pub(crate) fn save(&mut self, results: &Path) -> Result<PathBuf, SaveError> {
        let beside = self.beside()?;
        let Conclusion { measured, findings, faults, start_ns, .. } = &self.conclusion;
        let warm_up_ns = self.run.parameters.warm_up_ms.saturating_mul(1_000_000);
        let violations = Violations {
            started_ns: Some(start_ns.saturating_add(warm_up_ns)),
            ..findings.violations.clone()
        };
        let faults = faults.lines(self.run.parameters.warm_up_ms, self.run.parameters.faults_simulated);
        report::save(results, self.started, &self.run, &measured.timeline, &violations, &faults, beside)
    }

    fn beside(&mut self) -> Result<Beside, SaveError> {
        let Some(part) = &self.part else { return Ok(Beside::default()) };
        let Shard { number, of } = part.shard;
        let ledger = self.conclusion.measured.ledger.take();
        Ok(Beside {
            suffix: format!("-{number}of{of}"),
            files: vec![(PART_FILE.to_owned(), serde_json::to_vec(part)?)],
            moved: ledger.map(|ledger| (RECORDS_FILE.to_owned(), ledger)).into_iter().collect(),
        })
    }
}

/// Plays a plan on a stage.
pub(crate) async fn play(
    plan: &Plan,
    stage: &Stage,
    watch: &Watch,
    interrupts: &mut Interrupts,
) -> Result<Played, RunError> {
    play_shared(plan, stage, watch, interrupts, None).await
}

/// The same; a part of a run begins when all parts do, and keeps its records beside the results.
async fn play_shared(
    plan: &Plan,
    stage: &Stage,
    watch: &Watch,
    interrupts: &mut Interrupts,
    shared: Option<(StartAt, &Path)>,
) -> Result<Played, RunError> {
    let mut plan = Plan { endpoints: stage.urls(), ..plan.clone() };
    if matches!(stage, Stage::Empty) {
        // Nothing can be done to servers that there are not.
        plan.faults.retain(|fault| matches!(fault.kind, FaultKind::PauseNode { .. }));
    }
    if !plan.lock.speaks_redis() {
        // FLUSHALL is a command of Redis.
        plan.faults.retain(|fault| !matches!(fault.kind, FaultKind::Flush { .. }));
    }
    let proxy = between(&mut plan, stage)?;
    let plan = Arc::new(plan);
    watch.tell(format_args!("{} lock on {}", plan.lock, stage.describe()));
    tokio::select! {
        checked = preflight::check(&plan, stage) => checked?,
        () = interrupts.next() => return Err(StartError::Interrupted.into()),
    }
    if let Some(proxy) = proxy.as_ref().filter(|_| plan.lock.speaks_redis()) {
        announce(proxy, stage, watch).await?;
    }
    let server = describe(&plan.endpoints).await.map(|mut server| {
        server.settings.extend(stage.settings());
        server
    });
    let (cpu_before_ns, server_cpu_before_s) = (cpu_ns(), stage.cpu_s());
    let clocks = shared.map(|_| ClockWatch::start(&plan.endpoints)).transpose()?;
    let share = match (&clocks, shared) {
        (Some(clocks), Some((start_at, results))) => {
            let (start_ns, by) = clocks.when(start_at).await?;
            let left_s = time_until(start_ns).as_secs_f64();
            watch.tell(format_args!("shard {} begins in {left_s:.1} s by the clock of {by}", plan.shard));
            Some(Share { start_ns, ledger: Ledger::create(results)? })
        }
        _ => None,
    };
    let conclusion = conduct(&plan, stage, proxy.as_ref(), watch, interrupts, share).await?;
    let end_ns = now_ns();
    let part = match (clocks, shared) {
        (Some(clocks), Some((start_at, _))) => {
            Some(part(&plan, start_at, (conclusion.start_ns, end_ns), clocks.finish()?))
        }
        _ => None,
    };
    let not_sent = conclusion.measured.counts.not_sent();
    if not_sent > 0 {
        eprintln!("warning: {not_sent} arrivals were not sent, because the queue of their node was full");
    }
    let measured_start_ns = conclusion.start_ns.saturating_add(plan.load.measured_ns().0);
    let started = SystemTime::now() - Duration::from_nanos(now_ns().saturating_sub(measured_start_ns));
    let around = Circumstances {
        command: shareable_command(std::env::args()),
        started,
        environment: Environment {
            real_time: Some(conclusion.real_time),
            ..Environment::of_this_machine(server)
        },
        cpu: Duration::from_nanos(cpu_ns().saturating_sub(cpu_before_ns)),
        rss_kib: usage::rss_kib_max().unwrap_or(0),
        server_cpu_s: stage.cpu_s().zip(server_cpu_before_s).map(|(after, before)| after - before),
        in_memory: stage.memory().is_some(),
    };
    Ok(Played { run: sum_up(&plan, around, &conclusion), conclusion, part, started })
}

/// What the parts of a run must agree about, and what their times rest on.
fn part(plan: &Plan, start_at: StartAt, (start_ns, end_ns): (u64, u64), clocks: Vec<ClockLog>) -> PartFile {
    let (schema, version) = PartFile::version();
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let calendar_ns = i128::from(duration_ns(since_1970)) - i128::from(now_ns());
    PartFile {
        schema,
        version,
        shard: plan.shard,
        start_at: start_at.to_string(),
        endpoints: plan.endpoints.iter().map(|url| without_password(url)).collect(),
        start_ns,
        end_ns,
        calendar_ns: i64::try_from(calendar_ns).unwrap_or(0),
        clocks,
    }
}

/// A proxy between the nodes and the servers, where the plan has faults for the links.
fn between(plan: &mut Plan, stage: &Stage) -> io::Result<Option<Proxy>> {
    let groups = groups(plan.load.nodes, &plan.planned_faults());
    if groups.is_empty() || plan.endpoints.is_empty() {
        return Ok(None);
    }
    let proxy = Proxy::start(groups.len(), &stage.addresses(), plan.lock.speaks_redis(), plan.seed)?;
    for (group, nodes) in groups.into_iter().enumerate() {
        let urls = plan.endpoints.iter().enumerate();
        let urls = urls.filter_map(|(endpoint, url)| Some(redirected(url, proxy.address(group, endpoint)?)));
        plan.routes.push(Route { nodes, endpoints: urls.collect() });
    }
    Ok(Some(proxy))
}

/// What the proxy costs, so that nobody takes it for the lock's.
async fn announce(proxy: &Proxy, stage: &Stage, watch: &Watch) -> io::Result<()> {
    let (Some(straight), Some(proxied)) = (stage.addresses().into_iter().next(), proxy.address(0, 0)) else {
        return Ok(());
    };
    let measured = tokio::task::spawn_blocking(move || measure(&straight, proxied)).await?;
    match measured {
        Ok(overhead) => watch.tell(format_args!("fault proxy   {overhead}")),
        Err(error) => eprintln!("warning: what the fault proxy costs could not be measured: {error}"),
    }
    Ok(())
}

/// Whether a threshold was missed; one that too few samples speak of was not kept.
fn misses(run: &Run, max_p99: Option<Duration>) -> bool {
    let Some(max) = max_p99 else { return false };
    let max_us = max.as_secs_f64() * 1e6;
    match run.latency_us.acquire.p99 {
        Some(p99_us) if p99_us <= max_us => return false,
        Some(p99_us) => {
            eprintln!("MISSED: p99 of acquire is {:.3} ms, over {:.3} ms", p99_us / 1e3, max_us / 1e3);
        }
        None => eprintln!(
            "MISSED: {} acquisitions are too few to speak of a p99; run for longer",
            run.latency_us.acquire.count
        ),
    }
    true
}
