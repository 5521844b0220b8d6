//! Plays a scene under many schedules, each of which a seed fixes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, MaxSteps, Runner};

use crate::sync::Control;
use crate::sync::time::World;

/// Schedules of each scene, unless `LEASEHOLD_SCHEDULES` says how many: enough to keep the scenes true. `make races` plays more.
const SCHEDULES: usize = 100;
/// Schedules within which what is broken on purpose must be found.
const CONTROL_SCHEDULES: usize = 5_000;
/// More than any run takes: one that takes more goes on for ever.
const STEPS_MAX: usize = 200_000;
/// Preemptions that a priority schedule places.
const DEPTH: usize = 3;
/// Futures of a whole client are deep.
const STACK_BYTES: usize = 512 * 1024;

/// Plays a scene: half of its schedules draw each step, half give priorities to tasks and change them a few times. A schedule that
/// fails is printed; `LEASEHOLD_SCHEDULE` plays it again.
pub(super) fn explore<F: Future<Output = ()>>(scene: impl Fn() -> F + Clone + Send + Sync + 'static) {
    if let Ok(schedule) = std::env::var("LEASEHOLD_SCHEDULE") {
        play(ReplayScheduler::new_from_encoded(&schedule), None, &Played::default(), scene);
    } else if let Err(failure) = play_all(None, setting("LEASEHOLD_SCHEDULES").unwrap_or(SCHEDULES), scene) {
        resume_unwind(failure);
    }
}

/// Plays a scene with a rule broken. Says whether that was found.
pub(super) fn finds<F: Future<Output = ()>>(
    broken: Control,
    scene: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> bool {
    play_all(Some(broken), CONTROL_SCHEDULES, scene).is_err()
}

/// Says how many schedules were played, the one that failed among them.
fn play_all<F: Future<Output = ()>>(
    broken: Option<Control>,
    schedules: usize,
    scene: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> thread::Result<()> {
    let seed = setting("LEASEHOLD_SEED").unwrap_or(1);
    let half = schedules.div_ceil(2);
    let played = Played::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let drawn = Paced::new(RandomScheduler::new_from_seed(seed, half), seed);
        play(drawn, broken, &played, scene.clone());
        let ranked = Paced::new(PctScheduler::new_from_seed(seed, DEPTH, half), seed);
        play(ranked, broken, &played, scene);
    }));
    println!("{} schedules explored", played.load(Ordering::Relaxed));
    outcome
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

type Played = Arc<AtomicUsize>;

fn play<F: Future<Output = ()>>(
    scheduler: impl Scheduler + 'static,
    broken: Option<Control>,
    played: &Played,
    scene: impl Fn() -> F + Send + Sync + 'static,
) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    let played = Arc::clone(played);
    Runner::new(scheduler, config).run(move || {
        played.fetch_add(1, Ordering::Relaxed);
        World::begin(broken);
        // The first task to be started: the scheduler knows it by that.
        drop(shuttle::future::spawn(World::pass()));
        shuttle::future::block_on(scene());
    });
}

/// Lets time pass where nothing else can happen, and elsewhere as often as the world wants it.
#[derive(Debug)]
struct Paced<S> {
    scheduler: S,
    /// A stream of its own: what tasks draw stays what it is when a schedule is played again.
    draws: u64,
}

const TIME: usize = 1;

impl<S> Paced<S> {
    fn new(scheduler: S, seed: u64) -> Self {
        Self { scheduler, draws: seed.max(1) }
    }

    fn draw(&mut self) -> u64 {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        self.draws
    }
}

impl<S: Scheduler> Scheduler for Paced<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.scheduler.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let passes = World::haste().is_some_and(|one_in| self.draw().is_multiple_of(one_in));
        let others: Vec<&Task> =
            runnable.iter().copied().filter(|task| usize::from(task.id()) != TIME).collect();
        if others.is_empty() || (passes && others.len() < runnable.len()) {
            return Some(TIME.into());
        }
        self.scheduler.next_task(&others, current, yields)
    }

    fn next_u64(&mut self) -> u64 {
        self.scheduler.next_u64()
    }
}
