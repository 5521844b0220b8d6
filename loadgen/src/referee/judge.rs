//! The referee itself: takes records as they come, judges them in the order of their handing out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hdrhistogram::Histogram;
use thiserror::Error;

use super::contention::{Handover, Shares, Waiting};
use super::count::Count;
use super::exposure::{FaultId, Faults};
use super::machines::Machines;
use super::overlap::{Beliefs, OverlapTally};
use super::record::{Failure, GrantRecord, ReleaseOutcome};
use super::resource::{FenceVerdict, Resource, Write};
use super::safety::{Safety, Undecided};
use super::tokens::{TokenFault, TokenOrder};
use super::violations::{Violation, ViolationKind, Violations, Witness};
use crate::measure::{Latency, new_histogram};

/// Judges a run.
///
/// Grants come as whole records when they have ended, writes as they are made, in any order. [`Referee::advance`] says
/// how far the stream is complete; all up to there is judged in the order in which it happened and, where it can matter
/// no more, forgotten. Who reports first makes no difference.
#[derive(Debug)]
pub(crate) struct Referee {
    machines: Machines,
    /// Ended and not yet judged, by `(granted_ns, grant_id)`.
    pending: BTreeMap<(u64, u64), GrantRecord>,
    /// Made and not yet judged, by `(at_ns, grant_id, ordinal)`.
    writes: BTreeMap<(u64, u64, u32), Write>,
    /// Judged grants that a write which is not judged yet may collide with, by `(granted_ns, grant_id)`.
    remembered: BTreeMap<(u64, u64), GrantRecord>,
    horizon_ns: u64,
    names: HashMap<u32, Name>,
    resource: Resource,
    faults: Faults,
    waiting: Waiting,
    shares: Shares,
    contract: OverlapTally,
    acting: OverlapTally,
    tally: Tally,
    late_notice_ns: Histogram<u64>,
    witness: Witness,
}

/// What the sweeps remember about one name.
#[derive(Debug, Default)]
struct Name {
    contract: Beliefs,
    acting: Beliefs,
    tokens: TokenOrder,
    /// The same among the grants of each machine, whose one clock tells exactly; empty where there is but one.
    own_tokens: BTreeMap<u32, TokenOrder>,
    handover: Handover,
}

impl Name {
    fn check_token(&mut self, grant: &Arc<GrantRecord>, machines: Machines) -> Option<TokenFault> {
        let among_all = self.tokens.check(grant, machines.margin_max_ns());
        if machines.is_one() {
            return among_all;
        }
        let own = self.own_tokens.entry(machines.playing(grant.node)).or_default();
        own.check(grant, 0).or(among_all)
    }
}

#[derive(Debug, Default)]
struct Tally {
    grants: u64,
    failures: u64,
    unknown_failures: u64,
    exposed: u64,
    with_token: u64,
    regressions: u64,
    duplicates: u64,
    told_lost: u64,
    lost_false: u64,
    releases: u64,
    unknown_releases: u64,
    foreign_releases: u64,
}

/// A record that began before the horizon: it can be judged no more, and the findings are not complete without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "node {node}'s record of {call_ns} ns came after the referee had judged up to {horizon_ns} ns; the findings are incomplete"
)]
pub(crate) struct LateRecord {
    /// Whose record it is.
    pub(crate) node: u32,
    /// When its acquisition was called.
    pub(crate) call_ns: u64,
    /// How far the judgement had come.
    pub(crate) horizon_ns: u64,
}

/// A write made before the horizon: the resource has gone on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a write of grant {grant_id} at {at_ns} ns came after the referee had judged up to {horizon_ns} ns; the findings are incomplete"
)]
pub(crate) struct LateWrite {
    /// Whose write it is.
    pub(crate) grant_id: u64,
    /// When it was made.
    pub(crate) at_ns: u64,
    /// How far the judgement had come.
    pub(crate) horizon_ns: u64,
}

