//! A worker: plays some of a run's nodes, in a process of its own (with endpoints in memory: in a thread).

use std::collections::HashMap;
use std::io;
use std::num::NonZero;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream::SplitStream;
use leasehold::memory::MemoryEndpoints;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::clock::{cpu_ns, now_ns, time_until};
use crate::locks::{self, Lock};
use crate::run::alarm::Alarm;
use crate::run::calibration;
use crate::run::gate::Gate;
use crate::run::link::{Closing, Frames, Order, Report, decode, frames, receive, send};
use crate::run::node::{Node, QUEUE_MAX};
use crate::run::outbox::{Outbox, post};
use crate::run::pacer::release;
use crate::run::packing::{Packing, Parcel};
use crate::run::plan::Plan;
use crate::run::priority::step_forward;
use crate::run::probe::Probe;
use crate::run::schedule::{Arrival, Schedule};
use crate::run::usage;
use crate::run::waiting::Waiting;

/// Threads of a worker: what is due on one that is busy with an acquisition, most of a millisecond long, goes out on
/// another.
const THREADS_MIN: usize = 2;
/// More would only wake each other up.
const THREADS_MAX: usize = 4;
/// How often a worker reports what it measured.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Workers report at times of their own in that second: all at once would be in each other's way.
const REPORT_TIMES: u32 = 16;

/// The process that `loadgen run` starts: its standard input is the link to the coordinator.
pub(crate) fn main() -> io::Result<()> {
    // The other half of the bargain is in the link: it ends when the coordinator does, on every system.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let real_time = step_forward();
    let threads = thread::available_parallelism().map_or(THREADS_MIN, NonZero::get);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(threads.clamp(THREADS_MIN, THREADS_MAX))
        // Whether it may was seen above.
        .on_thread_start(|| _ = step_forward())
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async { follow_orders(frames(link)?, None, real_time).await });
    // Nothing that is still running matters any more.
    runtime.shutdown_background();
    outcome
        .map_err(|error| io::Error::new(error.kind(), format!("a worker, started by `loadgen run`: {error}")))
}

/// What a worker shares with the coordinator as a thread of its process.
pub(crate) struct Surroundings {
    pub(crate) memory: MemoryEndpoints,
    pub(crate) gate: Arc<Gate>,
}

/// Works as a thread, until the run is over or the coordinator has gone. It has no other threads: its gate must hold all
/// that it does.
pub(crate) fn work(link: UnixStream, surroundings: Surroundings) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let Surroundings { memory, gate } = surroundings;
    let outcome = runtime.block_on(async {
        tokio::spawn(async move { gate.keep().await });
        follow_orders(frames(link)?, Some(&memory), false).await
    });
    runtime.shutdown_background();
    outcome
}

/// `real_time` is whether it comes before whatever else the machine has to do.
async fn follow_orders(
    mut link: Frames,
    memory: Option<&MemoryEndpoints>,
    real_time: bool,
) -> io::Result<()> {
    let Some(Order::Assign { plan, nodes, paused }) = receive(&mut link).await? else {
        return Err(unexpected("an assignment"));
    };
    let plan = Arc::new(*plan);
    let probe = Probe::new(paused);
    let connecting = nodes.iter().map(|&node| {
        let (plan, probe) = (&plan, &probe);
        async move { locks::connect(plan, node, memory, probe).await.map(|lock| (node, lock)) }
    });
    let locks = match try_join_all(connecting).await {
        Ok(locks) => locks,
        Err(error) => return send(&mut link, &Report::Failed(error.to_string())).await,
    };
    send(&mut link, &Report::Ready).await?;
    loop {
        match receive(&mut link).await? {
            Some(Order::Calibrate) => {
                let noise = calibration::noise(real_time).await?;
                send(&mut link, &Report::Noise(noise)).await?;
            }
            Some(Order::Begin { start_ns, spin_ns }) => {
                let number = nodes.first().copied().unwrap_or(0);
                let shift = Shift { number, plan, start_ns, spin: Duration::from_nanos(spin_ns), probe };
                return shift.work(locks, link).await;
            }
            Some(Order::Stop) | None => return Ok(()),
            Some(Order::Assign { .. }) => return Err(unexpected("the beginning")),
        }
    }
}

/// A worker's part in a run that has begun.
struct Shift {
    /// The first of its nodes.
    number: u32,
    plan: Arc<Plan>,
    start_ns: u64,
    spin: Duration,
    probe: Probe,
}

