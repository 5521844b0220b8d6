//! What the coordinator has heard: the referee, the histograms and the counts of a run under way.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use tempfile::TempPath;

use crate::locks::Failure;
use crate::measure::{Phase, Recorder, Timeline};
use crate::referee::{self, FaultId, Findings, GrantRecord, LateRecord, Referee, SoFar, Watermarks};
use crate::run::archive::{Archive, ArchiveError, Glance, Histograms};
use crate::run::faults::Entry;
use crate::run::link::{Act, Closing, Progress, Refusal, Report};
use crate::run::plan::Plan;
use crate::run::waiting::Waiting;
use crate::scenario::Action;
use crate::shards::{Entry as Note, Ledger};

/// Takes down what the workers report, and has it judged.
pub(crate) struct Court {
    plan: Arc<Plan>,
    start_ns: u64,
    referee: Referee,
    watermarks: Watermarks,
    /// Leases that were granted and are not over, with the last act that was seen of each.
    open: HashMap<u64, GrantRecord>,
    windows: Vec<Window>,
    sendings: Vec<Sending>,
    /// Per worker, as of its last report.
    waiting: BTreeMap<usize, Waiting>,
    archive: Archive,
    /// Where all is kept that another referee needs, if the run is shared among machines.
    ledger: Option<Ledger>,
    counts: Counts,
    closings: Vec<Closing>,
    /// What makes the run invalid beyond its figures.
    troubles: Vec<String>,
}

/// A fault as it happened.
struct Window {
    entry: Entry,
    name: &'static str,
    target: String,
    /// The node that it stops.
    stopped: Option<u32>,
    fault: FaultId,
    from_ns: u64,
    /// Nothing while it lasts.
    to_ns: Option<u64>,
}

/// One sending by a node that is stopped now and then.
struct Sending {
    node: u32,
    due_ns: u64,
    sent_ns: u64,
}

/// Counts of the measured part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Per worker, so far: sent, and not sent for lack of room.
    sendings: BTreeMap<usize, (u64, u64)>,
    pub(crate) granted: u64,
    pub(crate) failed: BTreeMap<Failure, u64>,
    pub(crate) late_by_fault: u64,
}

/// What was measured, apart from the referee's findings.
pub(crate) struct Measured {
    pub(crate) timeline: Timeline,
    pub(crate) counts: Counts,
    pub(crate) closings: Vec<Closing>,
    pub(crate) troubles: Vec<String>,
    pub(crate) ledger: Option<TempPath>,
}

impl Counts {
    pub(crate) fn sent(&self) -> u64 {
        self.sendings.values().map(|counts| counts.0).sum()
    }

    pub(crate) fn not_sent(&self) -> u64 {
        self.sendings.values().map(|counts| counts.1).sum()
    }
}

impl Court {
    pub(crate) fn open(
        plan: Arc<Plan>,
        workers: usize,
        start_ns: u64,
        ledger: Option<Ledger>,
    ) -> io::Result<Self> {
        let mut watermarks = Watermarks::default();
        for worker in 0..workers {
            watermarks.report(worker_id(worker), start_ns);
        }
        Ok(Self {
            plan,
            start_ns,
            referee: Referee::new(),
            watermarks,
            open: HashMap::new(),
            windows: Vec::new(),
            sendings: Vec::new(),
            waiting: BTreeMap::new(),
            archive: Archive::open()?,
            ledger,
            counts: Counts::default(),
            closings: Vec::new(),
            troubles: Vec::new(),
        })
    }

    /// Takes down a report of a worker. `node` is the one a lone worker plays.
    pub(crate) fn hear(&mut self, worker: usize, node: Option<u32>, report: Report) -> io::Result<()> {
        match report {
            Report::Granted { record, due_ns } => {
                self.counts.granted += u64::from(self.measures(due_ns));
                self.open.insert(record.grant_id, record);
            }
            Report::Write(act) => self.act(&act),
            Report::Ended(record) => self.ended(record),
            Report::Refused(refusal) => self.refused(&refusal),
            Report::Progress(progress) => self.progress(worker, node, progress),
            Report::Done(closing) => self.closings.push(closing),
            Report::Ready | Report::Failed(_) | Report::Noise(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a greeting in the middle of a run"));
            }
        }
        Ok(())
    }

