//! When a waiter tries again: at once when a majority woke it, and in bounded time whatever it hears.

use leasehold::protocol::{EndpointSet, Moment, Quorum, Reply, Waiting};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};

use crate::support::{T0, granted, held, id, not_sent, quarantined, set, three, unknown};

const NS_PER_MS: u64 = 1_000_000;
const SEED: u64 = 7;

fn waiting(left_ms: u64, ahead: u32) -> Reply {
    Reply::Waiting { left_ms, ahead }
}

/// A waiter whose first attempt got these answers, heard everywhere, and how long it waits, in milliseconds.
fn refused(replies: [Reply; 3]) -> Waiting {
    refused_hearing(replies, set([0, 1, 2]))
}

fn refused_hearing(replies: [Reply; 3], heard: EndpointSet) -> Waiting {
    let mut waiter = Waiting::new(three(), SEED);
    waiter.handle_start();
    waiter.handle_refusal(T0, &replies.map(Some), heard);
    waiter
}

fn pause_ms(waiter: &Waiting) -> u64 {
    waiter.poll_timeout().ns_since(T0) / NS_PER_MS
}

#[test]
fn a_new_waiter_tries_at_once() {
    assert!(Waiting::new(three(), SEED).poll_timeout() <= Moment::from_nanos(0));
}

#[test]
fn in_line_at_a_majority_it_waits_to_be_woken_and_polls_seldom() {
    for (ahead, least_ms, most_ms) in
        [(0, 375, 500), (1, 390, 525), (40, 1_100, 1_500), (100_000, 3_000, 4_000)]
    {
        for seed in 0..200 {
            let mut waiter = Waiting::new(three(), seed);
            waiter.handle_refusal(
                T0,
                &[waiting(9_000, ahead), waiting(9_000, ahead), held(9_000)].map(Some),
                set([0, 1, 2]),
            );
            let pause_ms = pause_ms(&waiter);
            assert!((least_ms..=most_ms).contains(&pause_ms), "{pause_ms} ms with {ahead} before it");
        }
    }
}

#[test]
fn a_majority_of_wake_ups_sets_it_going_at_once() {
    let mut waiter = refused([waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)]);
    let now = T0.plus_ms(3);
    waiter.handle_wake(now, id(2));
    assert!(waiter.poll_timeout() > now);
    waiter.handle_wake(now, id(2));
    assert!(waiter.poll_timeout() > now, "twice the same endpoint is one");
    waiter.handle_wake(now, id(0));
    assert!(waiter.poll_timeout() <= now);
}

#[test]
fn one_wake_up_alone_sets_it_going_after_a_while() {
    for seed in 0..200 {
        let mut waiter = Waiting::new(three(), seed);
        waiter.handle_refusal(
            T0,
            &[waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)].map(Some),
            set([0, 1, 2]),
        );
        waiter.handle_wake(T0, id(1));
        assert!((50..=100).contains(&pause_ms(&waiter)), "{}", pause_ms(&waiter));
    }
}

#[test]
fn wake_ups_during_an_attempt_count_for_the_next_and_those_before_it_do_not() {
    let replies = [waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)].map(Some);
    let mut waiter = refused([waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)]);
    waiter.handle_wake(T0, id(0));
    waiter.handle_start();
    waiter.handle_wake(T0, id(1));
    waiter.handle_refusal(T0, &replies, set([0, 1, 2]));
    assert!(pause_ms(&waiter) >= 50, "one of the two is old");
    waiter.handle_start();
    waiter.handle_wake(T0, id(1));
    waiter.handle_wake(T0, id(2));
    waiter.handle_refusal(T0, &replies, set([0, 1, 2]));
    assert!(waiter.poll_timeout() <= T0);
}

#[test]
fn the_first_in_line_comes_as_soon_as_a_majority_of_locks_must_have_run_out() {
    let waiter = refused([waiting(100, 0), waiting(300, 0), waiting(90, 0)]);
    assert!((101..=103).contains(&pause_ms(&waiter)), "{}", pause_ms(&waiter));
    let waiter = refused([waiting(100, 3), waiting(300, 3), waiting(90, 3)]);
    assert!((251..=253).contains(&pause_ms(&waiter)), "those behind it leave it time: {}", pause_ms(&waiter));
    let waiter = refused([waiting(100, 0), granted(5), waiting(90, 0)]);
    assert!((91..=93).contains(&pause_ms(&waiter)), "what it took itself is undone: {}", pause_ms(&waiter));
}

