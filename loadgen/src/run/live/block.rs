//! A run as a block of lines, for a terminal of any width.

use console::{Style, truncate_str};

use super::snapshot::{RunPhase, Snapshot};
use crate::report::table::{ms, whole};
use crate::run::plan::Plan;

/// Names and nodes that are shown.
const SHOWN_MAX: usize = 4;
/// Heights of a sparkline, from lowest to highest.
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The longest bar: beyond, nobody sees more.
const BAR_MAX: usize = 40;
/// What stands beside the bar.
const BESIDE_BAR: usize = 38;

/// What is the same all through a run.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    lock: String,
    scenario: String,
    seed: u64,
    /// Whether overlaps by contract are a broken promise.
    promises_exclusion: bool,
}

/// How grave a count is when it is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gravity {
    /// What a lock must not let happen.
    Broken,
    /// What no lock without a fence can prevent.
    Harm,
}

/// The few styles there are; all of them plain where colours are not wanted.
#[derive(Clone, Debug)]
pub(super) struct Styles {
    label: Style,
    bar: Style,
    good: Style,
    harm: Style,
    broken: Style,
}

impl Styles {
    /// With colours if standard error is a terminal that has them and `NO_COLOR` is not set.
    pub(super) fn of_stderr() -> Self {
        Self::coloured(console::colors_enabled_stderr())
    }

    pub(super) fn coloured(colours: bool) -> Self {
        let style = || Style::new().force_styling(colours);
        Self {
            label: style().dim(),
            bar: style().cyan(),
            good: style().green(),
            harm: style().yellow(),
            broken: style().red().bold(),
        }
    }
}

impl Subject {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            lock: plan.lock.to_string(),
            scenario: plan.scenario.clone(),
            seed: plan.seed,
            promises_exclusion: plan.lock.promises_exclusion(),
        }
    }

    /// The lines, none wider than `width`.
    pub(super) fn block(&self, seen: &Snapshot, styles: &Styles, width: usize) -> Vec<String> {
        let labelled =
            |label: &str, text: String| format!("{} {text}", styles.label.apply_to(format!("{label:<8}")));
        let mut lines = vec![
            self.head(seen, styles, width),
            labelled("rate", rates(seen)),
            labelled("p99", latency(seen, styles)),
            labelled("retries", retries(seen)),
            labelled("waiting", waiting(seen)),
        ];
        let faults = faults(seen);
        let faults = if faults.is_empty() {
            "none now".to_owned()
        } else {
            styles.harm.apply_to(faults.join("; ")).to_string()
        };
        lines.push(labelled("faults", faults));
        lines.push(labelled("safety", self.safety(seen, styles)));
        lines.into_iter().map(|line| truncate_str(&line, width, "…").into_owned()).collect()
    }

    fn head(&self, seen: &Snapshot, styles: &Styles, width: usize) -> String {
        let Self { lock, scenario, seed, .. } = self;
        let length_ns = seen.since_ns.saturating_add(seen.left_ns).max(1);
        let cells = width.saturating_sub(BESIDE_BAR + lock.len() + scenario.len()).clamp(8, BAR_MAX);
        let full =
            usize::try_from(u128::from(seen.since_ns) * cells as u128 / u128::from(length_ns)).unwrap_or(0);
        let full = full.min(cells);
        let (done, rest) = ("█".repeat(full), "░".repeat(cells - full));
        let left = match seen.phase {
            RunPhase::Measured => format!("{} left", time(seen.left_ns)),
            RunPhase::LastLeases => seen.phase.name().to_owned(),
            phase => format!("{} left, {}", time(seen.left_ns), phase.name()),
        };
        format!(
            "{lock} under {scenario}, seed {seed} {}{} {left}",
            styles.bar.apply_to(done),
            styles.label.apply_to(rest)
        )
    }

    fn safety(&self, seen: &Snapshot, styles: &Styles) -> String {
        let parts = safety(seen).into_iter().map(|(gravity, count, text)| {
            let style = match gravity {
                _ if count == 0 => &styles.good,
                Gravity::Broken if self.promises_exclusion => &styles.broken,
                _ => &styles.harm,
            };
            style.apply_to(text).to_string()
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

fn rates(seen: &Snapshot) -> String {
    let Some(rates) = seen.rates else { return "nothing is measured yet".to_owned() };
    let whole = |per_s: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate, saturating at worst"
        )]
        let per_s = per_s.round() as u64;
        whole(per_s)
    };
    let mut text = format!(
        "{}/s offered, {}/s sent, {}/s granted",
        whole(rates.offered_per_s),
        whole(rates.sent_per_s),
        whole(rates.granted_per_s)
    );
    if seen.not_sent > 0 {
        text.push_str(&format!("; {} had no room", self::whole(seen.not_sent)));
    }
    text
}

