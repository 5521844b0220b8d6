//! The tables of a run: phases, contention, safety, surroundings.

use maud::{Markup, html};

use super::super::run_json::Run;
use super::super::table::{length, ms, per_second};
use super::figures::Figures;
use crate::run::priority::priority_name;

/// What took how long: a row's name, what it means, and where its figures stand in `run.json`.
const PHASES: [(&str, &str, &str); 11] = [
    ("acquire", "from due to the lease in hand, waiting and retries included", "latency_us.acquire"),
    ("attempt", "one attempt, won or lost", "latency_us.attempt"),
    ("due to sent", "how late acquisitions were sent, faults included", "latency_us.due_to_sent"),
    ("hold", "from the lease in hand to the call of release", "latency_us.hold"),
    ("renew", "one renewal", "latency_us.renew"),
    ("release", "from the call to its return", "latency_us.release"),
    ("loss notice", "from the deadline to the notice", "latency_us.loss_notice"),
    ("hand-over", "from a release to the next grant, where somebody waited", "contention.handoff_us"),
    ("late act", "last act after the own deadline", "safety.late_notice_us"),
    ("contract overlap", "how long two leases were valid at once", "safety.contract_overlap_us"),
    ("acting overlap", "how long two holders acted at once", "safety.acting_overlap_us"),
];

pub(super) fn phases(figures: &Figures) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "in milliseconds" } th { "p50" } th { "p90" } th { "p99" } th { "p99.9" } th { "max" } th { "count" } } }
            tbody {
                @for (name, meaning, field) in PHASES {
                    @if figures.has(&format!("{field}.max")) {
                        tr {
                            th scope="row" { (name) small { (meaning) } }
                            @for part in ["p50", "p90", "p99", "p999", "max"] { td { (figures.ms(&format!("{field}.{part}"))) } }
                            td { (figures.whole(&format!("{field}.count"))) }
                        }
                    }
                }
            }
        } }
        p.note { "A percentile with fewer than ten samples beyond it is not given." }
    }
}

pub(super) fn contention(run: &Run, figures: &Figures) -> Markup {
    html! {
        div.pair {
            dl {
                dt { "Attempts beyond the first, per grant" } dd { (figures.decimal("contention.retries_per_grant")) }
                dt { "Most acquisitions under way at once for one name" } dd { (figures.whole("contention.waiting_max")) }
                dt { "Fairness among nodes (Jain; 1 is fair)" } dd { (figures.decimal("contention.jain_fairness")) }
                dt { "Hand-over, median" } dd { (figures.ms_unit("contention.handoff_us.p50")) }
            }
            dl {
                dt { "Renewals tried" } dd { (figures.whole("renewals.attempted")) }
                dt { "Renewals that succeeded" } dd { (figures.whole("renewals.succeeded")) @if figures.has("renewals.success_rate") { " · " (figures.percent("renewals.success_rate")) } }
                dt { "Least time left to a deadline when its renewal was done" } dd { (figures.ms_unit("renewals.slack_us.min")) }
                dt { "Renewals that the limiter held back" } dd { (figures.whole("renewals.limited")) }
                dt { "Leases that lived on by their shadow" } dd { (figures.whole("renewals.shadow")) }
            }
        }
        @if run.attempted > run.granted {
            p { "Not granted: "
                @for (at, (reason, count)) in run.failed.iter().filter(|(_, count)| **count > 0).enumerate() {
                    @if at > 0 { ", " } (figures.whole(&format!("failed.{reason}"))) " " (reason.replace('_', " ")) @let _ = count;
                } "." }
        }
    }
}

/// A row of the safety table: its name, where it stands in `run.json`, what it means, and whether a lock that promises
/// exclusion must show zero.
const SAFETY: [(&str, &str, &str, bool); 12] = [
    (
        "contract overlaps",
        "contract_overlaps",
        "two leases on a name valid at once by their holders' own word",
        true,
    ),
    (
        "double acquisitions",
        "double_acquisition_rate",
        "grants given while another holder was still acting",
        false,
    ),
    (
        "stale writes attempted",
        "stale_writes_attempted",
        "writes by a superseded holder, of all writes",
        false,
    ),
    (
        "… accepted without a fence",
        "stale_writes_accepted_unfenced",
        "what an unfenced resource takes",
        false,
    ),
    ("… accepted past the fence", "stale_writes_accepted_fenced", "a hole in the fencing", true),
    ("lost updates without a fence", "lost_updates_unfenced", "overwrote what they had not read", false),
    ("lost updates past the fence", "lost_updates_fenced", "the same behind the fence", false),
    ("token regressions", "token_regressions", "smaller than one handed out before the call", true),
    ("token duplicates", "token_duplicates", "one token, two grants of a name", true),
    ("foreign releases", "foreign_releases", "somebody else's lock removed", true),
    ("false losses", "lost_false", "told lost while a majority still held, of all losses", false),
    ("unknown outcomes", "unknown_outcomes", "nobody knows whether it happened", false),
];