#[test]
fn outside_every_line_that_can_be_heard_it_polls_with_growing_pauses() {
    let outside = [
        ([held(9_000), held(9_000), held(9_000)], set([0, 1, 2])),
        ([waiting(9_000, 0), held(9_000), held(9_000)], set([0, 1, 2])),
        ([waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)], set([1])),
        ([waiting(9_000, 0), unknown(), not_sent()], set([0, 1, 2])),
        ([quarantined(), unknown(), not_sent()], EndpointSet::EMPTY),
    ];
    for (replies, heard) in outside {
        let mut waiter = refused_hearing(replies.clone(), heard);
        for most_ms in [2, 4, 8, 16, 32, 64, 64] {
            let pause_ms = waiter.poll_timeout().ns_since(T0).div_ceil(NS_PER_MS);
            assert!((most_ms / 2..=most_ms).contains(&pause_ms), "{pause_ms} of {most_ms}: {replies:?}");
            waiter.handle_start();
            waiter.handle_refusal(T0, &replies.clone().map(Some), heard);
        }
        // In line once, it begins anew.
        waiter.handle_refusal(T0, &[waiting(9_000, 0), waiting(9_000, 0), unknown()].map(Some), set([0, 1]));
        waiter.handle_refusal(T0, &replies.map(Some), heard);
        assert!(pause_ms(&waiter) <= 2);
    }
}

#[test]
fn a_single_endpoint_is_its_own_majority() {
    let mut waiter = Waiting::new(Quorum::new(1).unwrap(), SEED);
    waiter.handle_refusal(T0, &[Some(waiting(9_000, 0))], set([0]));
    assert!(pause_ms(&waiter) >= 375);
    waiter.handle_wake(T0, id(0));
    assert!(waiter.poll_timeout() <= T0);
}

fn replies() -> impl Strategy<Value = Option<Reply>> {
    prop_oneof![
        (any::<u64>(), any::<u32>()).prop_map(|(left_ms, ahead)| Some(waiting(left_ms, ahead))),
        any::<u64>().prop_map(|left_ms| Some(held(left_ms))),
        Just(Some(granted(9))),
        Just(Some(unknown())),
        Just(Some(Reply::NotALock)),
        Just(None),
    ]
}

/// What can happen to a waiter.
#[derive(Clone, Debug)]
enum Input {
    Start,
    Refusal(Vec<Option<Reply>>, [bool; 3]),
    Wake(usize),
}

fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Start),
        (prop::collection::vec(replies(), 3), any::<[bool; 3]>())
            .prop_map(|(replies, heard)| Input::Refusal(replies, heard)),
        (0usize..3).prop_map(Input::Wake),
    ]
}

proptest! {
    /// The bound that everything else rests on: whatever was lost, a waiter asks again within four seconds.
    #[test]
    fn no_history_makes_a_waiter_wait_for_ever_and_wake_ups_never_put_it_off(
        seed in any::<u64>(),
        history in prop::collection::vec((0u64..5_000, inputs()), 1..60),
    ) {
        let mut waiter = Waiting::new(three(), seed);
        let mut now = T0;
        for (pause_ms, input) in history {
            now = now.plus_ms(pause_ms);
            let before = waiter.poll_timeout();
            match input {
                Input::Start => {
                    waiter.handle_start();
                    prop_assert!(waiter.poll_timeout() == before);
                }
                Input::Refusal(replies, heard) => {
                    let heard = (0..3).filter(|&index| heard[index]).map(id).collect();
                    waiter.handle_refusal(now, &replies, heard);
                    prop_assert!(waiter.poll_timeout().ns_since(now) <= 4_000 * NS_PER_MS);
                }
                Input::Wake(index) => {
                    waiter.handle_wake(now, id(index));
                    prop_assert!(waiter.poll_timeout() <= before);
                    prop_assert!(waiter.poll_timeout().ns_since(now) <= 100 * NS_PER_MS);
                }
            }
        }
    }
}
