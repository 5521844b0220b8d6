//! One node: takes its arrivals as they come due and lives through a lease for each.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::clock::now_ns;
use crate::locks::{Held, Lock};
use crate::measure::Phase;
use crate::referee::{GrantRecord, ReleaseOutcome, Write, grant_id};
use crate::run::alarm::Alarm;
use crate::run::link::{Act, Refusal, Report};
use crate::run::outbox::{Call, Gone, Outbox};
use crate::run::plan::Plan;
use crate::run::probe::Probe;
use crate::run::schedule::Arrival;

/// Acquisitions that a node has under way at most; more arrivals queue behind them, and count as sent late.
const UNDER_WAY_MAX: usize = 1_024;
/// Arrivals that queue at most; more of them are not sent, which is counted.
pub(crate) const QUEUE_MAX: usize = 4_096;

/// A node and what it works with.
pub(crate) struct Node {
    pub(crate) id: u32,
    pub(crate) plan: Arc<Plan>,
    pub(crate) start_ns: u64,
    pub(crate) lock: Arc<dyn Lock>,
    pub(crate) probe: Probe,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) alarm: Arc<Alarm>,
}

impl Node {
    /// Serves arrivals until there are no more, and returns when the last lease is over.
    pub(crate) async fn run(self, mut arrivals: mpsc::Receiver<Arrival>) {
        let node = Arc::new(self);
        if !node.plan.load.think.is_zero() {
            return node.run_one_by_one(arrivals).await;
        }
        let slots = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        let mut under_way = JoinSet::new();
        let mut grants = 0_u32;
        while let Some(arrival) = arrivals.recv().await {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let (node, grant_id) = (Arc::clone(&node), grant_id(node.id, grants));
            grants += 1;
            under_way.spawn(async move {
                // Without a coordinator there is nobody to report to, and the worker is about to end.
                node.serve(arrival, grant_id, 0).await.unwrap_or_default();
                drop(slot);
            });
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
        node.lock.close().await;
    }

    /// Like one user: an acquisition, a rest, the next one. What comes due meanwhile waits, which is nobody's lateness.
    async fn run_one_by_one(&self, mut arrivals: mpsc::Receiver<Arrival>) {
        let (mut grants, mut ready_ns) = (0_u32, 0);
        while let Some(arrival) = arrivals.recv().await {
            let grant_id = grant_id(self.id, grants);
            grants += 1;
            if self.serve(arrival, grant_id, ready_ns).await.is_err() {
                return;
            }
            self.alarm.sleep(self.plan.load.think).await;
            ready_ns = now_ns();
        }
        self.lock.close().await;
    }

    /// `ready_ns` is when the node could have served it at the earliest.
    async fn serve(&self, arrival: Arrival, grant_id: u64, ready_ns: u64) -> Result<(), Gone> {
        let due_ns = self.start_ns.saturating_add(arrival.due_ns);
        let call = self.outbox.call(self.id, arrival.key);
        self.probe.sent(due_ns, call.ns(), ready_ns);
        let acquisition = self.lock.acquire(&format!("txn:{}", arrival.key), self.plan.load.wait).await;
        call.answered();
        match acquisition {
            Ok(held) => {
                let granted_ns = now_ns();
                self.probe.record_for(due_ns, Phase::Acquire, granted_ns.saturating_sub(due_ns));
                self.hold(held, self.granted(&call, arrival.key, grant_id, granted_ns), due_ns).await
            }
            Err(failure) => {
                let refusal = Refusal {
                    node: self.id,
                    key: arrival.key,
                    due_ns,
                    call_ns: call.ns(),
                    end_ns: now_ns(),
                    failure,
                };
                self.outbox.report(Report::Refused(refusal)).await
            }
        }
    }

    fn granted(&self, call: &Call<'_>, key: u32, grant_id: u64, granted_ns: u64) -> GrantRecord {
        GrantRecord {
            grant_id,
            node: self.id,
            key,
            token: None,
            call_ns: call.ns(),
            granted_ns,
            valid_until_ns: None,
            told_lost_ns: None,
            release_call_ns: None,
            release_done_ns: None,
            last_act_ns: granted_ns,
            release: ReleaseOutcome::NotCalled,
            lost_false: false,
        }
    }

    /// Write, ask, work, write, release: what a holder does that listens to its lock.
    async fn hold(&self, held: Box<dyn Held>, mut record: GrantRecord, due_ns: u64) -> Result<(), Gone> {
        record.token = held.token();
        record.valid_until_ns = held.valid_until_ns();
        self.outbox.report(Report::Granted { record, due_ns }).await?;
        self.write(&mut record, 0).await?;
        if held.is_valid() && self.work(&*held, &mut record).await {
            self.write(&mut record, 1).await?;
        }
        record.valid_until_ns = held.valid_until_ns();
        self.release(held, &mut record, due_ns).await;
        self.outbox.report(Report::Ended(record)).await
    }

    /// Half of the work can be stopped, and is when the news comes that the lease is lost. The other half cannot be recalled,
    /// like a payment under way: the news is noted, and changes nothing. False if it was stopped.
    async fn work(&self, held: &dyn Held, record: &mut GrantRecord) -> bool {
        let mut lost = held.lost();
        let first_half = self.plan.load.hold / 2;
        tokio::select! {
            biased;
            () = &mut lost => {
                record.told_lost_ns = Some(now_ns());
                return false;
            }
            () = self.alarm.sleep(first_half) => {}
        }
        let mut second_half = std::pin::pin!(self.alarm.sleep(self.plan.load.hold - first_half));
        loop {
            tokio::select! {
                biased;
                () = &mut lost, if record.told_lost_ns.is_none() => record.told_lost_ns = Some(now_ns()),
                () = &mut second_half => return true,
            }
        }
    }

    async fn write(&self, record: &mut GrantRecord, ordinal: u32) -> Result<(), Gone> {
        let GrantRecord { grant_id, key, granted_ns, token, .. } = *record;
        let write = Write { key, grant_id, granted_ns, token, ordinal };
        let at_ns = now_ns();
        record.last_act_ns = at_ns;
        self.outbox.report(Report::Write(Act { at_ns, write })).await
    }

    async fn release(&self, held: Box<dyn Held>, record: &mut GrantRecord, due_ns: u64) {
        let call_ns = now_ns();
        self.probe.record_for(due_ns, Phase::Hold, call_ns.saturating_sub(record.granted_ns));
        record.release_call_ns = Some(call_ns);
        record.release = held.release().await;
        let done_ns = now_ns();
        record.release_done_ns = Some(done_ns);
        self.probe.record_for(due_ns, Phase::Release, done_ns.saturating_sub(call_ns));
    }
}
