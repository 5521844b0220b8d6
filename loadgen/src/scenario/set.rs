//! Some of the nodes or endpoints of a run, whatever their number turns out to be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of them; they are numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Set {
    All,
    /// The first so many per cent, one at the least.
    Share(u32),
    /// These; those that there are not are left out.
    These(Vec<u32>),
}

/// A text that names no set.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected \"all\", a share such as \"25%\", numbers such as \"0-9,12\", or a list such as [0, 2], of 10000 at most"
)]
pub(crate) struct SetError;

/// More members than any run has.
const MEMBERS_MAX: usize = 10_000;

impl Set {
    /// The members, of so many.
    pub(crate) fn members(&self, total: u32) -> Vec<u32> {
        match self {
            Self::All => (0..total).collect(),
            Self::Share(percent) => {
                let share = u64::from(total) * u64::from(*percent) / 100;
                (0..u32::try_from(share).unwrap_or(total).max(1).min(total)).collect()
            }
            Self::These(members) => members.iter().copied().filter(|member| *member < total).collect(),
        }
    }

    pub(crate) fn of(mut members: Vec<u32>) -> Result<Self, SetError> {
        members.sort_unstable();
        members.dedup();
        if (1..=MEMBERS_MAX).contains(&members.len()) { Ok(Self::These(members)) } else { Err(SetError) }
    }
}

impl FromStr for Set {
    type Err = SetError;

    fn from_str(text: &str) -> Result<Self, SetError> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent));
            return percent.map(Self::Share).ok_or(SetError);
        }
        let mut members = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u32>().map_err(|_| SetError);
            let (first, last) = (number(first)?, number(last)?);
            if first > last || (last - first) as usize >= MEMBERS_MAX || members.len() > MEMBERS_MAX {
                return Err(SetError);
            }
            members.extend(first..=last);
        }
        Self::of(members)
    }
}

/// Numbers as people write them: `node 5`, `nodes 0-9,12`.
pub(crate) fn in_words(noun: &str, members: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &member in members {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == member => *last = member,
            _ => ranges.push((member, member)),
        }
    }
    let shown = ranges.iter().map(|&(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    let plural = if members.len() == 1 { "" } else { "s" };
    format!("{noun}{plural} {}", shown.collect::<Vec<_>>().join(","))
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Share(percent) => write!(f, "{percent}%"),
            Self::These(members) => f.write_str(in_words("", members).trim_start_matches(['s', ' '])),
        }
    }
}
