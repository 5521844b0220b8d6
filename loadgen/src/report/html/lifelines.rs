//! Lifelines: who believed what when, for the gravest violations.

use maud::{Markup, html};

use super::super::evidence::Evidence;
use super::super::fault_line::FaultLine;
use super::super::table::whole;
use super::incidents::{INCIDENTS_MAX, Incident, in_short, in_words, incidents};
use super::scale::{LEFT, Linear, RIGHT, WIDTH, px, time};
use crate::referee::{GrantRecord, ReleaseOutcome};

const ROW: f64 = 30.0;
const TOP: f64 = 8.0;
/// The names of holders take more room here.
const NAMES: f64 = LEFT + 34.0;

/// A picture for each of the gravest incidents, with a legend.
pub(super) fn lifelines(evidence: &Evidence<'_>) -> Markup {
    let seen: u64 = evidence.violations.seen.values().sum();
    let incidents = incidents(evidence);
    if incidents.is_empty() {
        return html! { p.empty { "The referee took down no violation and no hazard: there is nothing to draw." } };
    }
    html! {
        p {
            @for (at, (kind, count)) in evidence.violations.seen.iter().enumerate() {
                @if at > 0 { "; " } b { (whole(*count)) " ×" } " " (in_words(*kind))
            }
            ". " @if seen > incidents.len() as u64 { "Drawn: up to " (INCIDENTS_MAX) " incidents, the gravest kinds first. More of them are in " code { "violations.json" } "." }
        }
        div.legend aria-hidden="true" {
            span.key { svg.swatch viewBox="0 0 28 10" { line.waiting x1="1" y1="5" x2="27" y2="5" {} } "waits for the lock" }
            span.key { svg.swatch viewBox="0 0 28 10" { rect.belief x="1" y="1" width="26" height="8" rx="2" {} } "may believe it holds it" }
            span.key { svg.swatch viewBox="0 0 28 10" { rect.late x="1" y="3" width="26" height="4" {} } "acts on, past that" }
            span.key { svg.swatch viewBox="0 0 28 10" { rect.stopped x="1" y="0" width="26" height="10" {} } "stopped by a fault" }
            span.key { svg.swatch viewBox="0 0 28 10" { circle.act cx="14" cy="5" r="3.5" {} } "last act" }
            span.key { svg.swatch viewBox="0 0 28 10" { line.deadline x1="14" y1="0" x2="14" y2="10" {} } "own deadline" }
            span.key { svg.swatch viewBox="0 0 28 10" { path.told d="M14 1l4 4-4 4-4-4z" {} } "told it is lost" }
            span.key { svg.swatch viewBox="0 0 28 10" { path.release d="M11 1v8l6-4z" {} } "calls release" }
            span.key { svg.swatch viewBox="0 0 28 10" { path.release.foreign d="M11 1v8l6-4z" {} } "… and removes another's lock" }
        }
        @for (number, incident) in incidents.iter().enumerate() { (picture(evidence, number, incident)) }
    }
}

fn picture(evidence: &Evidence<'_>, number: usize, incident: &Incident<'_>) -> Markup {
    let x = axis(incident);
    let bottom = TOP + incident.holders.len() as f64 * ROW;
    let height = bottom + 40.0;
    let origin_ns = incident.origin_ns as f64;
    let others: Vec<_> = incident
        .kinds
        .iter()
        .filter(|kind| **kind != incident.violation.kind)
        .map(|kind| in_short(*kind))
        .collect();
    let at = incident.violation.at_ns as f64;
    // Round figures from the origin on, not on the referee's own clock.
    let since = Linear { min: x.min - origin_ns, max: x.max - origin_ns, ..x };
    let ticks: Vec<f64> = since.ticks(8).into_iter().map(|tick| tick + origin_ns).collect();
    html! {
        figure.lifeline {
            figcaption {
                b { "Name " (incident.violation.key) ": " (in_words(incident.violation.kind)) }
                @if let Some(length_ns) = incident.violation.length_ns { ", for " (time(length_ns as f64)) }
                @if !others.is_empty() { span.also { " · also " (others.join(", ")) } }
            }
            div.scroll {
                svg.chart viewBox=(format!("0 0 {WIDTH} {}", px(height))) role="img" aria-labelledby=(format!("life-{number}-t life-{number}-d")) {
                    title id=(format!("life-{number}-t")) { "Lifelines of name " (incident.violation.key) ": " (in_words(incident.violation.kind)) }
                    desc id=(format!("life-{number}-d")) { (description(incident)) }
                    g.grid {
                        @for tick in &ticks {
                            @let place = px(x.at(*tick));
                            line x1=(place) x2=(place) y1=(px(TOP)) y2=(px(bottom)) {}
                            text.x x=(place) y=(px(bottom + 16.0)) { (seconds(tick - origin_ns, &ticks)) }
                        }
                    }
                    line.instant x1=(px(x.at(at))) x2=(px(x.at(at))) y1=(px(TOP - 4.0)) y2=(px(bottom)) { title { (in_words(incident.violation.kind)) } }
                    @for (row, grant) in incident.holders.iter().enumerate() {
                        (lifeline(evidence, incident, grant, &x, TOP + row as f64 * ROW))
                    }
                    text.axis x=(px(f64::midpoint(NAMES, RIGHT))) y=(px(height - 8.0)) {
                        @if evidence.violations.started_ns.is_some() { "seconds from the start of the measured part" }
                        @else { "seconds from the first grant shown" }
                    }
                }
            }
        }
    }
}