    /// The last word of the worker that plays these nodes was heard, or its link broke. Leases whose end nobody has
    /// reported are judged by what was seen of them.
    pub(crate) fn left(&mut self, worker: usize, nodes: &[u32]) {
        let deserted: Vec<GrantRecord> =
            self.open.values().filter(|record| nodes.contains(&record.node)).copied().collect();
        for record in deserted {
            self.ended(record);
        }
        self.waiting.remove(&worker);
        self.watermarks.finish(worker_id(worker));
        self.advance();
    }

    /// Something went wrong that makes the run's figures worthless.
    pub(crate) fn trouble(&mut self, trouble: String) {
        self.troubles.push(trouble);
    }

    pub(crate) fn fault_begins(&mut self, entry: Entry, action: &Action, at_ns: u64) {
        let nodes = action.nodes();
        let all = nodes.as_ref().is_some_and(|nodes| nodes.len() as u64 == u64::from(self.plan.load.nodes));
        let fault = self.referee.fault_begun(nodes.filter(|_| !all).as_deref(), at_ns);
        let stopped = match action {
            Action::PauseNode { node } => Some(*node),
            _ => None,
        };
        if let Some(ledger) = &mut self.ledger {
            let nodes = action.nodes().unwrap_or_else(|| self.plan.nodes());
            ledger.note(&Note::FaultBegun { fault: entry.number(), nodes, at_ns });
        }
        let (name, target) = (action.name(), action.target());
        self.windows.push(Window { entry, name, target, stopped, fault, from_ns: at_ns, to_ns: None });
    }

    pub(crate) fn fault_ends(&mut self, entry: Entry, at_ns: u64) {
        self.end_windows(at_ns, |window| window.entry == entry);
    }

    /// Every fault that lasts is over.
    pub(crate) fn faults_end(&mut self, at_ns: u64) {
        self.end_windows(at_ns, |_| true);
    }