/// Counts of a run that is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SoFar {
    pub(crate) contract_overlaps: u64,
    pub(crate) acting_overlaps: u64,
    /// Writes of superseded holders.
    pub(crate) stale_writes: u64,
    /// Those of them that a fence lets pass.
    pub(crate) stale_writes_past_fence: u64,
    pub(crate) token_regressions: u64,
    pub(crate) token_duplicates: u64,
    pub(crate) foreign_releases: u64,
}

/// All that the referee found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Findings {
    /// The counts, for `run.json`.
    pub(crate) safety: Safety,
    /// The lifelines, for `violations.json`.
    pub(crate) violations: Violations,
    /// The most acquisitions of one name that were under way at once.
    pub(crate) waiting_max: u64,
    /// Jain's index over the nodes' granted parts of what they asked for.
    pub(crate) jain_fairness: Option<f64>,
    /// From the call of a release to the next grant of the name, where somebody was waiting.
    pub(crate) handoff_us: Latency,
}

impl Referee {
    /// For a run of one machine.
    pub(crate) fn new() -> Self {
        Self::of(Machines::ONE)
    }

    /// For a run of these machines, with all times put on one line.
    pub(crate) fn of(machines: Machines) -> Self {
        Self {
            machines,
            pending: BTreeMap::new(),
            writes: BTreeMap::new(),
            remembered: BTreeMap::new(),
            horizon_ns: 0,
            names: HashMap::new(),
            resource: Resource::new(machines),
            faults: Faults::default(),
            waiting: Waiting::default(),
            shares: Shares::new(),
            contract: OverlapTally::new(),
            acting: OverlapTally::new(),
            tally: Tally::default(),
            late_notice_ns: new_histogram(),
            witness: Witness::default(),
        }
    }

    /// A fault has become active, for some nodes or for all.
    pub(crate) fn fault_begun(&mut self, nodes: Option<&[u32]>, at_ns: u64) -> FaultId {
        self.faults.begin(nodes, at_ns)
    }

    /// A fault is over.
    pub(crate) fn fault_ended(&mut self, fault: FaultId, at_ns: u64) {
        self.faults.end(fault, at_ns);
    }

    /// A write that its grant's holder made at `at_ns`; it is judged in its turn.
    pub(crate) fn write(&mut self, write: &Write, at_ns: u64) -> Result<(), LateWrite> {
        if at_ns < self.horizon_ns {
            return Err(LateWrite { grant_id: write.grant_id, at_ns, horizon_ns: self.horizon_ns });
        }
        self.writes.insert((at_ns, write.grant_id, write.ordinal), *write);
        Ok(())
    }

    /// A grant has ended.
    pub(crate) fn grant(&mut self, grant: GrantRecord) -> Result<(), LateRecord> {
        self.in_time(grant.node, grant.call_ns)?;
        self.shares.add(grant.node, true);
        self.waiting.add(grant.key, grant.call_ns, grant.granted_ns);
        self.pending.insert((grant.granted_ns, grant.grant_id), grant);
        Ok(())
    }

    /// An acquisition has won nothing.
    pub(crate) fn failure(&mut self, failure: &Failure) -> Result<(), LateRecord> {
        self.in_time(failure.node, failure.call_ns)?;
        self.shares.add(failure.node, false);
        self.waiting.add(failure.key, failure.call_ns, failure.end_ns);
        self.tally.failures += 1;
        self.tally.unknown_failures += u64::from(failure.unknown);
        Ok(())
    }