fn latency(seen: &Snapshot, styles: &Styles) -> String {
    let worst_ns = seen.seconds.iter().filter_map(|second| second.acquire_p99_ns).max();
    let Some(worst_ns) = worst_ns else { return "-".to_owned() };
    let now_ns = seen.seconds.iter().rev().find_map(|second| second.acquire_p99_ns);
    let us = |ns: u64| ms(Some(ns as f64 / 1e3));
    let spark: String = seen.seconds.iter().map(|second| spark(second.acquire_p99_ns, worst_ns)).collect();
    format!(
        "{} ms now {} worst {}; all {}",
        now_ns.map_or_else(|| "-".to_owned(), us),
        styles.bar.apply_to(spark),
        us(worst_ns),
        ms(seen.acquire_p99_us)
    )
}

/// One second's height beside the highest; a gap where nothing was granted.
fn spark(value: Option<u64>, most: u64) -> char {
    let Some(value) = value else { return ' ' };
    let top = SPARKS.len() - 1;
    let height = u128::from(value) * top as u128 / u128::from(most.max(1));
    SPARKS[usize::try_from(height).unwrap_or(top).min(top)]
}

fn retries(seen: &Snapshot) -> String {
    let retries =
        seen.retries_per_grant().map_or_else(|| "-".to_owned(), |retries| format!("{retries:.2} a grant"));
    let failed: u64 = seen.failed.values().sum();
    let mut text = format!("{retries}; {} granted, {} failed", whole(seen.granted), whole(failed));
    if failed > 0 {
        let reasons = seen.failed.iter().map(|(reason, count)| format!("{reason} {}", whole(*count)));
        text.push_str(&format!(" ({})", reasons.collect::<Vec<_>>().join(", ")));
    }
    text
}

fn waiting(seen: &Snapshot) -> String {
    let held = seen.held;
    let Some(longest_ns) = seen.waiting.longest_ns.filter(|_| seen.waiting.count > 0) else {
        return format!("nobody; {held} held");
    };
    let most = |counts: &[(u32, u64)]| {
        let shown = counts.iter().take(SHOWN_MAX).map(|(id, count)| format!("{id}×{count}"));
        shown.collect::<Vec<_>>().join(" ")
    };
    format!(
        "{}, longest {}; names {}; nodes {}; {held} held",
        whole(seen.waiting.count),
        time(longest_ns),
        most(&seen.waiting.names),
        most(&seen.waiting.nodes)
    )
}

/// `pause-node: node 3, node 7`, for each fault that lasts.
pub(super) fn faults(seen: &Snapshot) -> Vec<String> {
    seen.faults.iter().map(|(name, targets)| format!("{name}: {}", targets.join(", "))).collect()
}

/// What the referee has found, the gravest first.
pub(super) fn safety(seen: &Snapshot) -> Vec<(Gravity, u64, String)> {
    let found = &seen.safety;
    let told = |gravity, count, what: &str| (gravity, count, format!("{} {what}", whole(count)));
    let mut all = vec![
        told(Gravity::Broken, found.contract_overlaps, "contract overlaps"),
        told(Gravity::Harm, found.acting_overlaps, "acting doubles"),
        told(Gravity::Harm, found.stale_writes, "stale writes"),
    ];
    let seldom = [
        told(Gravity::Broken, found.stale_writes_past_fence, "past the fence"),
        told(Gravity::Broken, found.token_regressions, "token regressions"),
        told(Gravity::Broken, found.token_duplicates, "token duplicates"),
        told(Gravity::Broken, found.foreign_releases, "foreign releases"),
    ];
    all.extend(seldom.into_iter().filter(|&(_, count, _)| count > 0));
    all
}

fn time(ns: u64) -> String {
    let seconds = ns.div_ceil(1_000_000_000);
    match seconds {
        _ if ns < 1_000_000_000 => format!("{} ms", ns / 1_000_000),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3_600, seconds / 60 % 60),
    }
}
