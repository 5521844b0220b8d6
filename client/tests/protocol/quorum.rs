//! Who votes, and how many decide.

use std::collections::BTreeSet;

use leasehold::protocol::quorum::{ENDPOINTS_MAX, EndpointId};
use leasehold::protocol::{EndpointSet, Quorum, QuorumError};
use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use crate::support::id;

#[test]
fn only_an_odd_number_of_endpoints_votes() {
    for count in 0..=300 {
        let expected = count % 2 == 1 && count <= ENDPOINTS_MAX;
        assert_eq!(Quorum::new(count).is_ok(), expected, "{count}");
    }
    for count in [usize::MAX, usize::MAX - 1, 257, 259] {
        assert_eq!(Quorum::new(count), Err(QuorumError { endpoints: count }));
    }
}

#[test]
fn the_refusal_says_how_many_were_named_and_what_to_do() {
    let text = Quorum::new(4).unwrap_err().to_string();
    assert!(text.starts_with("4 endpoints") && text.contains("odd number"), "{text}");
}

#[test]
fn any_two_majorities_share_an_endpoint_and_no_smaller_number_does() {
    for count in (1..=ENDPOINTS_MAX).step_by(2) {
        let quorum = Quorum::new(count).unwrap();
        let (all, majority) = (quorum.endpoints(), quorum.majority());
        assert_eq!(all as usize, count);
        assert!(2 * majority > all && 2 * (majority - 1) <= all, "{count}");
        assert_eq!(quorum.spare() + majority, all);
        assert_eq!(quorum.all().len(), all);
    }
}

#[test]
fn an_endpoint_has_a_place_below_the_most_there_can_be() {
    assert_eq!(EndpointId::from_index(ENDPOINTS_MAX - 1).map(EndpointId::index), Some(ENDPOINTS_MAX - 1));
    for index in [ENDPOINTS_MAX, 16, 255, 256, usize::MAX] {
        assert_eq!(EndpointId::from_index(index), None);
    }
}

fn indices(set: EndpointSet) -> BTreeSet<usize> {
    set.iter().map(EndpointId::index).collect()
}

proptest! {
    #[test]
    fn a_set_counts_each_endpoint_once(
        steps in prop::collection::vec((0..ENDPOINTS_MAX, any::<bool>()), 0..60),
        other in prop::collection::btree_set(0..ENDPOINTS_MAX, 0..ENDPOINTS_MAX),
    ) {
        let mut set = EndpointSet::default();
        let mut model = BTreeSet::new();
        for (index, insert) in steps {
            if insert {
                set.insert(id(index));
                model.insert(index);
            } else {
                set.remove(id(index));
                model.remove(&index);
            }
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
        prop_assert_eq!(indices(set), model.clone());
        let other_set: EndpointSet = other.iter().copied().map(id).collect();
        prop_assert_eq!(indices(set.intersection(other_set)), &model & &other);
        prop_assert_eq!(indices(set.difference(other_set)), &model - &other);
        let mut popped = Vec::new();
        while let Some(endpoint) = set.pop() {
            popped.push(endpoint.index());
        }
        prop_assert_eq!(popped, model.into_iter().collect::<Vec<_>>());
    }
}