/// All that the holders believed and did, and a little before and after.
fn axis(incident: &Incident<'_>) -> Linear {
    let from_ns = incident.holders.iter().map(|grant| grant.granted_ns).min().unwrap_or(0);
    let to_ns = incident.holders.iter().map(|grant| *grant.hold().end()).max().unwrap_or(from_ns);
    let margin = ((to_ns - from_ns) as f64 * 0.06).max(1e5);
    Linear { min: from_ns as f64 - margin, max: to_ns as f64 + margin, from: NAMES, to: RIGHT }
}

/// Seconds with as many decimals as tell neighbouring ticks apart.
fn seconds(ns: f64, ticks: &[f64]) -> String {
    let step_s = ticks.windows(2).map(|pair| (pair[1] - pair[0]) / 1e9).next().unwrap_or(1.0);
    let decimals = (0_u8..6).find(|d| step_s * 10_f64.powi(i32::from(*d)) >= 0.999).unwrap_or(6);
    format!("{:.*}", usize::from(decimals), ns / 1e9)
}

fn lifeline(
    evidence: &Evidence<'_>,
    incident: &Incident<'_>,
    grant: &GrantRecord,
    x: &Linear,
    top: f64,
) -> Markup {
    let middle = top + ROW / 2.0;
    let ns = |ns: u64| x.at(ns as f64);
    let contract_end_ns = grant.contract_belief().end.min(*grant.hold().end());
    let (granted, believed) = (ns(grant.granted_ns), ns(contract_end_ns));
    let acted = ns(grant.last_act_ns);
    html! {
        g.life {
            title { (told(grant)) }
            text.y x=(px(NAMES - 8.0)) y=(px(middle)) { "node " (grant.node) }
            text.y.small x=(px(NAMES - 8.0)) y=(px(middle + 11.0)) {
                @match grant.token { Some(token) => { "token …" (format!("{:06}", token % 1_000_000)) } None => "no token" }
            }
            @for (from, to) in stops(evidence, incident, grant, x) {
                rect.stopped x=(px(from)) y=(px(top + 2.0)) width=(px(to - from)) height=(px(ROW - 4.0)) {}
            }
            line.waiting x1=(px(ns(grant.call_ns))) x2=(px(granted)) y1=(px(middle)) y2=(px(middle)) {}
            rect.belief x=(px(granted)) y=(px(middle - 6.0)) width=(px((believed - granted).max(1.5))) height="12" rx="2" {}
            @if grant.last_act_ns > contract_end_ns {
                rect.late x=(px(believed)) y=(px(middle - 3.0)) width=(px((acted - believed).max(1.0))) height="6" {}
            }
            @if let Some(until_ns) = grant.valid_until_ns.filter(|until| (*until as f64) < x.max) {
                line.deadline x1=(px(ns(until_ns))) x2=(px(ns(until_ns))) y1=(px(middle - 10.0)) y2=(px(middle + 10.0)) {}
            }
            @if let Some(release_ns) = grant.release_call_ns {
                path class=(if grant.release == ReleaseOutcome::Foreign { "release foreign" } else { "release" })
                    d=(format!("M{} {}v10l7 -5z", px(ns(release_ns)), px(middle - 5.0))) {}
            }
            @if let Some(told_ns) = grant.told_lost_ns {
                path.told d=(format!("M{} {}l5 5-5 5-5-5z", px(ns(told_ns)), px(middle - 5.0))) {}
            }
            circle.act cx=(px(acted)) cy=(px(middle)) r="3.5" {}
        }
    }
}

/// Where this holder was stopped, in drawing units.
fn stops(
    evidence: &Evidence<'_>,
    incident: &Incident<'_>,
    grant: &GrantRecord,
    x: &Linear,
) -> Vec<(f64, f64)> {
    if evidence.violations.started_ns.is_none() {
        return Vec::new();
    }
    let name = format!("node {}", grant.node);
    let place = |ms: f64| x.at(incident.origin_ns as f64 + ms * 1e6);
    let stopped = |fault: &&FaultLine| fault.fault == "pause-node" && fault.target == name;
    let spans = evidence.faults.iter().filter(stopped).map(FaultLine::span_ms);
    spans.map(|(start_ms, end_ms)| (place(start_ms), place(end_ms))).filter(|(from, to)| to > from).collect()
}

/// One holder's story in a sentence.
fn told(grant: &GrantRecord) -> String {
    let after = |ns: u64| time(ns.saturating_sub(grant.granted_ns) as f64);
    let mut parts = vec![format!(
        "node {}, granted after waiting {}",
        grant.node,
        time(grant.granted_ns.saturating_sub(grant.call_ns) as f64)
    )];
    parts.extend(grant.valid_until_ns.map(|ns| format!("its deadline was {} later", after(ns))));
    parts.extend(grant.told_lost_ns.map(|ns| format!("told after {} that it is lost", after(ns))));
    parts.push(format!("last act after {}", after(grant.last_act_ns)));
    parts.extend(grant.release_call_ns.map(|ns| format!("released after {}", after(ns))));
    if grant.release == ReleaseOutcome::Foreign {
        parts.push("that removed another's lock".to_owned());
    }
    parts.join(", ")
}

fn description(incident: &Incident<'_>) -> String {
    incident.holders.iter().map(|grant| told(grant)).collect::<Vec<_>>().join(". ")
}