pub(super) fn safety(promises: bool, figures: &Figures) -> Markup {
    html! {
        p { "Exposure: " b { (figures.whole("safety.exposure.count")) } " of " (figures.whole("safety.exposure.of"))
            " holds met an active fault (" (figures.percent("safety.exposure.rate")) "). "
            "At most " (figures.whole("safety.contract_holders_max")) " leases of a name were valid at once, and at most "
            (figures.whole("safety.acting_holders_max")) " of its holders acted." }
        div.scroll { table {
            thead { tr { th { "the referee saw" } th { "count" } th { "of" } th { "rate" } th { "95 % bound" } @if promises { th { "must be" } } } }
            tbody {
                @for (name, field, meaning, must_be_zero) in SAFETY {
                    @let field = format!("safety.{field}");
                    tr.broken[promises && must_be_zero && figures.above_zero(&format!("{field}.count"))] {
                        th scope="row" { (name) small { (meaning) } }
                        @if figures.has(&field) {
                            td { (figures.whole(&format!("{field}.count"))) }
                            td { (figures.whole(&format!("{field}.of"))) }
                            td { (figures.percent(&format!("{field}.rate"))) }
                            td { @if figures.has(&format!("{field}.upper_95")) { "< " } (figures.percent(&format!("{field}.upper_95"))) }
                        } @else { td.nothing colspan="4" { "this lock has no tokens" } }
                        @if promises { td { @if must_be_zero { "0" } @else { "–" } } }
                    }
                }
            }
        } }
        p.note { "The bound is one-sided: 3/n where nothing was seen, else Clopper and Pearson's. Counts are over all grants, warm-up and cool-down included." }
    }
}

pub(super) fn surroundings(run: &Run, figures: &Figures) -> Markup {
    let environment = &run.environment;
    let parameters = &run.parameters;
    html! {
        p { "To repeat it:" }
        pre { code { (run.command) } }
        div.pair {
            dl {
                dt { "Scenario" } dd { (run.scenario) }
                dt { "Lock" } dd { (run.lock) }
                dt { "Nodes, names" } dd { (figures.whole("nodes")) ", " (figures.whole("parameters.keys")) " (" (parameters.skew) ")" }
                dt { "Load" } dd { (per_second(parameters.rate_per_s)) " " (parameters.arrivals) " for " (length(parameters.duration_ms)) }
                dt { "Hold, TTL, longest wait" } dd { (ms(Some(parameters.hold_us as f64))) " ms, " (length(parameters.ttl_ms)) ", " (length(parameters.wait_ms)) }
                dt { "Warm-up, cool-down" } dd { (length(parameters.warm_up_ms)) ", " (length(parameters.cool_down_ms)) }
                dt { "Seed" } dd { (figures.whole("seed")) }
                dt { "Begun" } dd { (run.started) }
                dt { "Came due while a fault held the node" } dd { (figures.whole("late_by_fault")) }
            }
            dl {
                dt { "Commit" } dd { code { (environment.commit.as_deref().map_or("unknown", |commit| commit.get(..12).unwrap_or(commit))) } @if environment.dirty == Some(true) { " and changes" } }
                dt { "Compiler" } dd { (environment.compiler) ", " (environment.profile) }
                dt { "Processor" } dd { (environment.cpu.as_deref().unwrap_or("unknown")) " × " (figures.whole("environment.cores")) }
                dt { "Kernel" } dd { (environment.kernel) }
                @if let Some(real_time) = environment.real_time { dt { "Sent at" } dd { (priority_name(real_time)) } }
                @match &environment.server {
                    Some(server) => {
                        dt { "Server" } dd { (server.version) }
                        @for (name, value) in &server.settings { dt.setting { code { (name) } } dd { code { @if value.is_empty() { "\"\"" } @else { (value) } } } }
                    }
                    None => { dt { "Server" } dd { "none: endpoints in memory, or no lock" } }
                }
                dt { "Processor time, nodes and coordinator" } dd { (figures.decimal("usage.client_cpu_s")) " s" }
                dt { "Processor time, servers" } dd { (figures.decimal("usage.server_cpu_s")) " s" }
                dt { "Most memory, nodes and coordinator" } dd { (figures.decimal("usage.client_rss_mib")) " MiB" }
            }
        }
    }
}
