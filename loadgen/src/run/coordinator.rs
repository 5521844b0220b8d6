//! Leads a run: musters the workers, stops and resumes them by plan, hears and judges what they report.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::clock::{duration_ns, now_ns, time_until};
use crate::proxy::Proxy;
use crate::referee::Findings;
use crate::run::archive::ArchiveError;
use crate::run::calibration;
use crate::run::court::{Court, Measured};
use crate::run::crew::Crew;
use crate::run::faults::FaultLog;
use crate::run::inflict::Inflictor;
use crate::run::interrupt::Interrupts;
use crate::run::link::{Frames, Noise, Order, Report, decode, encode, frames, receive, send};
use crate::run::live::Live;
use crate::run::plan::Plan;
use crate::run::priority::priority_name;
use crate::run::stage::Stage;
use crate::run::watch::Watch;
use crate::shards::Ledger;

/// From the order to begin until the first arrival: long enough for every worker to get ready.
const LEAD: Duration = Duration::from_millis(200);
/// Connecting forty nodes to servers that are down must not take for ever.
const MUSTER_TIMEOUT: Duration = Duration::from_secs(30);
/// Beyond the time that a last acquisition may take.
const GRACE: Duration = Duration::from_secs(5);

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A node has no way to its lock.
    #[error("a node could not be connected: {0}")]
    Connect(String),
    /// The workers said nothing.
    #[error("the nodes were not connected within {} s", MUSTER_TIMEOUT.as_secs())]
    Silence,
    /// Processes or sockets could not be had.
    #[error("the nodes could not be started: {0}")]
    Io(#[from] io::Error),
    /// What was measured cannot be put together.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The others have begun.
    #[error("this shard was ready {} ms after it should have begun; begin later: --start-at", late.as_millis())]
    TooLate { late: Duration },
    /// Somebody pressed ctrl-C before there was anything to write down.
    #[error("interrupted before the first acquisition; nothing was written")]
    Interrupted,
}

/// What is known when a run is over.
pub(crate) struct Conclusion {
    pub(crate) start_ns: u64,
    pub(crate) findings: Findings,
    pub(crate) measured: Measured,
    pub(crate) faults: FaultLog,
    /// Whether what sent came before whatever else the machine had to do.
    pub(crate) real_time: bool,
    /// When it was interrupted, from its start; nothing if it was played to its end.
    pub(crate) stopped_ns: Option<u64>,
}

/// What a run needs that is one machine's part of a larger one.
pub(crate) struct Share {
    /// When all machines begin, on this one's clock.
    pub(crate) start_ns: u64,
    pub(crate) ledger: Ledger,
}

impl Share {
    /// Until it is time to tell the workers.
    async fn wait(&self, interrupts: &mut Interrupts) -> Result<(), StartError> {
        let tell_ns = self.start_ns.saturating_sub(duration_ns(LEAD));
        let late_ns = now_ns().saturating_sub(tell_ns);
        if late_ns > 0 {
            return Err(StartError::TooLate { late: Duration::from_nanos(late_ns) });
        }
        tokio::select! {
            () = sleep(time_until(tell_ns)) => Ok(()),
            () = interrupts.next() => Err(StartError::Interrupted),
        }
    }
}

/// Plays a plan from the first worker to the last.
pub(crate) async fn conduct(
    plan: &Arc<Plan>,
    stage: &Stage,
    proxy: Option<&Proxy>,
    watch: &Watch,
    interrupts: &mut Interrupts,
    share: Option<Share>,
) -> Result<Conclusion, StartError> {
    let (crew, links) = Crew::muster(plan, stage.memory())?;
    let mut links = links.into_iter().map(frames).collect::<io::Result<Vec<_>>>()?;
    let noise = tokio::select! {
        noise = timeout(MUSTER_TIMEOUT, prepare(plan, &crew, &mut links)) => noise.map_err(|_| StartError::Silence)??,
        () = interrupts.next() => return Err(StartError::Interrupted),
    };
    watch.tell(format_args!("noise floor   {noise}"));
    let (start_ns, ledger) = match share {
        None => (now_ns() + duration_ns(LEAD), None),
        Some(share) => {
            share.wait(interrupts).await?;
            (share.start_ns, Some(share.ledger))
        }
    };
    let spin_ns = duration_ns(calibration::spin(noise.oversleep_p90_ns));
    for link in &mut links {
        send(link, &Order::Begin { start_ns, spin_ns }).await?;
    }
    let performance = Performance::new(Arc::clone(plan), crew, start_ns, noise.real_time, ledger)?;
    let live = Live::new(plan, start_ns, watch, performance.court.borrow().histograms())?;
    performance.play(links, stage, proxy, live, interrupts).await
}

/// Gives the workers their nodes, waits until all are connected, and has one of them measure the noise.
async fn prepare(plan: &Plan, crew: &Crew, links: &mut [Frames]) -> Result<Noise, StartError> {
    for (link, worker) in links.iter_mut().zip(&crew.workers) {
        let (nodes, paused) = (worker.nodes.clone(), worker.paused);
        send(link, &Order::Assign { plan: Box::new(plan.clone()), nodes, paused }).await?;
    }
    for link in links.iter_mut() {
        match receive(link).await? {
            Some(Report::Ready) => {}
            Some(Report::Failed(reason)) => return Err(StartError::Connect(reason)),
            _ => return Err(StartError::Connect("its process ended".to_owned())),
        }
    }
    let crowd = links.last_mut().ok_or(StartError::Silence)?;
    send(crowd, &Order::Calibrate).await?;
    match receive(crowd).await? {
        Some(Report::Noise(noise)) => Ok(noise),
        _ => Err(StartError::Connect("its process ended while it measured the noise".to_owned())),
    }
}