impl Shift {
    async fn work(self, locks: Vec<(u32, Arc<dyn Lock>)>, link: Frames) -> io::Result<()> {
        let (measured_from, measured_to) = self.plan.load.measured_ns();
        self.probe.measure(self.start_ns + measured_from, self.start_ns + measured_to);
        let (sink, orders) = link.split();
        let (outbox, queue) = Outbox::new();
        let outbox = Arc::new(outbox);
        let posting = tokio::spawn(post(queue, sink));
        let cpu_before_ns = cpu_ns();

        let alarm = Arc::new(Alarm::new()?);
        let inner = Arc::clone(&alarm);
        let mut ringing = tokio::spawn(async move { inner.ring().await });
        let packing = Packing::start(Arc::clone(&outbox))?;
        let (mut nodes, queues) = self.start_nodes(locks, &outbox, &alarm);
        let pacing = tokio::spawn(self.pace(queues, alarm)?);
        tokio::select! {
            failed = &mut ringing => return failed?,
            stayed = self.accompany(&mut nodes, orders, &packing, &outbox, &pacing) => if !stayed? {
                return Ok(());
            },
        }
        packing.add(Parcel {
            low_ns: outbox.low_ns(),
            taken: self.probe.finish(),
            waiting: Waiting::default(),
        });
        packing.finish().await?;
        let closing = Closing {
            cpu_ns: cpu_ns().saturating_sub(cpu_before_ns),
            rss_kib: usage::rss_kib_max().unwrap_or(0),
            renewals: self.probe.renewals(),
        };
        outbox.report(Report::Done(closing)).await.map_err(io::Error::other)?;
        drop(outbox);
        posting.await?
    }

    fn start_nodes(
        &self,
        locks: Vec<(u32, Arc<dyn Lock>)>,
        outbox: &Arc<Outbox>,
        alarm: &Arc<Alarm>,
    ) -> (JoinSet<()>, HashMap<u32, mpsc::Sender<Arrival>>) {
        let mut nodes = JoinSet::new();
        let mut queues = HashMap::new();
        for (id, lock) in locks {
            let (queue, arrivals) = mpsc::channel(QUEUE_MAX);
            queues.insert(id, queue);
            let node = Node {
                id,
                plan: Arc::clone(&self.plan),
                start_ns: self.start_ns,
                lock,
                probe: self.probe.clone(),
                outbox: Arc::clone(outbox),
                alarm: Arc::clone(alarm),
            };
            nodes.spawn(node.run(arrivals));
        }
        (nodes, queues)
    }

    /// Sends what is due when it is due. Its end, or being dropped, closes the queues, and the closed queues end the nodes.
    fn pace(
        &self,
        queues: HashMap<u32, mpsc::Sender<Arrival>>,
        alarm: Arc<Alarm>,
    ) -> io::Result<impl Future<Output = ()> + Send + use<>> {
        let schedule = Schedule::new(&self.plan).map_err(io::Error::other)?;
        let (start_ns, spin, probe) = (self.start_ns, self.spin, self.probe.clone());
        Ok(async move {
            let not_sent = |arrival: Arrival| probe.not_sent(start_ns.saturating_add(arrival.due_ns));
            release(schedule, start_ns, spin, &alarm, &queues, not_sent).await;
        })
    }

    /// Reports and listens until the last node has finished; false when the coordinator went first, so that there is
    /// nobody left to report to.
    async fn accompany(
        &self,
        nodes: &mut JoinSet<()>,
        mut orders: SplitStream<Frames>,
        packing: &Packing,
        outbox: &Outbox,
        pacing: &JoinHandle<()>,
    ) -> io::Result<bool> {
        let first = time_until(self.start_ns) + REPORT_EVERY + self.report_offset();
        let mut ticks = interval_at(Instant::now() + first, REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                order = orders.next() => match order.transpose()? {
                    Some(frame) => match decode(&frame)? {
                        Order::Stop => pacing.abort(),
                        _ => return Err(unexpected("nothing but the end")),
                    },
                    None => return Ok(false),
                },
                _ = ticks.tick() => {
                    let (low_ns, waiting) = (outbox.low_ns(), Waiting::of(&outbox.waiters(), now_ns()));
                    packing.add(Parcel { low_ns, taken: self.probe.take(), waiting });
                }
                ended = nodes.join_next() => match ended {
                    Some(ended) => ended?,
                    None => return Ok(true),
                },
            }
        }
    }

    fn report_offset(&self) -> Duration {
        REPORT_EVERY / REPORT_TIMES * (self.number % REPORT_TIMES)
    }
}

fn unexpected(expected: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("expected {expected} from the coordinator"))
}
