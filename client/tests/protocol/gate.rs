//! The gate: when an endpoint is admitted, and what each answer leads to.

use std::sync::Arc;

use leasehold::protocol::Moment;
use leasehold::protocol::call::{Admission, CallError, Connection};
use leasehold::protocol::gate::{Gate, Standing, Step};
use leasehold::protocol::operation::Reply;
use leasehold::protocol::peers::Peers;
use leasehold::protocol::wire::{AdmitReply, BatchReply};

use crate::support::{at_ms, granted, id, three};

const RUN_1: &str = "settings set=s run=1";
const RUN_2: &str = "settings set=s run=2";

fn peers() -> Peers {
    Peers::new(three())
}

/// A gate with a connection, and a batch at it.
fn open_gate(peers: &mut Peers) -> Gate {
    let mut gate = Gate::new(Moment::default(), id(0));
    gate.handle_connection(Connection::Up { epoch: 1 }, peers);
    gate.begin(at_ms(0));
    gate
}

fn admitted(member: &str) -> Result<AdmitReply, CallError> {
    Ok(AdmitReply::Admitted { server_time_us: 0, member: member.into(), quarantined_ms: 0 })
}

fn done(server_time_us: u64) -> Result<BatchReply, CallError> {
    Ok(BatchReply::Done { server_time_us, replies: vec![granted(7)] })
}

fn run(member: &str) -> Step {
    Step::Run(Arc::from(member))
}

#[test]
fn an_endpoint_is_admitted_once_and_asked_as_that_member() {
    let mut peers = peers();
    let mut gate = open_gate(&mut peers);
    assert_eq!(gate.poll_step(at_ms(0)), Step::Admit(Admission::Member));
    gate.handle_admission(at_ms(1), admitted(RUN_1), &mut peers);
    assert_eq!(gate.poll_step(at_ms(1)), run(RUN_1));
    gate.handle_run(at_ms(1), at_ms(2), done(2_000), &mut peers);
    assert!(matches!(gate.poll_step(at_ms(2)), Step::Replies(replies) if replies.len() == 1));
    gate.begin(at_ms(3));
    assert_eq!(gate.poll_step(at_ms(3)), run(RUN_1));
}

#[test]
fn a_new_connection_and_an_unknown_script_both_call_for_admission() {
    let mut peers = peers();
    let mut gate = open_gate(&mut peers);
    gate.handle_admission(at_ms(1), admitted(RUN_1), &mut peers);
    gate.handle_connection(Connection::Up { epoch: 2 }, &mut peers);
    gate.begin(at_ms(2));
    assert_eq!(gate.poll_step(at_ms(2)), Step::Admit(Admission::Member));
    gate.handle_admission(at_ms(3), admitted(RUN_1), &mut peers);
    gate.handle_run(at_ms(3), at_ms(4), Err(CallError::NoScript), &mut peers);
    assert_eq!(gate.poll_step(at_ms(4)), Step::Admit(Admission::Member));
}

#[test]
fn a_batch_that_finds_the_endpoint_changed_twice_is_refused() {
    let mut peers = peers();
    let mut gate = open_gate(&mut peers);
    for ms in [1, 2] {
        gate.handle_admission(at_ms(ms), admitted(RUN_1), &mut peers);
        assert_eq!(gate.poll_step(at_ms(ms)), run(RUN_1));
        gate.handle_run(at_ms(ms), at_ms(ms), Ok(BatchReply::NotAdmitted("changed".into())), &mut peers);
    }
    assert_eq!(gate.poll_step(at_ms(2)), Step::Answer(Reply::Refused("changed".into())));
}

#[test]
fn a_quarantine_that_another_client_began_is_known_from_the_first_answer() {
    let mut peers = peers();
    let mut gate = open_gate(&mut peers);
    gate.handle_admission(at_ms(1), admitted(RUN_1), &mut peers);
    let replies = vec![Reply::Missing, Reply::Quarantined { left_ms: 20_000 }];
    gate.handle_run(at_ms(1), at_ms(2), Ok(BatchReply::Done { server_time_us: 2_000, replies }), &mut peers);
    let until = |standing: &Standing| match standing {
        Standing::Admitted { quarantined_until, .. } => *quarantined_until,
        other => panic!("not admitted: {other:?}"),
    };
    assert_eq!(until(gate.standing()), at_ms(20_002));
    gate.begin(at_ms(3));
    gate.handle_run(at_ms(3), at_ms(4), done(4_000), &mut peers);
    assert_eq!(until(gate.standing()), at_ms(20_002));
}