/// A run that has begun.
struct Performance {
    plan: Arc<Plan>,
    crew: Crew,
    start_ns: u64,
    real_time: bool,
    court: RefCell<Court>,
    faults: RefCell<FaultLog>,
}

impl Performance {
    fn new(
        plan: Arc<Plan>,
        crew: Crew,
        start_ns: u64,
        real_time: bool,
        ledger: Option<Ledger>,
    ) -> io::Result<Self> {
        let court = RefCell::new(Court::open(Arc::clone(&plan), crew.workers.len(), start_ns, ledger)?);
        Ok(Self { plan, crew, start_ns, real_time, court, faults: RefCell::default() })
    }

    async fn play(
        self,
        links: Vec<Frames>,
        stage: &Stage,
        proxy: Option<&Proxy>,
        live: Live<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<Conclusion, StartError> {
        let (orders, conversations): (Vec<_>, FuturesUnordered<_>) = links
            .into_iter()
            .enumerate()
            .map(|(worker, link)| {
                let (order, orders) = mpsc::channel(1);
                (order, self.converse(worker, link, orders))
            })
            .unzip();
        let inflictor = Inflictor {
            plan: &self.plan,
            crew: &self.crew,
            stage,
            proxy,
            start_ns: self.start_ns,
            court: &self.court,
            log: &self.faults,
            stopped: RefCell::default(),
            down: RefCell::default(),
        };
        let stopped_ns = self.accompany(conversations, &orders, &inflictor, live, interrupts).await;
        drop(orders);
        let Self { crew, start_ns, real_time, court, faults, .. } = self;
        drop(crew);
        let (findings, measured) = court.into_inner().close()?;
        Ok(Conclusion { start_ns, findings, measured, faults: faults.into_inner(), real_time, stopped_ns })
    }

    /// Until every worker has finished, or somebody does not want to wait for that: when that was.
    async fn accompany(
        &self,
        mut conversations: FuturesUnordered<impl Future<Output = ()>>,
        orders: &[mpsc::Sender<Order>],
        inflictor: &Inflictor<'_>,
        live: Live<'_>,
        interrupts: &mut Interrupts,
    ) -> Option<u64> {
        let finished = async { while conversations.next().await.is_some() {} };
        let patience = Duration::from_nanos(self.plan.load.length_ns()) + LEAD + self.last_one();
        let mut finished = std::pin::pin!(finished);
        // Neither the last fault nor a view that nobody wants is the end of a run.
        let meanwhile = async {
            futures::join!(inflictor.inflict(), live.show(&self.court));
            pending().await
        };
        let interrupted = tokio::select! {
            () = &mut finished => {
                inflictor.end_all();
                return None;
            }
            interrupted = meanwhile => interrupted,
            () = sleep(patience) => false,
            () = interrupts.next() => true,
        };
        // What is printed from here on finds the terminal as it was.
        drop(live);
        let stopped_ns = interrupted.then(|| now_ns().saturating_sub(self.start_ns));
        inflictor.end_all();
        if interrupted {
            eprintln!(
                "interrupted: ending the nodes and writing what was measured; once more to stop waiting"
            );
            for order in orders {
                // A worker that has left needs no order.
                order.try_send(Order::Stop).unwrap_or_default();
            }
        }
        tokio::select! {
            () = &mut finished => {}
            () = interrupts.next() => {}
            () = sleep(self.last_one()) => {
                self.court.borrow_mut().trouble("some workers did not finish in time and were ended".to_owned());
            }
        }
        stopped_ns
    }

    /// The longest that an acquisition may take from its arrival to its release, with time to report it.
    fn last_one(&self) -> Duration {
        self.plan.load.wait + self.plan.load.hold + GRACE
    }

    /// Hears one worker until it leaves.
    async fn converse(&self, worker: usize, link: Frames, orders: mpsc::Receiver<Order>) {
        let outcome = self.hear(worker, link, orders).await;
        let nodes = self.crew.workers.get(worker).map_or(&[][..], |worker| &worker.nodes);
        let mut court = self.court.borrow_mut();
        court.left(worker, nodes);
        match outcome {
            Ok(true) => {}
            Ok(false) => court.trouble(format!("the worker of nodes {nodes:?} ended before the run did")),
            Err(error) => court.trouble(format!("the link to the worker of nodes {nodes:?} broke: {error}")),
        }
    }

    /// True when the worker said goodbye.
    async fn hear(&self, worker: usize, link: Frames, mut orders: mpsc::Receiver<Order>) -> io::Result<bool> {
        let (mut sink, mut reports) = link.split();
        let mut done = false;
        let lone = self.crew.workers.get(worker).filter(|worker| worker.paused);
        let node = lone.and_then(|worker| worker.nodes.first().copied());
        loop {
            tokio::select! {
                frame = reports.next() => {
                    let Some(frame) = frame else { return Ok(done) };
                    let report: Report = decode(&frame?)?;
                    done |= matches!(report, Report::Done(_));
                    self.court.borrow_mut().hear(worker, node, report)?;
                }
                Some(order) = orders.recv() => sink.send(encode(&order)?).await?,
            }
        }
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = |ns: u64| ns / 1_000;
        write!(
            f,
            "sleep is late by p50 {} us, p99 {} us; a null acquire takes p50 {} us, p99 {} us; sent at {}",
            us(self.oversleep_p50_ns),
            us(self.oversleep_p99_ns),
            us(self.null_p50_ns),
            us(self.null_p99_ns),
            priority_name(self.real_time),
        )
    }
}
