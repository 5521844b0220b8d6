//! The referee over all shards at once, on the clock of one endpoint that all of them watched.

use std::collections::HashMap;
use std::io;

use super::clock::{Clock, ClockLog};
use super::ledger::{Entry, Reading};
use super::merge::Part;
use crate::referee::{Failure, FaultId, Findings, GrantRecord, Machines, Referee, Write};

/// How the shards' clocks are made one.
#[derive(Debug)]
pub(super) struct CommonClock {
    /// Whose clock it is.
    pub(super) endpoint: String,
    /// The shards' ways to it, in their order.
    clocks: Vec<Clock>,
    /// How well each is known.
    pub(super) errors_ns: Vec<u64>,
    /// What is taken from its times, so that they stay readable.
    base_ns: u64,
}

impl CommonClock {
    /// Of the endpoints that all shards watched, the one that leaves them the least room; one whose clock was steady
    /// before one whose was not. Nothing if there is none.
    pub(super) fn of(parts: &[Part]) -> Option<Self> {
        let endpoints = parts.first()?.file.clocks.iter().map(|log| log.endpoint.clone());
        endpoints
            .filter_map(|endpoint| Self::by(parts, endpoint))
            .min_by_key(|common| (common.clocks.iter().any(|clock| !clock.is_steady()), common.margin_ns()))
    }

    fn by(parts: &[Part], endpoint: String) -> Option<Self> {
        let log = |part: &Part| -> Option<ClockLog> {
            part.file.clocks.iter().find(|log| log.endpoint == endpoint).cloned()
        };
        let clocks: Vec<Clock> =
            parts.iter().map(|part| Clock::through(&log(part)?.samples)).collect::<Option<_>>()?;
        let errors = parts.iter().zip(&clocks);
        let errors_ns =
            errors.map(|(part, clock)| clock.error_within_ns(part.file.start_ns, part.file.end_ns)).collect();
        let starts = parts.iter().zip(&clocks).map(|(part, clock)| clock.endpoint_ns(part.file.start_ns));
        // A second before anything happens.
        let base_ns = starts.min()?.saturating_sub(1_000_000_000);
        Some(Self { endpoint, clocks, errors_ns, base_ns })
    }

    /// By how much the times of any two shards may disagree: both may be wrong, in opposite ways.
    pub(super) fn margin_ns(&self) -> u64 {
        let mut errors_ns = self.errors_ns.clone();
        errors_ns.sort_unstable_by(|a, b| b.cmp(a));
        if errors_ns.len() < 2 { 0 } else { errors_ns[0].saturating_add(errors_ns[1]) }
    }

    /// A moment of a shard's machine.
    pub(super) fn common_ns(&self, shard: usize, local_ns: u64) -> u64 {
        self.clocks.get(shard).map_or(0, |clock| clock.endpoint_ns(local_ns).saturating_sub(self.base_ns))
    }

    /// How far a shard's calendar clock was behind the endpoint's when it began; negative if it was ahead.
    pub(super) fn calendar_behind_ns(&self, shard: usize, part: &Part) -> i64 {
        let start_ns = part.file.start_ns;
        let calendar_ns = start_ns.saturating_add_signed(part.file.calendar_ns);
        let endpoint_ns = self.clocks.get(shard).map_or(0, |clock| clock.endpoint_ns(start_ns));
        i64::try_from(i128::from(endpoint_ns) - i128::from(calendar_ns)).unwrap_or(i64::MAX)
    }
}

/// A shard's ledger as far as it was read.
struct Docket<'a> {
    shard: usize,
    common: &'a CommonClock,
    reading: Reading,
    faults: HashMap<u32, FaultId>,
    horizon_ns: u64,
    ended: bool,
}

/// Judges all shards; with the findings come reasons why they are not complete.
pub(super) fn judge(parts: &[Part], common: &CommonClock) -> io::Result<(Findings, Vec<String>)> {
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut referee = Referee::of(Machines::sharing(count, common.margin_ns()));
    let mut troubles = Vec::new();
    let mut dockets = Vec::new();
    for (shard, part) in parts.iter().enumerate() {
        let reading = Reading::open(&part.records())?;
        dockets.push(Docket { shard, common, reading, faults: HashMap::new(), horizon_ns: 0, ended: false });
    }
    // Whoever is furthest behind is heard next, so no more is kept than lies between the shards' horizons.
    while let Some(docket) =
        dockets.iter_mut().filter(|docket| !docket.ended).min_by_key(|docket| docket.horizon_ns)
    {
        docket.hear(&mut referee, &mut troubles)?;
        let open = dockets.iter().filter(|docket| !docket.ended);
        if let Some(horizon_ns) = open.map(|docket| docket.horizon_ns).min() {
            referee.advance(horizon_ns);
        }
    }
    Ok((referee.finish(), troubles))
}

impl Docket<'_> {
    /// Reads on until the shard's horizon has moved.
    fn hear(&mut self, referee: &mut Referee, troubles: &mut Vec<String>) -> io::Result<()> {
        loop {
            match self.reading.next()? {
                Entry::Grant { record, writes } => {
                    let record = self.on_common_clock(record);
                    for (ordinal, at_ns) in (0..).zip(writes) {
                        let GrantRecord { grant_id, key, granted_ns, token, .. } = record;
                        let write = Write { key, grant_id, granted_ns, token, ordinal };
                        note(troubles, referee.write(&write, self.common_ns(at_ns)));
                    }
                    note(troubles, referee.grant(record));
                }
                Entry::Failure(failure) => {
                    let (call_ns, end_ns) = (self.common_ns(failure.call_ns), self.common_ns(failure.end_ns));
                    note(troubles, referee.failure(&Failure { call_ns, end_ns, ..failure }));
                }
                Entry::FaultBegun { fault, nodes, at_ns } => {
                    let begun = referee.fault_begun(Some(nodes.as_slice()), self.common_ns(at_ns));
                    self.faults.insert(fault, begun);
                }
                Entry::FaultEnded { fault, at_ns } => {
                    if let Some(&begun) = self.faults.get(&fault) {
                        referee.fault_ended(begun, self.common_ns(at_ns));
                    }
                }
                Entry::Horizon(horizon_ns) => {
                    self.horizon_ns = self.common_ns(horizon_ns).max(self.horizon_ns);
                    return Ok(());
                }
                Entry::End => {
                    self.ended = true;
                    return Ok(());
                }
            }
        }
    }

    fn common_ns(&self, local_ns: u64) -> u64 {
        self.common.common_ns(self.shard, local_ns)
    }

    fn on_common_clock(&self, record: GrantRecord) -> GrantRecord {
        let at = |local_ns: u64| self.common_ns(local_ns);
        GrantRecord {
            call_ns: at(record.call_ns),
            granted_ns: at(record.granted_ns),
            valid_until_ns: record.valid_until_ns.map(at),
            told_lost_ns: record.told_lost_ns.map(at),
            release_call_ns: record.release_call_ns.map(at),
            release_done_ns: record.release_done_ns.map(at),
            last_act_ns: at(record.last_act_ns),
            ..record
        }
    }
}

/// A few are told in full; a flood of them says no more.
fn note<E: ToString>(troubles: &mut Vec<String>, outcome: Result<(), E>) {
    if let Err(error) = outcome
        && troubles.len() < 20
    {
        troubles.push(error.to_string());
    }
}
