//! The negative controls: each is the library's lock with one thing wrong, under faults that make it matter.

use std::fmt::Write as _;

use serde::Serialize;

use super::OWN_SERVERS;
use crate::locks::control::Control;
use crate::run::interrupt::Interrupts;
use crate::run::plan::{LockKind, Plan};
use crate::run::settings::SettingsError;
use crate::run::stage::Stage;
use crate::run::watch::Watch;
use crate::run::{RunError, play};
use crate::scenario::Scenario;

/// Holders that sleep past their TTL: what makes most mistakes matter.
const SLEEPERS: &str = r#"
[load]
nodes = 12
rate = 100
keys = 4
hold = "30ms"
ttl = "500ms"
wait = "1s"
warm_up = "200ms"
duration = "5s"
cool_down = "300ms"

[[fault]]
kind = "pause-node"
nodes = "0-3"
every = "1500ms"
length = "900ms"
pick = "spread"
"#;

/// Two endpoints that forget their votes within one hold.
const AMNESIA: &str = r#"
[load]
nodes = 12
rate = 20
keys = 8
hold = "700ms"
ttl = "2s"
wait = "1s"
warm_up = "200ms"
duration = "5s"
cool_down = "300ms"

[[fault]]
kind = "kill-endpoint"
endpoints = [1, 2]
data = "discard"
start = "1s"
every = "1200ms"
length = "50ms"
"#;

/// What became of a control.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    control: &'static str,
    /// What the referee said against it, in sentences.
    caught_by: Vec<String>,
}

impl Outcome {
    pub(crate) fn caught(&self) -> bool {
        !self.caught_by.is_empty()
    }
}

/// Plays every control for a few seconds.
pub(crate) async fn play_all(
    seed: u64,
    watch: &Watch,
    interrupts: &mut Interrupts,
) -> Result<Vec<Outcome>, RunError> {
    let mut outcomes = Vec::new();
    for control in Control::ALL {
        let text = if control == Control::QuarantineOff { AMNESIA } else { SLEEPERS };
        let scenario = Scenario::parse("control", "control", text).map_err(SettingsError::from)?;
        let lock = LockKind::Control(control);
        let plan = Plan::of(scenario, lock, seed);
        let stage = Stage::set(lock, &OWN_SERVERS)?;
        let played = play(&plan, &stage, watch, interrupts).await?;
        outcomes.push(Outcome { control: control.name(), caught_by: played.run.safety.broken_promises() });
        if !played.run.complete {
            break;
        }
    }
    Ok(outcomes)
}

/// In sentences, for people.
pub(crate) fn told(outcomes: &[Outcome]) -> String {
    if outcomes.is_empty() {
        return "negative controls: not played\n".to_owned();
    }
    let caught = outcomes.iter().filter(|outcome| outcome.caught()).count();
    let mut text = format!("negative controls: the referee caught {caught} of {}\n", outcomes.len());
    for outcome in outcomes {
        let by = if outcome.caught() { outcome.caught_by.join("; ") } else { "NOT CAUGHT".to_owned() };
        writeln!(text, "  {:<26} {by}", outcome.control).unwrap_or_default();
    }
    if caught < outcomes.len() {
        text.push_str("A control that is not caught makes the zeros above worthless.\n");
    }
    text
}
