//! `loadgen demo`: the quorum lock and the naive one under the same load and the same pauses.

use std::path::PathBuf;

use crate::cli::{DemoArgs, ServerArgs};
use crate::report::html::write_comparison;
use crate::report::{self, Exit, Run, side_by_side};
use crate::run::interrupt::Interrupts;
use crate::run::plan::{LockKind, Plan};
use crate::run::settings::SettingsError;
use crate::run::stage::Stage;
use crate::run::watch::Watch;
use crate::run::{Played, RunError, play};
use crate::scenario::{ScenarioError, find};

/// The scenario `gc-pause`: long holds, so that pauses meet them; few names, so that somebody waits for each; and
/// pauses that outlast the TTL.
fn plan(seed: u64) -> Result<Plan, ScenarioError> {
    Ok(Plan::of(find("gc-pause")?, LockKind::Quorum, seed))
}

/// Plays both, saves both, and sets them side by side.
pub(crate) fn run(args: &DemoArgs) -> Result<Exit, RunError> {
    report::check_writable(&args.out)?;
    let quorum = plan(args.seed).map_err(SettingsError::from)?;
    let naive = Plan { lock: LockKind::Setnx, ..quorum.clone() };
    let watch = Watch::new(&args.watch)?;
    let servers = ServerArgs { endpoints: Vec::new(), spawn: !args.memory, memory: args.memory };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (quorum, naive) = runtime.block_on(async {
        let mut interrupts = Interrupts::new()?;
        let stage = Stage::set(LockKind::Quorum, &servers)?;
        let (quorum, quorum_folder) = play_and_save(&quorum, &stage, args, &watch, &mut interrupts).await?;
        if !quorum.run.complete {
            return Ok((quorum, None));
        }
        let (naive, naive_folder) = play_and_save(&naive, &stage, args, &watch, &mut interrupts).await?;
        let page = args.out.join("demo.html");
        write_comparison(&[quorum_folder, naive_folder], &page)?;
        eprintln!("both in one page: {}", page.display());
        Ok::<_, RunError>((quorum, Some(naive)))
    })?;
    let Some(naive) = naive.filter(|naive| naive.run.complete) else { return Ok(Exit::Invalid) };
    println!("\n{}", side_by_side(&quorum.run, &naive.run));
    println!("{}", in_words(&quorum.run, &naive.run));
    for run in [&quorum.run, &naive.run] {
        for reason in &run.invalid_because {
            println!("\nINVALID, {}: {reason}", run.lock);
        }
    }
    Ok(Exit::worst([&quorum, &naive].map(|played| {
        let promises_safety = played.run.lock == LockKind::Quorum.to_string();
        Exit::of(&played.run, promises_safety, false)
    })))
}

async fn play_and_save(
    plan: &Plan,
    stage: &Stage,
    args: &DemoArgs,
    watch: &Watch,
    interrupts: &mut Interrupts,
) -> Result<(Played, PathBuf), RunError> {
    let mut played = play(plan, stage, watch, interrupts).await?;
    let folder = played.save(&args.out)?;
    eprintln!("results in {}\n", folder.display());
    Ok((played, folder))
}

/// What the figures show, for somebody who sees them for the first time.
fn in_words(quorum: &Run, naive: &Run) -> String {
    let seconds = |ms: u64| ms as f64 / 1e3;
    let pauses = &quorum.parameters.faults;
    let paused_ms = pauses.first().map_or(0, |pause| pause.length_ms);
    let exposed = |run: &Run| run.safety.exposure.count;
    let fenced = quorum.safety.stale_writes_accepted_fenced.as_ref().map_or(0, |count| count.count);
    format!(
        "Nodes were stopped {} times for {:.1} s each, as a garbage collector would stop them; the TTL is {:.1} s. \
         {} quorum leases\nand {} naive locks were caught in it, with their holders' work half done.\n\n\
         The naive lock then had two holders at once {} times: a sleeper's key expires, the next one takes it, and the \
         sleeper\nwakes, works on, and deletes the other's key ({} times). {} writes came from holders whose time was \
         over, and all were accepted.\n\n\
         The quorum lock gave no lease while another was still valid: {} contract overlaps. No lock can keep a sleeper \
         from waking up and\ntrying to write ({} did), but each lease carries a token, and the resource let {} of them \
         past its fence.",
        pauses.len(),
        seconds(paused_ms),
        seconds(quorum.parameters.ttl_ms),
        exposed(quorum),
        exposed(naive),
        naive.safety.double_acquisition_rate.count,
        naive.safety.foreign_releases.count,
        naive.safety.stale_writes_accepted_unfenced.count,
        quorum.safety.contract_overlaps.count,
        quorum.safety.stale_writes_attempted.count,
        fenced,
    )
}
