//! Who waits for a lock: taken down in the workers, brought together for whoever watches a run.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Names and nodes that a worker tells of: more than anybody looks at, less than a message minds.
const TOLD_MAX: usize = 16;

/// An acquisition that the lock has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) node: u32,
    pub(crate) key: u32,
    pub(crate) call_ns: u64,
}

/// Acquisitions that wait at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// How many there are.
    pub(crate) count: u64,
    /// For how long the first of them has waited.
    pub(crate) longest_ns: Option<u64>,
    /// The names that are waited for most, with how many wait, the most first.
    pub(crate) names: Vec<(u32, u64)>,
    /// The nodes that wait most, with how many acquisitions, the most first.
    pub(crate) nodes: Vec<(u32, u64)>,
}

impl Waiting {
    pub(crate) fn of(waiters: &[Waiter], now_ns: u64) -> Self {
        Self {
            count: u64::try_from(waiters.len()).unwrap_or(u64::MAX),
            longest_ns: waiters.iter().map(|waiter| now_ns.saturating_sub(waiter.call_ns)).max(),
            names: most(waiters.iter().map(|waiter| (waiter.key, 1))),
            nodes: most(waiters.iter().map(|waiter| (waiter.node, 1))),
        }
    }

    /// Of several workers. Names far down in all their lists may be missing from this one.
    pub(crate) fn together<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        Self {
            count: parts.clone().map(|part| part.count).sum(),
            longest_ns: parts.clone().filter_map(|part| part.longest_ns).max(),
            names: most(parts.clone().flat_map(|part| part.names.iter().copied())),
            nodes: most(parts.flat_map(|part| part.nodes.iter().copied())),
        }
    }
}

fn most(counts: impl Iterator<Item = (u32, u64)>) -> Vec<(u32, u64)> {
    let mut sums = HashMap::<u32, u64>::new();
    for (id, count) in counts {
        *sums.entry(id).or_default() += count;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_unstable_by_key(|&(id, count)| (std::cmp::Reverse(count), id));
    sums.truncate(TOLD_MAX);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_waited_for_comes_first_over_all_workers() {
        let waiter = |node, key, call_ns| Waiter { node, key, call_ns };
        let crowd = Waiting::of(&[waiter(1, 5, 30), waiter(1, 5, 20), waiter(2, 9, 40)], 70);
        assert_eq!((crowd.count, crowd.longest_ns), (3, Some(50)));
        assert_eq!((&*crowd.names, &*crowd.nodes), (&[(5, 2), (9, 1)][..], &[(1, 2), (2, 1)][..]));
        let alone = Waiting::of(&[waiter(7, 9, 10), waiter(7, 9, 50)], 55);
        let all = Waiting::together([&crowd, &alone, &Waiting::default()].into_iter());
        assert_eq!((all.count, all.longest_ns), (5, Some(50)));
        assert_eq!(all.names, [(9, 3), (5, 2)]);
        assert_eq!(all.nodes, [(1, 2), (7, 2), (2, 1)]);
    }
}