#[test]
fn a_refused_admission_is_not_tried_again_at_once() {
    let mut peers = peers();
    let mut gate = open_gate(&mut peers);
    gate.handle_admission(at_ms(1), Ok(AdmitReply::Refused("a replica".into())), &mut peers);
    assert_eq!(gate.poll_step(at_ms(1)), Step::Answer(Reply::Refused("a replica".into())));
    gate.begin(at_ms(2));
    assert!(matches!(gate.poll_step(at_ms(2)), Step::Answer(Reply::NotSent(_))));
    gate.begin(at_ms(300));
    assert_eq!(gate.poll_step(at_ms(300)), Step::Admit(Admission::Member));
}

#[test]
fn two_places_that_lead_to_one_server_are_one_voter() {
    let mut peers = peers();
    let mut gate = open_gate(&mut peers);
    gate.handle_admission(at_ms(1), admitted(RUN_1), &mut peers);
    let mut twin = Gate::new(at_ms(0), id(1));
    twin.handle_connection(Connection::Up { epoch: 1 }, &mut peers);
    twin.begin(at_ms(1));
    twin.handle_admission(at_ms(1), admitted(RUN_1), &mut peers);
    assert!(matches!(twin.standing(), Standing::Refused(_)));
    twin.begin(at_ms(400));
    twin.handle_admission(at_ms(400), admitted(RUN_2), &mut peers);
    assert!(twin.standing().is_admitted());
}

#[test]
fn a_connection_that_is_down_is_tried_once_a_second() {
    let mut peers = peers();
    let mut gate = Gate::new(at_ms(0), id(0));
    gate.handle_connection(Connection::Down("reset".into()), &mut peers);
    let mut tried = Vec::new();
    for ms in (0..2_500).step_by(100) {
        gate.begin(at_ms(ms));
        match gate.poll_step(at_ms(ms)) {
            Step::Answer(reply) => assert_eq!(reply, Reply::NotSent("reset".into())),
            step => {
                assert_eq!(step, Step::Admit(Admission::Member));
                tried.push(ms);
            }
        }
    }
    assert_eq!(tried, [1_000, 2_000]);
}

/// An admitted endpoint whose clock stepped by a second within ten; the batch that saw it is at the gate.
fn stepped(peers: &mut Peers) -> Gate {
    let mut gate = open_gate(peers);
    gate.handle_admission(at_ms(0), admitted(RUN_1), peers);
    for ms in [0, 6_000] {
        gate.begin(at_ms(ms));
        gate.handle_run(at_ms(ms), at_ms(ms + 1), done(ms * 1_000), peers);
    }
    gate.begin(at_ms(10_000));
    gate.handle_run(at_ms(10_000), at_ms(10_001), done(11_000_000), peers);
    assert_eq!(gate.poll_step(at_ms(10_001)), Step::AwaitVerdict);
    gate
}

#[test]
fn votes_of_a_stepped_clock_do_not_count_and_it_is_quarantined_for_all() {
    let mut peers = peers();
    let mut gate = stepped(&mut peers);
    peers.clock_seen(at_ms(10_002), id(1), false);
    peers.clock_seen(at_ms(10_002), id(2), false);
    assert!(!gate.handle_verdict(&peers), "the others are in step");
    assert_eq!(gate.poll_step(at_ms(10_002)), Step::Admit(Admission::Distrust));
    gate.handle_admission(at_ms(10_003), admitted(RUN_1), &mut peers);
    assert!(
        matches!(&gate.poll_step(at_ms(10_003)), Step::Replies(replies)
        if matches!(replies[..], [Reply::Unknown(_)])),
        "uncounted, but to be undone"
    );
}

#[test]
fn a_doubt_that_could_not_be_written_down_is_kept_until_it_is() {
    let mut peers = peers();
    let mut gate = stepped(&mut peers);
    assert!(!gate.handle_verdict(&peers), "whoever does not answer accuses nobody");
    gate.handle_admission(at_ms(10_003), Err(CallError::Unknown("timeout".into())), &mut peers);
    assert!(matches!(gate.poll_step(at_ms(10_003)), Step::Replies(_)));
    gate.handle_connection(Connection::Up { epoch: 2 }, &mut peers);
    gate.begin(at_ms(10_300));
    assert_eq!(gate.poll_step(at_ms(10_300)), Step::Admit(Admission::Distrust));
    gate.handle_admission(at_ms(10_301), admitted(RUN_1), &mut peers);
    assert_eq!(gate.poll_step(at_ms(10_301)), run(RUN_1));
    gate.handle_connection(Connection::Up { epoch: 3 }, &mut peers);
    gate.begin(at_ms(10_400));
    assert_eq!(gate.poll_step(at_ms(10_400)), Step::Admit(Admission::Member));
}

#[test]
fn when_most_clocks_seem_off_it_is_the_clients_own() {
    let mut peers = peers();
    let mut gate = stepped(&mut peers);
    peers.clock_seen(at_ms(10_002), id(1), true);
    assert!(gate.handle_verdict(&peers));
    assert!(matches!(gate.poll_step(at_ms(10_002)), Step::Replies(_)), "nothing is written");
}
