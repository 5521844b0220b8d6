//! The referee: keeps records of its own, on a clock that no fault touches, and judges what holders were told and what they
//! did. It knows nothing of rounds, votes or machines.

mod beliefs;
mod counts;
mod tokens;

use std::fmt;

pub use counts::Counts;

use crate::plan::{Fault, KINDS};
use crate::time::At;
use beliefs::Beliefs;
use tokens::Token;

/// A grant, by the order of handing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantId(pub usize);

/// What was found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Two leases on one name were valid at once, by their holders' own word.
    ContractOverlap,
    /// Two grants of one name carry the same token.
    TokenDuplicate,
    /// A grant was called after another had been handed out, and carries the smaller token.
    TokenRegression,
    /// A resource that refuses smaller tokens took a write of a holder whose successor had written before.
    StaleWriteAccepted,
    /// A lease was handed out that was over already.
    GrantedWhenOver,
    /// A lease was told to be lost though a majority held it and could have said so.
    FalseLoss,
    /// A running holder was told of the end of its lease after its deadline, or never.
    LateNotice,
    /// Something of a failed attempt, or of a lease that was given back, stayed where it could have been removed.
    Litter,
    /// A free lock with a healthy majority was not granted.
    NoProgress,
    /// A lock was free, a majority well, and whoever waited for it was not granted it within the bound.
    Starved,
    /// An endpoint said that it had given a lock to somebody in line, and had not, or gives no votes.
    FalseHandOver,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// When.
    pub at: At,
    /// In words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.at, self.rule, self.what)
    }
}

impl Rule {
    /// Whether the rule holds only as long as exclusion's assumptions do.
    #[must_use]
    pub const fn needs_assumptions(self) -> bool {
        !matches!(self, Self::TokenDuplicate | Self::TokenRegression | Self::StaleWriteAccepted)
    }
}

/// How a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its holder gave it back.
    Released,
    /// Its holder was told that it is over.
    Lost,
    /// Its holder died.
    Crashed,
}

/// What is kept of one grant.
#[derive(Clone, Debug)]
struct Grant {
    host: usize,
    name: usize,
    token: u64,
    called: At,
    granted: At,
    /// Until when its holder believes in it, by its own word.
    until: At,
    /// When its holder learned of that deadline, or of a nearer one.
    settled: At,
    ended: Option<(At, End)>,
    last_act: At,
    /// Whether a message about it was lost, doubled or stalled.
    noisy: bool,
}

/// What is kept of one name.
#[derive(Clone, Debug, Default)]
struct Name {
    contract: Beliefs,
    acting: Beliefs,
    tokens: Vec<Token>,
    /// The protected resource: the largest token it has seen.
    fence: u64,
    /// The newest call among the grants that have written.
    newest_written: Option<(At, GrantId)>,
}

/// Judges one run.
#[derive(Debug)]
pub struct Referee {
    grants: Vec<Grant>,
    names: Vec<Name>,
    violations: Vec<Violation>,
    counts: Counts,
}

/// Findings of one run beyond this many add nothing.
const VIOLATIONS_MAX: usize = 20;

impl Referee {
    /// A referee for so many names.
    #[must_use]
    pub fn new(names: usize) -> Self {
        Self {
            grants: Vec::new(),
            names: vec![Name::default(); names],
            violations: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Something was found wrong.
    pub fn violation(&mut self, rule: Rule, at: At, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { rule, at, what });
        }
    }

    /// A lease is in its holder's hands: called when, with which token, believed until when.
    pub fn granted(
        &mut self,
        host: usize,
        name: usize,
        token: u64,
        called: At,
        now: At,
        until: At,
    ) -> GrantId {
        let id = GrantId(self.grants.len());
        self.counts.grants += 1;
        self.grants.push(Grant {
            host,
            name,
            token,
            called,
            granted: now,
            until,
            settled: now,
            ended: None,
            last_act: now,
            noisy: false,
        });
        if until <= now {
            self.violation(
                Rule::GrantedWhenOver,
                now,
                format!("grant {} of name {name} to host {host} was over at {until}", id.0),
            );
        }
        self.names[name].tokens.push(Token { token, called, granted: now, id });
        self.check_contract(id, now);
        let others = self.names[name].acting.begin(id, now, At::NEVER);
        self.counts.acting_overlaps += u64::from(!others.is_empty());
        id
    }

    /// A holder's own word of its deadline has changed.
    pub fn believes(&mut self, id: GrantId, now: At, until: At) {
        let grant = &mut self.grants[id.0];
        if grant.ended.is_none() && grant.until != until {
            if until > grant.until {
                grant.settled = now;
            }
            grant.until = until;
            self.check_contract(id, now);
        }
    }

    /// A message about a grant was lost, doubled or stalled.
    pub fn noise(&mut self, id: GrantId) {
        self.grants[id.0].noisy = true;
    }

