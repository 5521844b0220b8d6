//! Violations that belong together: the same name, the same holders.

use std::collections::BTreeSet;

use super::super::evidence::Evidence;
use crate::referee::{GrantRecord, Violation, ViolationKind};

/// How many incidents are drawn; the rest are in `violations.json`.
pub(super) const INCIDENTS_MAX: usize = 8;
/// How many holders one incident shows.
const HOLDERS_MAX: usize = 6;
/// Violations of one name that are further apart than this are two stories.
const STORY_PAUSE_NS: u64 = 500_000_000;

/// One violation, and what else its holders did.
#[derive(Debug)]
pub(super) struct Incident<'a> {
    /// The gravest of them, after which the incident is named.
    pub(super) violation: &'a Violation,
    /// Those that happened among the holders shown, the gravest included.
    pub(super) kinds: BTreeSet<ViolationKind>,
    /// In the order of their grants.
    pub(super) holders: Vec<&'a GrantRecord>,
    /// When the measured part began on the referee's clock; the incident's own beginning if that is not known.
    pub(super) origin_ns: u64,
}

/// The gravest incidents, at most [`INCIDENTS_MAX`]. What follows on one name without a pause is one story, told once.
pub(super) fn incidents<'a>(evidence: &Evidence<'a>) -> Vec<Incident<'a>> {
    let stories = stories(evidence);
    let mut by_gravity: Vec<(&Violation, usize)> = stories;
    by_gravity.sort_by_key(|(violation, _)| (gravity(violation.kind), violation.at_ns));
    let mut told: BTreeSet<usize> = BTreeSet::new();
    let mut incidents = Vec::new();
    for (violation, story) in by_gravity {
        if incidents.len() == INCIDENTS_MAX {
            break;
        }
        if told.contains(&story) {
            continue;
        }
        let incident = incident(evidence, violation);
        if !incident.holders.is_empty() {
            told.insert(story);
            incidents.push(incident);
        }
    }
    incidents.sort_by_key(|incident| incident.violation.at_ns);
    incidents
}

/// Each violation with the number of the story that it belongs to.
fn stories<'a>(evidence: &Evidence<'a>) -> Vec<(&'a Violation, usize)> {
    let mut violations: Vec<&Violation> = evidence.violations.violations.iter().collect();
    violations.sort_by_key(|violation| (violation.key, violation.at_ns));
    let mut story = 0;
    let mut before: Option<&Violation> = None;
    let mut told = Vec::with_capacity(violations.len());
    for violation in violations {
        let goes_on = before.is_some_and(|before| {
            before.key == violation.key && violation.at_ns.saturating_sub(before.at_ns) < STORY_PAUSE_NS
        });
        story += usize::from(!goes_on);
        told.push((violation, story));
        before = Some(violation);
    }
    told
}

fn incident<'a>(evidence: &Evidence<'a>, violation: &'a Violation) -> Incident<'a> {
    let kept = evidence.violations;
    let named = |id: u64| violation.grant_id == id || violation.other_grant_id == Some(id);
    let protagonists: Vec<_> = kept.grants.values().filter(|grant| named(grant.grant_id)).collect();
    let from_ns = protagonists.iter().map(|grant| grant.granted_ns).min().unwrap_or(violation.at_ns);
    let to_ns = protagonists.iter().map(|grant| *grant.hold().end()).max().unwrap_or(violation.at_ns);
    let company = kept.grants.values().filter(|grant| {
        let hold = grant.hold();
        grant.key == violation.key
            && *hold.start() <= to_ns
            && *hold.end() >= from_ns
            && !named(grant.grant_id)
    });
    let mut holders: Vec<&GrantRecord> =
        protagonists.iter().copied().chain(company).take(HOLDERS_MAX).collect();
    holders.sort_by_key(|grant| grant.granted_ns);
    let is_shown = |id: u64| holders.iter().any(|grant| grant.grant_id == id);
    let kinds = kept
        .violations
        .iter()
        .filter(|other| is_shown(other.grant_id) && other.other_grant_id.is_none_or(is_shown))
        .map(|other| other.kind)
        .chain([violation.kind])
        .collect();
    let first_ns = holders.first().map_or(from_ns, |grant| grant.granted_ns);
    Incident { violation, kinds, holders, origin_ns: kept.started_ns.unwrap_or(first_ns) }
}

/// The smaller, the graver.
fn gravity(kind: ViolationKind) -> u8 {
    match kind {
        ViolationKind::ContractOverlap => 0,
        ViolationKind::StaleWritePastFence => 1,
        ViolationKind::TokenDuplicate => 2,
        ViolationKind::TokenRegression => 3,
        ViolationKind::ForeignRelease => 4,
        ViolationKind::ActingOverlap => 5,
        ViolationKind::StaleWrite => 6,
    }
}

/// What such a violation is called, and what it means.
pub(super) const fn in_words(kind: ViolationKind) -> &'static str {
    match kind {
        ViolationKind::ContractOverlap => "two leases valid at once",
        ViolationKind::ActingOverlap => "two holders acting at once",
        ViolationKind::StaleWrite => "a write from a holder whose time was over",
        ViolationKind::StaleWritePastFence => "a stale write got past the fence",
        ViolationKind::TokenRegression => "a token smaller than one before it",
        ViolationKind::TokenDuplicate => "one token given twice",
        ViolationKind::ForeignRelease => "a release removed somebody else's lock",
    }
}

/// The same where there is little room.
pub(super) const fn in_short(kind: ViolationKind) -> &'static str {
    match kind {
        ViolationKind::ContractOverlap => "contract overlap",
        ViolationKind::ActingOverlap => "acting overlap",
        ViolationKind::StaleWrite => "stale write",
        ViolationKind::StaleWritePastFence => "stale write past the fence",
        ViolationKind::TokenRegression => "token regression",
        ViolationKind::TokenDuplicate => "token duplicate",
        ViolationKind::ForeignRelease => "foreign release",
    }
}
