//! One server, one vote: also when addresses come to lead elsewhere while a client runs.

use std::sync::Arc;

use leasehold::protocol::peers::{Misfit, Peers};
use leasehold::protocol::quorum::{EndpointId, Quorum};
use leasehold::protocol::validity::QUARANTINE_MS;

use crate::support::at_ms;

fn three() -> (Peers, Vec<EndpointId>) {
    let quorum = Quorum::new(3).unwrap();
    (Peers::new(quorum), quorum.ids().collect())
}

fn server(run: &str) -> Arc<str> {
    format!("protocol=1 set=s durable=no replid=r run={run}").into()
}

#[test]
fn a_server_votes_as_one_endpoint() {
    let (mut peers, ids) = three();
    peers.join(at_ms(0), ids[0], &server("one")).unwrap();
    let twin = peers.join(at_ms(1), ids[1], &server("one")).unwrap_err();
    assert_eq!(twin, Misfit::Twin { place: 1, has_left: false });
    peers.join(at_ms(2), ids[1], &server("two")).unwrap();
}

#[test]
fn an_endpoint_that_comes_back_to_its_server_votes_at_once() {
    let (mut peers, ids) = three();
    for ms in 0..3 {
        peers.join(at_ms(ms), ids[0], &server("one")).unwrap();
        peers.leave(ids[0]);
    }
    peers.join(at_ms(3), ids[0], &server("one")).unwrap();
}

/// A round that has the server's vote as the first endpoint must not get it once more as the second.
#[test]
fn a_server_that_was_another_endpoint_votes_when_no_round_counts_that_any_more() {
    for leaves_by_itself in [true, false] {
        let (mut peers, ids) = three();
        peers.join(at_ms(0), ids[0], &server("one")).unwrap();
        if leaves_by_itself {
            peers.leave(ids[0]);
            // Any answer of any endpoint tells the time.
            peers.clock_seen(at_ms(10), ids[2], false);
        } else {
            peers.join(at_ms(10), ids[0], &server("new")).unwrap();
            peers.clock_seen(at_ms(10), ids[2], false);
        }
        let over = 10 + u64::from(QUARANTINE_MS);
        for ms in [11, over / 2, over - 1] {
            let twin = peers.join(at_ms(ms), ids[1], &server("one")).unwrap_err();
            assert_eq!(twin, Misfit::Twin { place: 1, has_left: true });
        }
        peers.join(at_ms(over), ids[1], &server("one")).unwrap();
    }
}

#[test]
fn a_server_whose_leaving_nobody_has_timed_waits_from_the_first_look() {
    let (mut peers, ids) = three();
    peers.join(at_ms(0), ids[0], &server("one")).unwrap();
    peers.leave(ids[0]);
    assert!(peers.join(at_ms(5), ids[1], &server("one")).is_err());
    assert!(peers.join(at_ms(4 + u64::from(QUARANTINE_MS)), ids[1], &server("one")).is_err());
    peers.join(at_ms(5 + u64::from(QUARANTINE_MS)), ids[1], &server("one")).unwrap();
}

#[test]
fn two_endpoints_that_change_places_are_both_kept_waiting() {
    let (mut peers, ids) = three();
    peers.join(at_ms(0), ids[0], &server("one")).unwrap();
    peers.join(at_ms(0), ids[1], &server("two")).unwrap();
    peers.leave(ids[0]);
    peers.leave(ids[1]);
    assert_eq!(peers.join(at_ms(1), ids[0], &server("two")), Err(Misfit::Twin { place: 2, has_left: true }));
    assert_eq!(peers.join(at_ms(1), ids[1], &server("one")), Err(Misfit::Twin { place: 1, has_left: true }));
    let over = at_ms(1 + u64::from(QUARANTINE_MS));
    peers.join(over, ids[0], &server("two")).unwrap();
    peers.join(over, ids[1], &server("one")).unwrap();
}

#[test]
fn endpoints_that_were_admitted_at_the_same_moment_are_of_one_set_all_the_same() {
    let (mut peers, ids) = three();
    let of_set = |set: &str, run: &str| -> Arc<str> { format!("protocol=1 set={set} run={run}").into() };
    peers.join(at_ms(0), ids[0], &of_set("-", "one")).unwrap();
    peers.join(at_ms(0), ids[1], &of_set("a", "two")).unwrap();
    assert_eq!(peers.join(at_ms(0), ids[2], &of_set("b", "three")), Err(Misfit::OtherSet { place: 2 }));
    assert_eq!(peers.join(at_ms(0), ids[0], &of_set("b", "one")), Err(Misfit::OtherSet { place: 2 }));
    peers.join(at_ms(0), ids[2], &of_set("-", "three")).unwrap();
    peers.join(at_ms(0), ids[1], &of_set("b", "two")).unwrap();
}