    /// A holder gave a lease back, learned that it is over, or died. Its belief ends with it.
    pub fn ended(&mut self, id: GrantId, now: At, end: End) {
        let grant = &mut self.grants[id.0];
        if grant.ended.is_none() {
            grant.ended = Some((now, end));
            let name = &mut self.names[grant.name];
            name.contract.end(id);
        }
    }

    /// Until when a holder believes.
    #[must_use]
    pub fn until(&self, id: GrantId) -> At {
        self.grants[id.0].until
    }

    /// How far its deadline was off when its holder learned of it: what it had to renew in, in nanoseconds.
    #[must_use]
    pub fn time_to_renew_ns(&self, id: GrantId) -> u64 {
        let grant = &self.grants[id.0];
        grant.until.ns_since(grant.settled)
    }

    /// How often a name was granted.
    #[must_use]
    pub fn grants_of(&self, name: usize) -> usize {
        self.names[name].tokens.len()
    }

    /// A holder will do nothing more under a grant.
    pub fn acts_no_more(&mut self, id: GrantId) {
        let name = self.grants[id.0].name;
        self.names[name].acting.end(id);
    }

    /// A holder writes to what its lease protects, with its token.
    pub fn writes(&mut self, id: GrantId, now: At) {
        self.counts.writes += 1;
        let Grant { name, token, called, ended, until, .. } = self.grants[id.0].clone();
        self.grants[id.0].last_act = now;
        self.counts.acts_when_over += u64::from(ended.is_some() || until <= now);
        let resource = &mut self.names[name];
        // Superseded: a grant that was called after this one had been handed out has written already.
        let successor = resource.newest_written.filter(|&(call, _)| call > self.grants[id.0].granted);
        let accepted = token >= resource.fence;
        resource.fence = resource.fence.max(token);
        if accepted && resource.newest_written.is_none_or(|(call, _)| call < called) {
            resource.newest_written = Some((called, id));
        }
        if let Some((_, successor)) = successor {
            self.counts.stale_writes += 1;
            if accepted {
                let what = format!(
                    "grant {} of name {name} wrote with token {token} after its successor, grant {}, had written",
                    id.0, successor.0
                );
                self.violation(Rule::StaleWriteAccepted, now, what);
            }
        }
    }

    fn check_contract(&mut self, id: GrantId, now: At) {
        let Grant { name, until, token, host, .. } = self.grants[id.0];
        for other in self.names[name].contract.begin(id, now, until) {
            let what = format!(
                "name {name}: grant {} (host {host}, token {token}, until {until}) and grant {} (host {}, token {}, until {})",
                id.0,
                other.0,
                self.grants[other.0].host,
                self.grants[other.0].token,
                self.grants[other.0].until,
            );
            self.violation(Rule::ContractOverlap, now, what);
        }
    }

    /// Judges what can only be judged at the end. Gives counts and findings.
    #[must_use]
    pub fn finish(mut self, now: At, faults: &[Fault], quarantines: &[(At, At)]) -> (Counts, Vec<Violation>) {
        for (place, name) in self.names.iter().enumerate() {
            for (rule, at, what) in tokens::judge(&name.tokens) {
                if self.violations.len() < VIOLATIONS_MAX {
                    self.violations.push(Violation { rule, at, what: format!("name {place}: {what}") });
                }
            }
        }
        let unnoticed: Vec<usize> =
            (0..self.grants.len()).filter(|&id| self.grants[id].ended.is_none()).collect();
        for id in unnoticed {
            let what = format!("the holder of grant {id} was never told that it is over");
            self.violation(Rule::LateNotice, now, what);
        }
        self.count_exposure(faults, quarantines);
        self.violations.sort_by_key(|violation| violation.at);
        (self.counts, self.violations)
    }

    /// Which faults each grant met: those that were active, and could touch it, between its call and the end of its hold.
    fn count_exposure(&mut self, faults: &[Fault], quarantines: &[(At, At)]) {
        debug_assert_eq!(self.counts.exposed.len(), KINDS.len(), "a count for each kind");
        for grant in &self.grants {
            let until = grant.ended.map_or(grant.until, |(at, _)| at).max(grant.last_act);
            let meets = |from: At, to: At| from <= until && grant.called <= to;
            let mut met = [false; KINDS.len()];
            for fault in faults.iter().filter(|fault| meets(fault.from, fault.until)) {
                met[fault.kind.index()] |= fault.kind.touches_host(grant.host);
            }
            met[crate::plan::QUARANTINE] = quarantines.iter().any(|&(from, to)| meets(from, to));
            met[crate::plan::MESSAGE] = grant.noisy;
            self.counts.exposed_any += u64::from(met.iter().any(|&met| met));
            for (count, met) in self.counts.exposed.iter_mut().zip(met) {
                *count += u64::from(met);
            }
        }
    }
}

#[cfg(test)]
mod tests;
