//! Which part of a run's nodes this machine plays.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::referee::Machines;

/// More machines than this share no run.
const SHARDS_MAX: u32 = 1_000;

/// One of several shards, as `2/4` names the second of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shard {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) of: u32,
}

impl Shard {
    /// The only one of a run that is not shared.
    pub(crate) const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether this machine plays the node: of four shards the first has nodes 0, 4, 8 and so on.
    pub(crate) fn owns(self, node: u32) -> bool {
        Machines::sharing(self.of, 0).playing(node) == self.number - 1
    }

    pub(crate) fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Its nodes, of so many in all.
    pub(crate) fn nodes(self, nodes: u32) -> Vec<u32> {
        (0..nodes).filter(|&node| self.owns(node)).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Not a shard.
#[derive(Debug, thiserror::Error)]
#[error("expected NUMBER/OF, such as 2/4 for the second of four, with at most {SHARDS_MAX}")]
pub(crate) struct ShardError;

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (number, of) = text.split_once('/').ok_or(ShardError)?;
        let number: u32 = number.parse().map_err(|_| ShardError)?;
        let of: u32 = of.parse().map_err(|_| ShardError)?;
        let fits = (1..=of).contains(&number) && of <= SHARDS_MAX;
        if fits { Ok(Self { number, of }) } else { Err(ShardError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_belongs_to_one_shard() {
        let shards: Vec<Shard> = (1..=4).map(|number| Shard { number, of: 4 }).collect();
        for node in 0..40 {
            assert_eq!(shards.iter().filter(|shard| shard.owns(node)).count(), 1, "node {node}");
        }
        assert_eq!(shards[1].nodes(10), [1, 5, 9]);
        assert!((0..40).all(|node| Shard::WHOLE.owns(node)));
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        assert_eq!("2/4".parse::<Shard>().unwrap(), Shard { number: 2, of: 4 });
        for wrong in ["0/4", "5/4", "1/0", "2", "a/b", "1/1001", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