    fn end_windows(&mut self, at_ns: u64, which: impl Fn(&Window) -> bool) {
        let mut ended = Vec::new();
        for window in self.windows.iter_mut().filter(|window| window.to_ns.is_none() && which(window)) {
            window.to_ns = Some(at_ns);
            self.referee.fault_ended(window.fault, at_ns);
            ended.push(window.entry.number());
        }
        if let Some(ledger) = &mut self.ledger {
            for fault in ended {
                ledger.note(&Note::FaultEnded { fault, at_ns });
            }
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn glance(&self) -> Glance {
        self.archive.glance()
    }

    pub(crate) fn histograms(&self) -> Histograms {
        self.archive.histograms()
    }

    /// What the referee has found so far.
    pub(crate) fn so_far(&self) -> SoFar {
        self.referee.so_far()
    }

    /// The faults that last now: what is done, and to whom.
    pub(crate) fn faults_active(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let lasting = self.windows.iter().filter(|window| window.to_ns.is_none());
        lasting.map(|window| (window.name, window.target.as_str()))
    }

    /// How many leases are held now.
    pub(crate) fn held(&self) -> usize {
        self.open.len()
    }

    /// Who waits, by what each worker said last.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting::together(self.waiting.values())
    }

    /// All workers have left, or were given up.
    pub(crate) fn close(mut self) -> Result<(Findings, Measured), ArchiveError> {
        for (_, record) in std::mem::take(&mut self.open) {
            self.ended(record);
        }
        for interval in self.judge_sendings().finish() {
            self.archive.add(interval.encode()?);
        }
        let ledger = match self.ledger.take().map(Ledger::finish).transpose() {
            Ok(ledger) => ledger,
            Err(error) => {
                self.troubles.push(format!("the grants could not be kept for a merge: {error}"));
                None
            }
        };
        let measured = Measured {
            ledger,
            timeline: self.archive.close()?,
            counts: self.counts,
            closings: self.closings,
            troubles: self.troubles,
        };
        Ok((self.referee.finish(), measured))
    }

    fn measures(&self, due_ns: u64) -> bool {
        self.plan.load.measures(due_ns.saturating_sub(self.start_ns))
    }

    fn act(&mut self, act: &Act) {
        if let Some(ledger) = &mut self.ledger {
            ledger.wrote(act.write.grant_id, act.at_ns);
        }
        if let Err(late) = self.referee.write(&act.write, act.at_ns) {
            self.troubles.push(late.to_string());
        }
        if let Some(record) = self.open.get_mut(&act.write.grant_id) {
            record.last_act_ns = act.at_ns;
        }
    }

    fn ended(&mut self, record: GrantRecord) {
        self.open.remove(&record.grant_id);
        if let Some(ledger) = &mut self.ledger {
            ledger.ended(record);
        }
        let outcome = self.referee.grant(record);
        self.note(outcome);
    }

    fn refused(&mut self, refusal: &Refusal) {
        if self.measures(refusal.due_ns) {
            *self.counts.failed.entry(refusal.failure).or_default() += 1;
        }
        let failure = referee::Failure {
            node: refusal.node,
            key: refusal.key,
            call_ns: refusal.call_ns,
            end_ns: refusal.end_ns,
            unknown: refusal.failure == Failure::Unknown,
        };
        if let Some(ledger) = &mut self.ledger {
            ledger.note(&Note::Failure(failure));
        }
        let outcome = self.referee.failure(&failure);
        self.note(outcome);
    }

    fn note(&mut self, outcome: Result<(), LateRecord>) {
        if let Err(late) = outcome {
            self.troubles.push(late.to_string());
        }
    }

    fn progress(&mut self, worker: usize, node: Option<u32>, progress: Progress) {
        self.counts.sendings.insert(worker, (progress.sent, progress.not_sent));
        self.waiting.insert(worker, progress.waiting);
        if let Some(node) = node {
            let sendings = progress.sendings.into_iter();
            self.sendings.extend(sendings.map(|(due_ns, sent_ns)| Sending { node, due_ns, sent_ns }));
        }
        for interval in progress.intervals {
            self.archive.add(interval);
        }
        self.watermarks.report(worker_id(worker), progress.low_ns);
        self.advance();
    }

    fn advance(&mut self) {
        if let Some(horizon_ns) = self.watermarks.horizon_ns() {
            self.referee.advance(horizon_ns);
            if let Some(ledger) = &mut self.ledger {
                ledger.note(&Note::Horizon(horizon_ns));
            }
        }
    }

    /// What a stopped node sent late says nothing about this program, and counts as late by fault.
    fn judge_sendings(&mut self) -> Recorder {
        let mut sendings = std::mem::take(&mut self.sendings);
        sendings.sort_by_key(|sending| sending.sent_ns);
        let mut recorder = Recorder::new(self.start_ns.saturating_add(self.plan.load.measured_ns().0));
        for sending in sendings {
            if self.windows.iter().any(|window| window.held(&sending)) {
                self.counts.late_by_fault += 1;
            } else {
                let late_ns = sending.sent_ns.saturating_sub(sending.due_ns);
                recorder.record(Phase::SendLag, sending.sent_ns, late_ns);
            }
        }
        recorder
    }
}

impl Window {
    fn held(&self, sending: &Sending) -> bool {
        self.stopped == Some(sending.node)
            && sending.sent_ns >= self.from_ns
            && self.to_ns.is_none_or(|to_ns| sending.due_ns <= to_ns)
    }
}

fn worker_id(worker: usize) -> u32 {
    u32::try_from(worker).unwrap_or(u32::MAX)
}
