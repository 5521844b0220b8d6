//! When a waiter asks again: at once when a majority may have given it the lock, and in bounded time whatever it hears.

use leasehold::protocol::{Moment, Quorum, Reply, Waiting};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};

use crate::support::{T0, granted, held, id, three, unknown};

const NS_PER_MS: u64 = 1_000_000;
const SEED: u64 = 7;

fn waiting(left_ms: u64, ahead: u32) -> Reply {
    Reply::Waiting { left_ms, ahead }
}

/// The longest TTL, which shortens no pause but those of a long line.
const TTL_MS: u32 = 30_000;

/// A waiter in line that got these answers.
fn in_line(replies: [Reply; 3]) -> Waiting {
    let mut waiter = Waiting::new(three(), SEED);
    waiter.handle_start();
    waiter.handle_in_line(T0, &replies.map(Some), TTL_MS);
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
        [(0, 375, 500), (1, 390, 525), (40, 1_100, 1_500), (100_000, 2_812, 3_750)]
    {
        for seed in 0..200 {
            let mut waiter = Waiting::new(three(), seed);
            waiter.handle_in_line(
                T0,
                &[waiting(9_000, ahead), waiting(9_000, ahead), held(9_000)].map(Some),
                TTL_MS,
            );
            let pause_ms = pause_ms(&waiter);
            assert!((least_ms..=most_ms).contains(&pause_ms), "{pause_ms} ms with {ahead} before it");
        }
    }
}

#[test]
fn a_majority_of_wake_ups_sets_it_going_at_once() {
    let mut waiter = in_line([waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)]);
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
        waiter.handle_in_line(
            T0,
            &[waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)].map(Some),
            TTL_MS,
        );
        waiter.handle_wake(T0, id(1));
        assert!((50..=100).contains(&pause_ms(&waiter)), "{}", pause_ms(&waiter));
    }
}

#[test]
fn wake_ups_during_an_attempt_count_for_the_next_and_those_before_it_do_not() {
    let replies = [waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)].map(Some);
    let mut waiter = in_line([waiting(9_000, 0), waiting(9_000, 0), waiting(9_000, 0)]);
    waiter.handle_wake(T0, id(0));
    waiter.handle_start();
    waiter.handle_wake(T0, id(1));
    waiter.handle_in_line(T0, &replies, TTL_MS);
    assert!(pause_ms(&waiter) >= 50, "one of the two is old");
    waiter.handle_start();
    waiter.handle_wake(T0, id(1));
    waiter.handle_wake(T0, id(2));
    waiter.handle_in_line(T0, &replies, TTL_MS);
    assert!(waiter.poll_timeout() <= T0);
}

#[test]
fn the_first_in_line_comes_as_soon_as_a_majority_of_locks_must_have_run_out() {
    let waiter = in_line([waiting(100, 0), waiting(300, 0), waiting(90, 0)]);
    assert!((101..=103).contains(&pause_ms(&waiter)), "{}", pause_ms(&waiter));
    let waiter = in_line([waiting(100, 3), waiting(300, 3), waiting(90, 3)]);
    assert!((251..=253).contains(&pause_ms(&waiter)), "those behind it leave it time: {}", pause_ms(&waiter));
    let waiter = in_line([waiting(100, 0), granted(5), waiting(90, 0)]);
    assert!((101..=103).contains(&pause_ms(&waiter)), "what it was given is its own: {}", pause_ms(&waiter));
}

#[test]
fn what_is_parked_is_asked_for_again_before_a_quarter_of_its_ttl_is_over() {
    for (ttl_ms, most_ms) in [(1_000, 125), (400, 50), (104, 13)] {
        for seed in 0..200 {
            let mut waiter = Waiting::new(three(), seed);
            let reply = Some(waiting(9_000, 40));
            waiter.handle_in_line(T0, &[reply.clone(), reply.clone(), reply], ttl_ms);
            assert!((most_ms * 3 / 4 - 1..=most_ms).contains(&pause_ms(&waiter)), "{}", pause_ms(&waiter));
        }
    }
}

#[test]
fn outside_every_line_it_polls_with_growing_pauses() {
    let mut waiter = Waiting::new(three(), SEED);
    for most_ms in [2, 4, 8, 16, 32, 64, 64] {
        waiter.handle_start();
        waiter.handle_failure(T0);
        let pause_ms = waiter.poll_timeout().ns_since(T0).div_ceil(NS_PER_MS);
        assert!((most_ms / 2..=most_ms).contains(&pause_ms), "{pause_ms} of {most_ms}");
    }
    // In line once, it begins anew.
    waiter.handle_in_line(T0, &[waiting(9_000, 0), waiting(9_000, 0), unknown()].map(Some), TTL_MS);
    waiter.handle_failure(T0);
    assert!(pause_ms(&waiter) <= 2);
}

#[test]
fn a_single_endpoint_is_its_own_majority() {
    let mut waiter = Waiting::new(Quorum::new(1).unwrap(), SEED);
    waiter.handle_in_line(T0, &[Some(waiting(9_000, 0))], TTL_MS);
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
    InLine(Vec<Option<Reply>>, u32),
    Failure,
    Wake(usize),
}

fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Start),
        (prop::collection::vec(replies(), 3), any::<u32>())
            .prop_map(|(replies, ttl_ms)| Input::InLine(replies, ttl_ms)),
        Just(Input::Failure),
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
                Input::InLine(replies, ttl_ms) => {
                    waiter.handle_in_line(now, &replies, ttl_ms);
                    prop_assert!(waiter.poll_timeout().ns_since(now) <= 4_000 * NS_PER_MS);
                }
                Input::Failure => {
                    waiter.handle_failure(now);
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