    /// Judges what was handed out before `horizon_ns`. The caller vouches that no acquisition called before then is
    /// still to be reported: see [`super::Watermarks`].
    pub(crate) fn advance(&mut self, horizon_ns: u64) {
        self.horizon_ns = self.horizon_ns.max(horizon_ns);
        self.waiting.advance(self.horizon_ns);
        let writes_later = self.writes.split_off(&(self.horizon_ns, 0, 0));
        for ((at_ns, ..), write) in std::mem::replace(&mut self.writes, writes_later) {
            self.judge_write(&write, at_ns);
        }
        let later = self.pending.split_off(&(self.horizon_ns, 0));
        let ready = std::mem::replace(&mut self.pending, later);
        let low_ns = self.pending.values().map(|grant| grant.call_ns).fold(self.horizon_ns, u64::min);
        for grant in ready.into_values() {
            self.judge(grant);
        }
        // Whoever supersedes a write was handed out after the write's own grant.
        let oldest = self.writes.values().map(|write| (write.granted_ns, 0)).min();
        self.remembered = oldest.map_or_else(BTreeMap::new, |oldest| self.remembered.split_off(&oldest));
        self.faults.forget(self.horizon_ns);
        let margin_ns = self.machines.margin_max_ns();
        for name in self.names.values_mut() {
            name.tokens.forget(low_ns.saturating_sub(margin_ns));
            for tokens in name.own_tokens.values_mut() {
                tokens.forget(low_ns);
            }
        }
    }

    /// How many things the sweeps remember now.
    #[cfg(test)]
    pub(crate) fn retained(&self) -> usize {
        let names = self.names.values();
        let in_names =
            names.map(|name| name.contract.retained() + name.acting.retained() + name.tokens.retained());
        let of_writes = self.writes.len() + self.remembered.len();
        self.pending.len() + of_writes + self.waiting.retained() + in_names.sum::<usize>()
    }

    /// What it has found up to where it has judged.
    pub(crate) fn so_far(&self) -> SoFar {
        let writes = self.resource.tally();
        SoFar {
            contract_overlaps: self.contract.count(),
            acting_overlaps: self.acting.count(),
            stale_writes: writes.stale,
            stale_writes_past_fence: writes.stale_past_fence,
            token_regressions: self.tally.regressions,
            token_duplicates: self.tally.duplicates,
            foreign_releases: self.tally.foreign_releases,
        }
    }

    /// Judges the rest; the run is over.
    pub(crate) fn finish(mut self) -> Findings {
        self.advance(u64::MAX);
        let safety = self.safety();
        Findings {
            safety,
            violations: self.witness.into_violations(),
            waiting_max: self.waiting.max(),
            jain_fairness: self.shares.jain_fairness(),
            handoff_us: self.shares.handoff_us(),
        }
    }

    fn in_time(&self, node: u32, call_ns: u64) -> Result<(), LateRecord> {
        let horizon_ns = self.horizon_ns;
        if call_ns < horizon_ns { Err(LateRecord { node, call_ns, horizon_ns }) } else { Ok(()) }
    }

    fn judge_write(&mut self, write: &Write, at_ns: u64) {
        let verdict = self.resource.write(write, at_ns);
        let Some((granted_ns, other_grant_id)) = verdict.superseded_by else { return };
        let kind = match verdict.fenced {
            FenceVerdict::Accepted => ViolationKind::StaleWritePastFence,
            FenceVerdict::Refused | FenceVerdict::NoToken => ViolationKind::StaleWrite,
        };
        let violation = Violation {
            kind,
            key: write.key,
            at_ns,
            length_ns: None,
            grant_id: write.grant_id,
            other_grant_id: Some(other_grant_id),
        };
        let both = [(write.granted_ns, write.grant_id), (granted_ns, other_grant_id)];
        let known: Vec<&GrantRecord> = both.iter().filter_map(|key| self.remembered.get(key)).collect();
        self.witness.add(violation, &known);
    }

