//! The page of one run.

use maud::{Markup, html};

use super::super::evidence::Evidence;
use super::super::summary::{sharing, workload};
use super::super::verdict::promises_exclusion;
use super::HtmlError;
use super::curves::{Curve, curves};
use super::figures::Figures;
use super::lifelines::lifelines;
use super::page::{page, section, tile};
use super::tables::{contention, phases, safety, surroundings};
use super::timeline::timeline;
use super::words::Verdict;
use crate::measure::Phase;

/// The phases that have a curve, and what they are called there.
const CURVES: [(Phase, &str); 8] = [
    (Phase::Acquire, "acquire, from due"),
    (Phase::Attempt, "one attempt"),
    (Phase::DueToSent, "due to sent"),
    (Phase::Hold, "hold"),
    (Phase::Renew, "renew"),
    (Phase::Release, "release"),
    (Phase::LossNotice, "loss notice"),
    (Phase::FirstToDeciding, "first to deciding reply"),
];

pub(super) fn run_page(evidence: &Evidence<'_>) -> Result<Markup, HtmlError> {
    let run = evidence.run;
    let figures = Figures::of(run)?;
    let verdict = Verdict::on(run);
    let body = html! {
        header {
            p.over { "loadgen · " (run.scenario) " · " (run.lock) }
            h1 class=(verdict.tone.class()) { (verdict.sentence) }
            @for sentence in &verdict.further { p.further { (sentence) } }
            @for sentence in sharing(run) { p.further { (sentence) } }
            p.workload { (workload(run)) }
        }
        (tiles(&figures))
        nav aria-label="Parts of this page" {
            @for (id, heading) in PARTS { a href=(format!("#{id}")) { (heading) } }
        }
        (section("latency", "How long it took", &phase_curves(evidence)))
        (section("time", "Over time, under faults", &timeline(evidence)?))
        (section("phases", "Phases", &phases(&figures)))
        (section("contention", "Retries, fairness, renewals", &contention(run, &figures)))
        (section("safety", "Safety", &safety(promises_exclusion(&run.lock), &figures)))
        (section("lifelines", "Lifelines: who believed what when", &lifelines(evidence)))
        (section("surroundings", "Where it was made, and how to repeat it", &surroundings(run, &figures)))
    };
    Ok(page(&format!("{} of {}: loadgen", run.scenario, run.lock), &body))
}

const PARTS: [(&str, &str); 7] = [
    ("latency", "Latency"),
    ("time", "Over time"),
    ("phases", "Phases"),
    ("contention", "Contention"),
    ("safety", "Safety"),
    ("lifelines", "Lifelines"),
    ("surroundings", "Repeat it"),
];

fn tiles(figures: &Figures) -> Markup {
    html! {
        div.tiles {
            (tile("granted", &html! { (figures.whole("granted")) small { " of " (figures.whole("attempted")) } }, ""))
            (tile("achieved, offered", &html! { (figures.decimal("achieved_per_s")) small { " of " (figures.decimal("offered_per_s")) } }, "/s"))
            (tile("acquire p50", &figures.ms("latency_us.acquire.p50"), "ms"))
            (tile("acquire p99", &figures.ms("latency_us.acquire.p99"), "ms"))
            (tile("retries per grant", &figures.decimal("contention.retries_per_grant"), ""))
            (tile("contract overlaps", &figures.whole("safety.contract_overlaps.count"), ""))
            (tile("double acquisitions", &figures.percent("safety.double_acquisition_rate.rate"), ""))
            (tile("holds under a fault", &figures.whole("safety.exposure.count"), ""))
        }
    }
}

fn phase_curves(evidence: &Evidence<'_>) -> Markup {
    let totals: Vec<_> = CURVES
        .iter()
        .enumerate()
        .map(|(at, &(phase, name))| (at + 1, name, phase == Phase::Acquire, evidence.timeline.total(phase)))
        .collect();
    let drawn: Vec<_> = totals
        .iter()
        .map(|(style, name, heavy, histogram)| Curve {
            name: (*name).to_owned(),
            style: *style,
            heavy: *heavy,
            faint: false,
            histogram,
        })
        .collect();
    curves("curves", "Percentile curves of the phases", &drawn)
}
