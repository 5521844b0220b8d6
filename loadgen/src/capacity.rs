//! `loadgen capacity`: the largest rate that a lock bears. Doubles the rate until a point fails, then halves the stretch
//! between the last that held and the first that failed.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::cli::{CapacityArgs, PauseArgs};
use crate::report::{self, Exit, Run, compact_utc, table};
use crate::run::interrupt::Interrupts;
use crate::run::plan::Plan;
use crate::run::settings;
use crate::run::stage::Stage;
use crate::run::watch::Watch;
use crate::run::{RunError, play};

/// Where the search begins, and how long each point is, unless the command line says.
const RATE_FIRST: f64 = 250.0;
const POINT: Duration = Duration::from_secs(10);
/// Two to the power of this from where it begins, and as many halvings.
const STEPS_MAX: u32 = 14;
/// Of what is offered, this much must be granted.
const GRANTED_SHARE_MIN: f64 = 0.99;

/// One rate, and what it came to.
struct Point {
    rate_per_s: f64,
    run: Run,
    /// Why the lock does not bear it; nothing if it does.
    because: Option<String>,
}

/// Finds it, and prints every point on the way.
pub(crate) fn run(args: &CapacityArgs) -> Result<Exit, RunError> {
    report::check_writable(&args.out)?;
    let none = PauseArgs { pause_nodes: None, pause_every: None, pause_for: None };
    let mut plan = settings::plan(&args.load, &none, &args.servers, args.lock, args.seed)?;
    plan.load.rate_per_s = args.load.rate.unwrap_or(RATE_FIRST);
    plan.load.duration = args.load.duration.unwrap_or(POINT);
    let name = format!("{}-capacity-{}-{}", compact_utc(SystemTime::now()), args.lock, args.seed);
    let folder = args.out.join(name);
    fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let watch = Watch::new(&args.watch)?;
    let mut points = runtime.block_on(async {
        let interrupts = Interrupts::new()?;
        Search { args, plan, folder: &folder, watch: &watch, interrupts, points: Vec::new() }.run().await
    })?;
    points.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
    let text = told(args, &points);
    fs::write(folder.join("capacity.txt"), &text)?;
    println!("{text}");
    eprintln!("results in {}", folder.display());
    let ours = args.lock.is_ours();
    let broken = points.iter().map(|point| match Exit::of(&point.run, ours, false) {
        // That the sender gives up somewhere is what is looked for.
        Exit::Invalid => Exit::Fine,
        exit => exit,
    });
    Ok(Exit::worst(broken))
}

struct Search<'a> {
    args: &'a CapacityArgs,
    plan: Plan,
    folder: &'a std::path::Path,
    watch: &'a Watch,
    interrupts: Interrupts,
    points: Vec<Point>,
}

impl Search<'_> {
    async fn run(mut self) -> Result<Vec<Point>, RunError> {
        let (mut held, mut failed) = (0.0, f64::INFINITY);
        let mut rate_per_s = self.plan.load.rate_per_s;
        for _ in 0..STEPS_MAX * 2 {
            if self.holds(rate_per_s).await? {
                held = rate_per_s;
            } else {
                failed = rate_per_s;
            }
            if (failed - held) / failed <= self.args.within || self.interrupted() {
                break;
            }
            rate_per_s = if failed.is_infinite() { held * 2.0 } else { f64::midpoint(held, failed) };
        }
        Ok(self.points)
    }

    async fn holds(&mut self, rate_per_s: f64) -> Result<bool, RunError> {
        let mut plan = self.plan.clone();
        plan.load.rate_per_s = rate_per_s;
        let stage = Stage::set(plan.lock, &self.args.servers)?;
        let mut played = play(&plan, &stage, self.watch, &mut self.interrupts).await?;
        played.save(self.folder)?;
        let because = shortcoming(&played.run, self.args.max_p99);
        let verdict = because.as_deref().unwrap_or("holds");
        eprintln!("{rate_per_s:.0}/s: {verdict}\n");
        let holds = because.is_none();
        self.points.push(Point { rate_per_s, run: played.run, because });
        Ok(holds)
    }

    fn interrupted(&self) -> bool {
        self.points.last().is_some_and(|point| !point.run.complete)
    }
}

/// Why a lock does not bear what was asked of it.
fn shortcoming(run: &Run, max_p99: Duration) -> Option<String> {
    let max_us = max_p99.as_secs_f64() * 1e6;
    let overlaps = run.safety.contract_overlaps.count;
    let share = run.achieved_per_s / run.offered_per_s.max(f64::MIN_POSITIVE);
    if !run.complete {
        return Some("interrupted".to_owned());
    }
    if overlaps > 0 {
        return Some(format!("{overlaps} contract overlaps"));
    }
    match run.latency_us.acquire.p99 {
        None => return Some("too few acquisitions to speak of a p99".to_owned()),
        Some(p99_us) if p99_us > max_us => return Some(format!("p99 is {:.2} ms", p99_us / 1e3)),
        Some(_) => {}
    }
    if share < GRANTED_SHARE_MIN {
        return Some(format!("{:.1} % of the load was granted", share * 100.0));
    }
    run.invalid_because.first().cloned()
}

fn told(args: &CapacityArgs, points: &[Point]) -> String {
    let mut shown = table::table(["rate", "granted", "p50, ms", "p99, ms", "retries", ""]);
    for Point { rate_per_s, run, because } in points {
        let acquire = &run.latency_us.acquire;
        shown.add_row(table::row([
            table::per_second(*rate_per_s),
            table::per_second(run.achieved_per_s),
            table::ms(acquire.p50),
            table::ms(acquire.p99),
            run.contention.retries_per_grant.map_or_else(String::new, table::decimal),
            because.clone().unwrap_or_else(|| "holds".to_owned()),
        ]));
    }
    let held = points.iter().filter(|point| point.because.is_none()).map(|point| point.rate_per_s);
    let most = held.fold(0.0, f64::max);
    let bound_ms = args.max_p99.as_secs_f64() * 1e3;
    let verdict = if most > 0.0 {
        format!(
            "{} bears {most:.0} acquisitions a second with p99 under {bound_ms:.1} ms, to within {:.0} %; one search, \
             on one machine with its servers",
            args.lock,
            args.within * 100.0
        )
    } else {
        format!("{} bears none of these rates with p99 under {bound_ms:.1} ms", args.lock)
    };
    format!("{shown}\n\n{verdict}\n")
}
