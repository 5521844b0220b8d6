//! Groups of runs on one page.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::super::compare::notes;
use super::super::comparison::{Group, Metric, REPEATS_FOR_A_CLAIM, Standing, difference, sentences, signed};
use super::super::evidence::Record;
use super::super::run_json::Run;
use super::super::summary::workload;
use super::super::table::{percent, whole};
use super::curves::{Curve, curves};
use super::headline::headline;
use super::page::{page, section};
use super::scale::time;
use crate::measure::{Phase, new_histogram};
use crate::referee::Count;

/// Curves of single runs that are drawn beside the sum of their group.
const FAINT_MAX: usize = 12;
/// Colours there are.
const STYLES: usize = 8;

pub(super) fn comparison_page(records: &[Record], groups: &[Group<'_>]) -> Markup {
    // Sentences rest on runs that may be used; the others are only shown.
    let usable: Vec<Group<'_>> = groups
        .iter()
        .map(|group| {
            let runs = group.runs.iter().copied().filter(|run| run.valid && run.complete).collect();
            Group { runs, ..group.clone() }
        })
        .collect();
    let title = groups.iter().map(|group| group.label.as_str()).collect::<Vec<_>>().join(" and ");
    let body = html! {
        header {
            p.over { "loadgen · comparison" @if let Some(run) = first(groups) { " · " (run.scenario) } }
            @if let Some((first, others)) = headline(&usable).split_first() {
                h1.plain { (unbroken(first)) }
                @for sentence in others { p.second { (unbroken(sentence)) } }
            }
            @for note in notes(groups) { p.further { (note) } }
            @if usable.iter().any(|group| group.runs.len() < REPEATS_FOR_A_CLAIM) {
                p.further { "A claim about speed takes at least five interleaved repeats a side; there are fewer here." }
            }
            @if let Some(run) = first(groups) { p.workload { (workload(run)) } }
        }
        (section("sentences", "What the runs show", &verdicts(&usable)))
        (section("latency", "Acquisitions, from the time they were due", &html! { div.locks { (acquisitions(records, groups)) } }))
        (section("figures", "Figures", &figures(&usable)))
        (section("runs", "The runs", &runs(groups)))
    };
    page(&format!("{title}: loadgen compare"), &body)
}

/// A number and its unit stay on one line.
fn unbroken(sentence: &str) -> String {
    sentence.replace(" %", "\u{a0}%")
}

fn first<'a>(groups: &[Group<'a>]) -> Option<&'a Run> {
    groups.iter().flat_map(|group| group.runs.first()).copied().next()
}

