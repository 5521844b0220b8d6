//! Counting the votes of one round: every order of every vote, for three endpoints and for five.

use leasehold::protocol::{Quorum, Tally, Vote};

use crate::support::{assignments, id, orders, set, three};

const VOTES: [Vote; 3] = [Vote::Yes, Vote::No, Vote::Unknown];

/// Casts votes one by one and compares the tally with a plain count after each.
fn check(quorum: Quorum, ballots: impl IntoIterator<Item = (usize, Vote)>) {
    let mut tally = Tally::new(quorum);
    let mut first_votes = vec![None; quorum.endpoints() as usize];
    let mut decided = (false, false);
    for (index, vote) in ballots {
        let is_first = first_votes[index].is_none();
        assert_eq!(tally.cast(id(index), vote), is_first);
        first_votes[index].get_or_insert(vote);

        let count = |wanted| first_votes.iter().filter(|&&vote| vote == wanted).count();
        let (yes, pending, majority) = (count(Some(Vote::Yes)), count(None), quorum.majority() as usize);
        assert_eq!(tally.yes().len() as usize, yes);
        assert_eq!(tally.no().len() as usize, count(Some(Vote::No)));
        assert_eq!(tally.pending().len() as usize, pending);
        assert_eq!(tally.carried(), yes >= majority, "{first_votes:?}");
        assert_eq!(tally.out_of_reach(), yes + pending < majority, "{first_votes:?}");
        assert!(!(tally.carried() && tally.out_of_reach()));
        // Once decided, for ever decided.
        assert!(!decided.0 || tally.carried());
        assert!(!decided.1 || tally.out_of_reach());
        decided = (tally.carried(), tally.out_of_reach());
    }
    let all_voted = first_votes.iter().all(Option::is_some);
    assert!(!all_voted || decided.0 != decided.1, "all have voted, and nothing is decided: {first_votes:?}");
}

#[test]
fn every_order_of_every_vote_of_three_and_of_five() {
    for count in [1, 3, 5] {
        let quorum = Quorum::new(count).unwrap();
        for votes in assignments(&VOTES, count) {
            for order in orders(count) {
                check(quorum, order.iter().map(|&index| (index, votes[index])));
            }
        }
    }
}

#[test]
fn votes_cast_again_change_nothing_in_any_order() {
    let ballots: Vec<(usize, Vote)> = (0..3).flat_map(|index| VOTES.map(|vote| (index, vote))).collect();
    for sequence in assignments(&ballots, 5) {
        check(three(), sequence);
    }
}

#[test]
fn the_first_vote_stands() {
    let mut tally = Tally::new(three());
    assert!(tally.cast(id(1), Vote::Unknown));
    assert!(!tally.cast(id(1), Vote::Yes));
    assert_eq!(tally.yes(), set([]));
    assert_eq!(tally.pending(), set([0, 2]));
}
