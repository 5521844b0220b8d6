//! What a run shows, in a sentence.

use super::super::run_json::Run;
use super::super::table::{percent, whole};
use super::super::verdict::promises_exclusion;
use crate::referee::Count;

/// How the sentence is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// A promise, kept.
    Good,
    /// Nothing was promised, or too little was tried.
    Plain,
    /// A promise, broken, or figures that may not be used.
    Bad,
}

impl Tone {
    /// Its class in the page.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain => "plain",
            Self::Bad => "bad",
        }
    }
}

/// The verdict on a run: one sentence, and others that it cannot do without.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) sentence: String,
    pub(super) further: Vec<String>,
}

impl Verdict {
    pub(super) fn on(run: &Run) -> Self {
        let broken = run.safety.broken_promises();
        let promises = promises_exclusion(&run.lock);
        let (tone, sentence) = match (promises, broken.is_empty()) {
            (true, false) => (Tone::Bad, format!("{} broke its promise: {}.", run.lock, broken.join("; "))),
            (true, true) => (if run.valid { Tone::Good } else { Tone::Bad }, kept(run)),
            (false, _) => (if run.valid { Tone::Plain } else { Tone::Bad }, unpromised(run)),
        };
        let mut further: Vec<_> = run
            .invalid_because
            .iter()
            .map(|reason| format!("The figures may not be used: {reason}."))
            .collect();
        if !run.complete {
            further.push("The run was interrupted; the figures stand for what was done.".to_owned());
        }
        further.push(exposure(run));
        Self { tone, sentence, further }
    }
}

fn kept(run: &Run) -> String {
    let overlaps = &run.safety.contract_overlaps;
    let stale = run.safety.stale_writes_attempted.count;
    let fence = match (&run.safety.stale_writes_accepted_fenced, stale) {
        (Some(_), 0) => ", and no holder wrote after its time",
        (Some(_), 1) => ", and the fence refused the one write that came too late",
        (Some(_), _) => ", and the fence refused every write that came too late",
        (None, _) => "",
    };
    format!(
        "{} kept its promise: no two leases on one name were valid at once in {} grants (95 % bound {}){fence}.",
        run.lock,
        whole(overlaps.of),
        percent(overlaps.upper_95),
    )
}

/// What the lock itself took for its word comes first, then what its holders did.
fn unpromised(run: &Run) -> String {
    let (contract, double) = (&run.safety.contract_overlaps, &run.safety.double_acquisition_rate);
    let told = |count: &Count| {
        format!("{} of {} grants ({})", whole(count.count), whole(count.of), percent(count.rate))
    };
    let lock = &run.lock;
    match (contract.count, double.count) {
        (0, 0) => format!(
            "{lock} promises no exclusion; in this run no two holders acted at once in {} grants (95 % bound {}).",
            whole(double.of),
            percent(double.upper_95),
        ),
        (0, _) => format!(
            "{lock} gave {} while another holder of the name was still acting; it promises no exclusion.",
            told(double)
        ),
        (_, 0) => format!(
            "{lock} gave {} while another lease on the name was still valid; it promises no exclusion.",
            told(contract)
        ),
        (_, _) => format!(
            "{lock} gave {} while another lease on the name was still valid, {} while another holder was still acting; \
             it promises no exclusion.",
            told(contract),
            told(double)
        ),
    }
}

fn exposure(run: &Run) -> String {
    let exposure = &run.safety.exposure;
    if exposure.count == 0 {
        return "No fault was active during any hold: a zero here says how the lock works in fair weather, and no more."
            .to_owned();
    }
    let worth =
        if promises_exclusion(&run.lock) { "; the zeros below are worth as much as that" } else { "" };
    format!("{} of {} holds met a fault{worth}.", whole(exposure.count), whole(exposure.of))
}