fn verdicts(groups: &[Group<'_>]) -> Markup {
    let Some((first, others)) = groups.split_first() else { return html! {} };
    html! {
        @for group in groups.iter().filter(|group| group.runs.is_empty()) {
            p.empty { "No usable run of " (group.name()) ": nothing can be said of it." }
        }
        @for group in others {
            @if !first.runs.is_empty() && !group.runs.is_empty() {
                h3 { (group.name()) " against " (first.name()) }
                ul.sentences {
                    @for (standing, sentence) in sentences(first, group) {
                        li.shown[standing == Some(Standing::Shown)] { (sentence) }
                    }
                }
            }
        }
    }
}

fn acquisitions(records: &[Record], groups: &[Group<'_>]) -> Markup {
    // Runs are told apart by what they are: two that are equal in everything are the same.
    let of = |run: &Run| records.iter().find(|record| record.run == *run);
    let sums: Vec<(usize, &Group<'_>, Histogram<u64>)> = groups
        .iter()
        .enumerate()
        .map(|(at, group)| {
            let mut sum = new_histogram();
            for record in group.runs.iter().filter_map(|run| of(run)) {
                // All histograms of this program have one shape, so they always add up.
                sum.add(record.timeline.total(Phase::Acquire)).unwrap_or_default();
            }
            (at % STYLES + 1, group, sum)
        })
        .collect();
    let singles: Vec<(usize, Histogram<u64>)> = sums
        .iter()
        .filter(|(_, group, _)| group.runs.len() > 1)
        .flat_map(|(style, group, _)| {
            group.runs.iter().take(FAINT_MAX).filter_map(|run| of(run)).map(|r| (*style, r))
        })
        .map(|(style, record)| (style, record.timeline.total(Phase::Acquire)))
        .collect();
    let faint = singles.iter().map(|(style, histogram)| Curve {
        name: String::new(),
        style: *style,
        heavy: false,
        faint: true,
        histogram,
    });
    let heavy = sums.iter().map(|(style, group, histogram)| Curve {
        name: format!("{} ({})", group.name(), group.size()),
        style: *style,
        heavy: true,
        faint: false,
        histogram,
    });
    let drawn: Vec<_> = faint.chain(heavy).collect();
    html! {
        (curves("curves", "Percentile curves of the groups", &drawn))
        p.note { "Heavy lines: all runs of a group together. Thin lines: its runs, one by one." }
    }
}

fn figures(groups: &[Group<'_>]) -> Markup {
    let Some((first, others)) = groups.split_first() else { return html! {} };
    html! {
        div.scroll { table {
            thead { tr {
                th { "median over runs, or counted over all" }
                th { (first.name()) }
                @for group in others { th { (group.name()) } }
            } }
            tbody { @for metric in &Metric::ALL {
                tr {
                    th scope="row" { (metric.label) }
                    td { (cell(metric, first)) }
                    @for group in others {
                        td { (cell(metric, group)) (change(metric, first, group)) }
                    }
                }
            } }
        } }
        p.note { "Small: the change against " (first.name()) ", with its 95 % interval where there are runs enough; under a count its rate, under a zero its 95 % bound. A percentile is given only where every run has ten samples beyond it. Intervals: Hodges and Lehmann's estimate over all pairs of runs, Mann and Whitney's exact interval; they take four runs a side." }
    }
}

/// By how much a measured figure differs from the first group's.
fn change(metric: &Metric, first: &Group<'_>, group: &Group<'_>) -> Markup {
    let counted = metric.pooled(group.runs.iter().copied()).is_some();
    let Some(difference) = difference(metric, first, group).filter(|_| !counted) else { return html! {} };
    html! {
        small.change {
            (signed(difference.change))
            @if let Some((low, high)) = difference.interval { " (" (signed(low)) " to " (signed(high)) ")" }
            @else if difference.standing == Standing::Noise { ", noise" }
        }
    }
}

fn cell(metric: &Metric, group: &Group<'_>) -> Markup {
    match (group.pooled(metric), group.value(metric)) {
        (Some(Count { count: 0, of, upper_95, .. }), _) => {
            html! { "0 of " (whole(of)) small.change { "< " (percent(upper_95)) } }
        }
        (Some(count), _) => {
            html! { (whole(count.count)) " of " (whole(count.of)) small.change { (percent(count.rate)) } }
        }
        (None, Some(value)) => html! { (metric.show(value)) },
        (None, None) => html! { span.nothing { "–" } },
    }
}

fn runs(groups: &[Group<'_>]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "run" } th { "begun" } th { "seed" } th { "commit" } th { "granted" } th { "p99" } } }
            tbody { @for group in groups { @for run in &group.runs {
                tr.broken[!run.valid || !run.complete] {
                    th scope="row" { (group.name()) small { code { (run.command) } } @if !run.valid { small { "may not be used: " (run.invalid_because.join("; ")) } } @if !run.complete { small { "interrupted" } } }
                    td { (run.started) } td { (run.seed) }
                    td { code { (run.environment.commit.as_deref().and_then(|commit| commit.get(..9)).unwrap_or("–")) } }
                    td { (run.granted) }
                    td { @match run.latency_us.acquire.p99 { Some(us) => (time(us * 1e3)), None => "–" } }
                }
            } } }
        } }
    }
}
