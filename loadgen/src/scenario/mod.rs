//! What is to be done to a lock: a load and faults, as one file says it. Plain data, for real servers and for the
//! simulator alike.
//!
//! # Layout
//!
//! - `load`: the load, and the laws that it is drawn from. `fault`: what can be done, to whom and when.
//! - `set`: some of the nodes or endpoints. `delay`: how long a link holds things up.
//! - `planned`: when each fault happens, drawn from the seed. `random`: the generators.
//! - `file`: from TOML to a scenario. `section`: one table of it, its keys and their lines. `text`: values in text.
//! - `ready`: the scenarios that ship with the program.

mod delay;
mod fault;
mod file;
mod load;
mod planned;
mod random;
mod ready;
mod section;
mod set;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use delay::Delay;
pub(crate) use fault::{ClockChange, Data, Effect, Fault, FaultKind, Pick, Way, When};
pub(crate) use file::{Place, ScenarioError};
pub(crate) use load::{Arrivals, Load, Profile, Skew, Stretch};
pub(crate) use planned::{Action, PLANNED_MAX, PlannedFault, dropped, planned};
pub(crate) use random::generator;
pub(crate) use ready::{READY, find};
pub(crate) use set::Set;
pub(crate) use text::{duration, rate, show};

/// A load and what goes wrong under it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scenario {
    /// For people and for the names of folders.
    pub(crate) name: String,
    /// What it is for, in a sentence.
    pub(crate) about: String,
    pub(crate) load: Load,
    pub(crate) faults: Vec<Fault>,
    /// Where it is from, and as it is written: for messages about it.
    pub(crate) file: String,
    pub(crate) text: String,
}
