//! The scenarios that ship with the program.

use std::path::Path;

use super::section::suggestion;
use super::{Scenario, ScenarioError};

/// A scenario that ships.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) name: &'static str,
    /// The file, comments and all.
    pub(crate) text: &'static str,
}

macro_rules! ready {
    ($($name:literal),*) => {
        [$(Ready { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*]
    };
}

/// All of them, the calm one first.
pub(crate) const READY: [Ready; 11] = ready![
    "calm",
    "gc-pause",
    "partition",
    "az-failure",
    "restart-amnesia",
    "slow-endpoint",
    "hung-endpoint",
    "clock-drift",
    "renewal-storm",
    "hot-key",
    "chaos"
];

impl Ready {
    pub(crate) fn scenario(&self) -> Result<Scenario, ScenarioError> {
        Scenario::parse(self.name, &format!("{}.toml", self.name), self.text)
    }
}

/// The scenario of this name, or in this file.
pub(crate) fn find(name: &str) -> Result<Scenario, ScenarioError> {
    if let Some(ready) = READY.iter().find(|ready| ready.name == name) {
        return ready.scenario();
    }
    let path = Path::new(name);
    if path.exists() || name.contains(['/', '.']) {
        return Scenario::read(path);
    }
    Err(ScenarioError::unknown(name))
}

impl ScenarioError {
    /// Nothing that ships is called so.
    pub(crate) fn unknown(name: &str) -> Self {
        Self::Unknown { name: name.to_owned(), remedy: suggestion(name, &READY.map(|ready| ready.name)) }
    }
}