    fn judge(&mut self, grant: GrantRecord) {
        self.count(&grant);
        self.remembered.insert((grant.granted_ns, grant.grant_id), grant);
        self.witness.offer(&grant);
        let grant = Arc::new(grant);
        let name = self.names.entry(grant.key).or_default();
        if let Some(length_ns) = name.handover.next(&grant) {
            self.shares.add_handoff(length_ns);
        }
        // Each with what it is about: both beliefs begin where the lease was handed out.
        let sweeps = [
            (&mut name.contract, &mut self.contract, grant.contract_belief(), ViolationKind::ContractOverlap),
            (&mut name.acting, &mut self.acting, grant.acting_belief(), ViolationKind::ActingOverlap),
        ];
        for (beliefs, tally, belief, kind) in sweeps {
            let meeting = beliefs.begin(&grant, belief, self.machines);
            tally.add(&meeting);
            if let Some(overlap) = meeting.overlap {
                let found = Violation::between(kind, &grant, &overlap.other);
                self.witness.add(
                    Violation { length_ns: Some(overlap.length_ns), ..found },
                    &[&grant, &overlap.other],
                );
            }
        }
        if let Some(fault) = name.check_token(&grant, self.machines) {
            let (kind, count, other) = match fault {
                TokenFault::Regression(other) => {
                    (ViolationKind::TokenRegression, &mut self.tally.regressions, other)
                }
                TokenFault::Duplicate(other) => {
                    (ViolationKind::TokenDuplicate, &mut self.tally.duplicates, other)
                }
            };
            *count += 1;
            self.witness.add(Violation::between(kind, &grant, &other), &[&grant, &other]);
        }
        if let Some(at_ns) = grant.release_call_ns.filter(|_| grant.release == ReleaseOutcome::Foreign) {
            let violation = Violation::of(ViolationKind::ForeignRelease, &grant, at_ns);
            self.witness.add(violation, &[&grant]);
        }
    }

    fn count(&mut self, grant: &GrantRecord) {
        let tally = &mut self.tally;
        tally.grants += 1;
        tally.exposed += u64::from(self.faults.met(grant.node, &grant.hold()));
        tally.with_token += u64::from(grant.token.is_some());
        tally.told_lost += u64::from(grant.told_lost_ns.is_some());
        tally.lost_false += u64::from(grant.told_lost_ns.is_some() && grant.lost_false);
        tally.releases += u64::from(grant.release != ReleaseOutcome::NotCalled);
        tally.unknown_releases += u64::from(grant.release == ReleaseOutcome::Unknown);
        tally.foreign_releases += u64::from(grant.release == ReleaseOutcome::Foreign);
        if let Some(late_ns) = grant.acted_late_ns() {
            self.late_notice_ns.saturating_record(late_ns);
        }
    }

    fn safety(&self) -> Safety {
        let tally = &self.tally;
        let writes = self.resource.tally();
        let tokens = |count: u64| (tally.with_token > 0).then(|| Count::new(count, tally.with_token));
        let fenced = |count: u64| (writes.with_token > 0).then(|| Count::new(count, writes.with_token));
        Safety {
            exposure: Count::new(tally.exposed, tally.grants),
            contract_overlaps: self.contract.of(tally.grants),
            contract_holders_max: self.contract.holders_max(),
            contract_overlap_us: self.contract.lengths(),
            acting_overlaps: self.acting.of(tally.grants),
            acting_holders_max: self.acting.holders_max(),
            acting_overlap_us: self.acting.lengths(),
            stale_writes_attempted: Count::new(writes.stale, writes.writes),
            stale_writes_accepted_unfenced: Count::new(writes.stale, writes.writes),
            stale_writes_accepted_fenced: fenced(writes.stale_past_fence),
            lost_updates_unfenced: Count::new(writes.lost_updates_unfenced, writes.writes),
            lost_updates_fenced: fenced(writes.lost_updates_fenced),
            token_regressions: tokens(tally.regressions),
            token_duplicates: tokens(tally.duplicates),
            double_acquisition_rate: self.acting.of(tally.grants),
            late_notice_us: Latency::of(&self.late_notice_ns),
            lost_false: Count::new(tally.lost_false, tally.told_lost),
            unknown_outcomes: Count::new(
                tally.unknown_failures + tally.unknown_releases,
                tally.grants + tally.failures + tally.releases,
            ),
            foreign_releases: Count::new(tally.foreign_releases, tally.releases),
            undecided: (!self.machines.is_one()).then(|| Undecided {
                margin_us: self.machines.margin_max_ns() as f64 / 1e3,
                contract_overlaps: self.contract.undecided(tally.grants),
                acting_overlaps: self.acting.undecided(tally.grants),
            }),
        }
    }
}
