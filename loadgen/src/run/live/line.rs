//! A run as one plain line, for logs.

use super::block::{faults, safety};
use super::snapshot::{RunPhase, Snapshot};
use crate::report::table::{ms, per_second, whole};

/// How the run goes.
pub(super) fn line(seen: &Snapshot) -> String {
    let mut parts = vec![format!("{:>4} s left", seen.left_ns.div_ceil(1_000_000_000))];
    if seen.phase != RunPhase::Measured {
        parts.push(seen.phase.name().to_owned());
    }
    if let Some(rates) = seen.rates {
        let [offered, sent, granted] =
            [rates.offered_per_s, rates.sent_per_s, rates.granted_per_s].map(per_second);
        parts.push(format!("offered {offered}, sent {sent}, granted {granted}"));
        parts.push(format!("p99 {} ms", ms(seen.acquire_p99_us)));
    }
    if let Some(retries) = seen.retries_per_grant() {
        parts.push(format!("{retries:.2} retries a grant"));
    }
    parts.push(format!("{} wait", whole(seen.waiting.count)));
    let safety: Vec<String> = safety(seen).into_iter().map(|(_, _, text)| text).collect();
    parts.push(safety.join(", "));
    parts.extend(faults(seen));
    parts.join(" | ")
}
