//! `loadgen suite`: the same load, schedule and faults over several locks in turn, and the referee's negative controls.
//!
//! - `controls`: locks that are wrong on purpose, and whether the referee caught them.
//! - `table`: all locks side by side, on a terminal.

mod controls;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cli::{ServerArgs, SuiteArgs};
use crate::report::html::write_comparison;
use crate::report::{self, Exit, Run, compact_utc};
use crate::run::interrupt::Interrupts;
use crate::run::plan::{LockKind, Plan};
use crate::run::settings;
use crate::run::stage::Stage;
use crate::run::watch::Watch;
use crate::run::{RunError, play};

/// Servers of the suite's own, new for every run: what one lock left behind meets no other.
const OWN_SERVERS: ServerArgs = ServerArgs { endpoints: Vec::new(), spawn: true, memory: false };

/// Plays everything, saves everything, and sets it side by side.
pub(crate) fn run(args: &SuiteArgs) -> Result<Exit, RunError> {
    report::check_writable(&args.out)?;
    let mut locks = args.locks.clone();
    locks.dedup();
    let plan = settings::plan(&args.load, &args.pauses, &OWN_SERVERS, LockKind::Quorum, args.seed)?;
    let watch = Watch::new(&args.watch)?;
    let folder = folder(&args.out, &plan, args.seed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (runs, folders, controls) = runtime.block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (runs, folders) = play_all(&plan, &locks, args.repeats, &folder, &watch, &mut interrupts).await?;
        let complete = runs.iter().all(|run| run.complete);
        let controls = if args.no_controls || !complete {
            Vec::new()
        } else {
            controls::play_all(args.seed, &watch, &mut interrupts).await?
        };
        Ok::<_, RunError>((runs, folders, controls))
    })?;
    let text = format!("{}\n{}", table::side_by_side(&locks, &runs), controls::told(&controls));
    fs::write(folder.join("suite.txt"), &text)?;
    fs::write(folder.join("controls.json"), serde_json::to_string_pretty(&controls)?)?;
    let page = folder.join("suite.html");
    write_comparison(&folders, &page)?;
    println!("{text}");
    eprintln!("all locks on one page: {}", page.display());
    eprintln!("results in {}", folder.display());
    Ok(verdict(&locks, &runs, &controls))
}

async fn play_all(
    plan: &Plan,
    locks: &[LockKind],
    repeats: u32,
    folder: &Path,
    watch: &Watch,
    interrupts: &mut Interrupts,
) -> Result<(Vec<Run>, Vec<PathBuf>), RunError> {
    let (mut runs, mut folders) = (Vec::new(), Vec::new());
    for repeat in 0..repeats {
        // Whoever comes first would otherwise always come first.
        let mut turns = locks.to_vec();
        turns.rotate_left(repeat as usize % locks.len().max(1));
        for lock in turns {
            let plan = Plan { lock, seed: plan.seed + u64::from(repeat), ..plan.clone() };
            let stage = Stage::set(lock, &OWN_SERVERS)?;
            let mut played = play(&plan, &stage, watch, interrupts).await?;
            folders.push(played.save(folder)?);
            let complete = played.run.complete;
            runs.push(played.run);
            if !complete {
                return Ok((runs, folders));
            }
        }
    }
    Ok((runs, folders))
}

/// A lock that broke its promise, a run that is not valid, or a control that was not caught.
fn verdict(locks: &[LockKind], runs: &[Run], controls: &[controls::Outcome]) -> Exit {
    let missed = controls.iter().any(|control| !control.caught());
    let promises = |run: &Run| locks.iter().any(|lock| lock.to_string() == run.lock && lock.is_ours());
    let exits = runs.iter().map(|run| Exit::of(run, promises(run), false));
    Exit::worst(exits.chain([if missed { Exit::Invalid } else { Exit::Fine }]))
}

fn folder(out: &Path, plan: &Plan, seed: u64) -> Result<PathBuf, RunError> {
    let name = format!("{}-suite-{}-{seed}", compact_utc(SystemTime::now()), plan.scenario);
    let folder = out.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
