//! What a lifeline of a violation is drawn from: who believed what when.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::record::GrantRecord;

/// How many of a kind are kept; the rest are counted.
const KEPT_PER_KIND: u64 = 100;

/// A kind of violation, or of hazard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ViolationKind {
    /// Two leases on a name valid at once by their holders' own word: a promise broken.
    ContractOverlap,
    /// Two holders of a name acting at once: the hazard of any lease.
    ActingOverlap,
    /// A superseded holder wrote, and a resource without a fence took it.
    StaleWrite,
    /// A superseded holder wrote past the fence: a hole in the fencing.
    StaleWritePastFence,
    /// A token smaller than that of a grant handed out before the call.
    TokenRegression,
    /// A token that another grant of the name carries.
    TokenDuplicate,
    /// A release removed somebody else's lock.
    ForeignRelease,
}

/// One violation, or one hazard that came true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Violation {
    /// What happened.
    pub(crate) kind: ViolationKind,
    /// To which name.
    pub(crate) key: u32,
    /// When: the start of the overlap, the arrival of the write, the handing out of the token, the call of release.
    pub(crate) at_ns: u64,
    /// For how long, where it lasted.
    pub(crate) length_ns: Option<u64>,
    /// The grant that it is about.
    pub(crate) grant_id: u64,
    /// The grant that it collided with.
    pub(crate) other_grant_id: Option<u64>,
}

impl Violation {
    /// One that a single grant commits.
    pub(crate) fn of(kind: ViolationKind, grant: &GrantRecord, at_ns: u64) -> Self {
        Self { kind, key: grant.key, at_ns, length_ns: None, grant_id: grant.grant_id, other_grant_id: None }
    }

    /// One that came to pass when `grant` was handed out, because of an `other`.
    pub(crate) fn between(kind: ViolationKind, grant: &GrantRecord, other: &GrantRecord) -> Self {
        Self { other_grant_id: Some(other.grant_id), ..Self::of(kind, grant, grant.granted_ns) }
    }
}

/// The violations of a run, as in `violations.json`. All times are on the referee's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Violations {
    /// When the measured part of the run began, if that is known.
    #[serde(default)]
    pub(crate) started_ns: Option<u64>,
    /// How many there were of each kind, kept or not.
    pub(crate) seen: BTreeMap<ViolationKind, u64>,
    /// The first hundred of each kind.
    pub(crate) violations: Vec<Violation>,
    /// Every grant that a kept violation speaks of, by its id.
    pub(crate) grants: BTreeMap<u64, GrantRecord>,
}

/// Keeps what a lifeline needs, and no more.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    violations: Violations,
    /// Grants that kept violations speak of and whose records have not come yet.
    wanted: BTreeSet<u64>,
}

impl Witness {
    /// Takes down a violation, and of the grants that it speaks of those that are known already.
    pub(crate) fn add(&mut self, violation: Violation, known: &[&GrantRecord]) {
        let seen = self.violations.seen.entry(violation.kind).or_default();
        *seen += 1;
        if *seen > KEPT_PER_KIND {
            return;
        }
        self.wanted.insert(violation.grant_id);
        self.wanted.extend(violation.other_grant_id);
        self.violations.violations.push(violation);
        for grant in known {
            self.offer(grant);
        }
        self.wanted.retain(|grant_id| !self.violations.grants.contains_key(grant_id));
    }

    /// Takes the record of a grant if a violation speaks of it.
    pub(crate) fn offer(&mut self, grant: &GrantRecord) {
        if self.wanted.remove(&grant.grant_id) {
            self.violations.grants.insert(grant.grant_id, *grant);
        }
    }

    /// All that was taken down.
    pub(crate) fn into_violations(self) -> Violations {
        self.violations
    }
}
