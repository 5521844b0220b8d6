//! Inflicts the faults of a plan on nodes, servers and links, and takes down when each really began and ended.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::sleep;

use crate::clock::{now_ns, time_until};
use crate::proxy::{AilmentId, Proxy};
use crate::run::court::Court;
use crate::run::crew::{Crew, Worker};
use crate::run::faults::{Entry, FaultLog};
use crate::run::plan::Plan;
use crate::run::stage::Stage;
use crate::scenario::{Action, Data, PlannedFault};

/// Everything that faults can be done to.
pub(crate) struct Inflictor<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) crew: &'a Crew,
    pub(crate) stage: &'a Stage,
    pub(crate) proxy: Option<&'a Proxy>,
    pub(crate) start_ns: u64,
    pub(crate) court: &'a RefCell<Court>,
    pub(crate) log: &'a RefCell<FaultLog>,
    /// Nodes that are stopped, by how many faults at once.
    pub(crate) stopped: RefCell<HashMap<u32, u32>>,
    /// Endpoints that are stopped or dead.
    pub(crate) down: RefCell<HashSet<u32>>,
}

/// What it takes to end a fault.
enum Cure {
    Node(u32),
    Endpoint(u32),
    Restart(u32, Data),
    Link(AilmentId),
    /// It was over at once.
    Nothing,
}

/// Why a fault did not happen.
enum Mishap {
    /// Another fault has its target.
    LeftOut(String),
    Failed(io::Error),
}

impl From<io::Error> for Mishap {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Inflictor<'_> {
    /// All faults, each in its time. Returns when the last one is over.
    pub(crate) async fn inflict(&self) {
        let mut all: FuturesUnordered<_> =
            self.plan.planned_faults().into_iter().map(|planned| self.one(planned)).collect();
        while all.next().await.is_some() {}
    }

    /// Ends everything that can be ended at once: the run is over.
    pub(crate) fn end_all(&self) {
        for (node, _) in self.stopped.borrow_mut().drain() {
            if let Some(worker) = self.alone(node) {
                // One that has ended meanwhile cannot be resumed and need not be.
                worker.resume().unwrap_or_default();
            }
        }
        for endpoint in self.down.borrow_mut().drain() {
            // A dead one stays dead: its run is over.
            self.stage.resume(endpoint).unwrap_or_default();
        }
        if let Some(proxy) = self.proxy {
            proxy.end_all();
        }
        self.court.borrow_mut().faults_end(now_ns());
        self.log.borrow_mut().end_all(self.since_start_ns());
    }

    async fn one(&self, planned: PlannedFault) {
        sleep(time_until(self.start_ns.saturating_add(planned.start_ns))).await;
        // Stamped before it begins and after it ends: a fault is never longer than it is said to be.
        let entry = self.log.borrow_mut().begun(planned.clone(), self.since_start_ns());
        self.court.borrow_mut().fault_begins(entry, &planned.action, now_ns());
        let begun = self.begin(&planned.action).await;
        let ended = match begun {
            Ok(cure) => {
                sleep(time_until(self.start_ns.saturating_add(planned.end_ns))).await;
                self.end(cure).await.map_err(Mishap::Failed)
            }
            Err(mishap) => Err(mishap),
        };
        self.court.borrow_mut().fault_ends(entry, now_ns());
        self.log.borrow_mut().ended(entry, self.since_start_ns());
        if let Err(mishap) = ended {
            self.note(entry, &planned.action, mishap);
        }
    }

    fn note(&self, entry: Entry, action: &Action, mishap: Mishap) {
        let remark = match mishap {
            Mishap::LeftOut(because) => format!("left out: {because}"),
            Mishap::Failed(error) => {
                let trouble = format!("{} of {} failed: {error}", action.name(), action.target());
                self.court.borrow_mut().trouble(trouble);
                format!("failed: {error}")
            }
        };
        self.log.borrow_mut().remark(entry, remark);
    }

    async fn begin(&self, action: &Action) -> Result<Cure, Mishap> {
        match action {
            Action::PauseNode { node } => {
                let worker =
                    self.alone(*node).ok_or_else(|| io::Error::other("it has no process of its own"))?;
                let stopped = {
                    let mut stopped = self.stopped.borrow_mut();
                    let count = stopped.entry(*node).or_default();
                    *count += 1;
                    *count
                };
                if stopped == 1 {
                    worker.pause()?;
                }
                Ok(Cure::Node(*node))
            }
            Action::PauseEndpoint { endpoint } => {
                self.take_down(*endpoint)?;
                self.stage.pause(*endpoint)?;
                Ok(Cure::Endpoint(*endpoint))
            }
            Action::KillEndpoint { endpoint, data } => {
                self.take_down(*endpoint)?;
                self.stage.kill(*endpoint)?;
                Ok(Cure::Restart(*endpoint, *data))
            }
            Action::Flush { endpoint } => {
                if self.down.borrow().contains(endpoint) {
                    return Err(is_down(*endpoint));
                }
                self.stage.flush(*endpoint).await?;
                Ok(Cure::Nothing)
            }
            Action::Clock { .. } => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            Action::Network { nodes, endpoints, way, effect } => {
                let proxy = self.proxy.ok_or_else(|| io::Error::other("there is no proxy"))?;
                let groups = self.plan.routes.iter().enumerate();
                let groups = groups.filter(|(_, route)| route.nodes.iter().any(|node| nodes.contains(node)));
                let groups: Vec<usize> = groups.map(|(group, _)| group).collect();
                let endpoints: Vec<usize> = endpoints.iter().map(|&endpoint| endpoint as usize).collect();
                Ok(Cure::Link(proxy.begin(&groups, &endpoints, *way, *effect)))
            }
        }
    }

    async fn end(&self, cure: Cure) -> io::Result<()> {
        match cure {
            Cure::Nothing => Ok(()),
            Cure::Link(id) => {
                if let Some(proxy) = self.proxy {
                    proxy.end(id);
                }
                Ok(())
            }
            Cure::Node(node) => {
                let left = self.stopped.borrow_mut().get_mut(&node).map_or(0, |count| {
                    *count = count.saturating_sub(1);
                    *count
                });
                if left > 0 {
                    return Ok(());
                }
                self.stopped.borrow_mut().remove(&node);
                self.alone(node).map_or(Ok(()), Worker::resume)
            }
            Cure::Endpoint(endpoint) => {
                let outcome = self.stage.resume(endpoint);
                self.down.borrow_mut().remove(&endpoint);
                outcome
            }
            Cure::Restart(endpoint, data) => {
                let outcome = self.stage.restart(endpoint, data).await;
                self.down.borrow_mut().remove(&endpoint);
                outcome
            }
        }
    }

    /// An endpoint goes down for one fault at a time.
    fn take_down(&self, endpoint: u32) -> Result<(), Mishap> {
        if self.down.borrow_mut().insert(endpoint) { Ok(()) } else { Err(is_down(endpoint)) }
    }

    fn alone(&self, node: u32) -> Option<&Worker> {
        self.crew.workers.iter().find(|worker| worker.paused && worker.nodes == [node])
    }

    fn since_start_ns(&self) -> u64 {
        now_ns().saturating_sub(self.start_ns)
    }
}

fn is_down(endpoint: u32) -> Mishap {
    Mishap::LeftOut(format!("endpoint {endpoint} was down already"))
}
