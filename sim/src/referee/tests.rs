//! The referee must see what there is to see.

use super::*;

const fn ms(ms: u64) -> At {
    At::from_ms(ms)
}

fn rules(referee: Referee) -> Vec<Rule> {
    let (_, violations) = referee.finish(ms(1_000), &[], &[]);
    violations.into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn leases_that_follow_each_other_are_fine() {
    let mut referee = Referee::new(1);
    let first = referee.granted(0, 0, 1, ms(0), ms(1), ms(10));
    referee.writes(first, ms(2));
    referee.ended(first, ms(5), End::Released);
    let second = referee.granted(1, 0, 2, ms(2), ms(5), ms(20));
    referee.writes(second, ms(6));
    referee.ended(second, ms(20), End::Lost);
    assert_eq!(rules(referee), []);
}

#[test]
fn two_that_are_valid_at_once_are_found_also_when_one_is_taken_up_again() {
    let mut referee = Referee::new(1);
    let first = referee.granted(0, 0, 1, ms(0), ms(1), ms(10));
    let second = referee.granted(1, 0, 2, ms(2), ms(9), ms(30));
    for (grant, at) in [(first, 10), (second, 11)] {
        referee.ended(grant, ms(at), End::Released);
    }
    assert_eq!(rules(referee), [Rule::ContractOverlap]);

    let mut referee = Referee::new(1);
    let first = referee.granted(0, 0, 1, ms(0), ms(1), ms(10));
    let second = referee.granted(1, 0, 2, ms(2), ms(12), ms(30));
    referee.believes(first, ms(13), ms(40));
    for grant in [first, second] {
        referee.ended(grant, ms(14), End::Released);
    }
    assert_eq!(rules(referee), [Rule::ContractOverlap]);
}

#[test]
fn tokens_must_rise_with_real_time_and_never_repeat() {
    let grants = |tokens: [(u64, u64, u64); 3]| {
        let mut referee = Referee::new(1);
        for (token, called, granted) in tokens {
            let id = referee.granted(0, 0, token, ms(called), ms(granted), ms(granted + 1));
            referee.ended(id, ms(granted + 1), End::Released);
        }
        rules(referee)
    };
    assert_eq!(grants([(1, 0, 10), (2, 11, 20), (3, 21, 30)]), []);
    // Called before the other was handed out: either order is right.
    assert_eq!(grants([(2, 0, 10), (1, 9, 20), (3, 21, 30)]), []);
    assert_eq!(grants([(2, 0, 10), (1, 11, 20), (3, 21, 30)]), [Rule::TokenRegression]);
    assert_eq!(grants([(5, 0, 10), (6, 11, 20), (4, 21, 30)]), [Rule::TokenRegression]);
    assert_eq!(grants([(2, 0, 10), (2, 9, 20), (3, 21, 30)]), [Rule::TokenDuplicate]);
}

#[test]
fn a_stale_write_is_refused_by_the_fence_and_found_without() {
    let write = |first_token, second_token| {
        let mut referee = Referee::new(1);
        let first = referee.granted(0, 0, first_token, ms(0), ms(1), ms(10));
        referee.ended(first, ms(10), End::Lost);
        let second = referee.granted(1, 0, second_token, ms(11), ms(12), ms(20));
        referee.writes(second, ms(13));
        referee.writes(first, ms(14));
        referee.ended(second, ms(15), End::Released);
        assert_eq!(referee.counts.stale_writes, 1);
        rules(referee)
    };
    assert_eq!(write(1, 2), []);
    let found = write(2, 1);
    assert!(found.contains(&Rule::StaleWriteAccepted) && found.contains(&Rule::TokenRegression), "{found:?}");
}

#[test]
fn a_holder_must_be_told() {
    let mut referee = Referee::new(1);
    referee.granted(0, 0, 1, ms(0), ms(1), ms(10));
    assert_eq!(rules(referee), [Rule::LateNotice]);
    let mut referee = Referee::new(1);
    let id = referee.granted(0, 0, 1, ms(0), ms(1), ms(1));
    referee.ended(id, ms(1), End::Lost);
    assert_eq!(rules(referee), [Rule::GrantedWhenOver]);
}
