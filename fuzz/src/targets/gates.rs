//! The gate before an endpoint, under answers of any kind at any time. Each input is a few bytes: which, and its particulars.

use std::sync::Arc;

use leasehold::protocol::call::{Admission, CallError, Connection};
use leasehold::protocol::gate::{Gate, Step};
use leasehold::protocol::quorum::EndpointId;
use leasehold::protocol::wire::{AdmitReply, BatchReply};
use leasehold::protocol::{Fence, Moment, Peers, Quorum, Reply};

/// After so many steps a batch has its answer.
const STEPS_MAX: usize = 16;
const BATCHES_MAX: usize = 200;

pub(super) fn run(bytes: &[u8]) {
    let mut script = Script { bytes: bytes.iter(), now: Moment::from_nanos(1_000_000_000_000) };
    let quorum = Quorum::new(3).expect("three can vote");
    let mut peers = Peers::new(quorum);
    let ids: Vec<EndpointId> = quorum.ids().collect();
    let mut gates: Vec<Gate> = ids.iter().map(|&id| Gate::new(script.now, id)).collect();
    for _ in 0..BATCHES_MAX {
        let Some(byte) = script.byte() else { return };
        let gate = &mut gates[usize::from(byte) % 3];
        match byte / 3 % 4 {
            0 => gate.handle_connection(Connection::Up { epoch: u64::from(script.small()) }, &mut peers),
            1 => gate.handle_connection(Connection::Down("down".into()), &mut peers),
            2 => script.pass(),
            _ => batch(gate, &mut peers, &mut script),
        }
    }
}

fn batch(gate: &mut Gate, peers: &mut Peers, script: &mut Script<'_>) {
    gate.begin(script.now);
    let mut suspected = false;
    for _ in 0..STEPS_MAX {
        let sent = script.now;
        match gate.poll_step(script.now) {
            Step::Answer(reply) => {
                let not_run = matches!(reply, Reply::NotSent(_) | Reply::Refused(_) | Reply::Unknown(_));
                assert!(not_run, "a batch without replies is answered {reply:?}");
                return;
            }
            Step::Replies(replies) => {
                let votes = replies.iter().any(|reply| matches!(reply, Reply::Granted { .. }));
                assert!(!(suspected && votes), "a vote by a clock that is off counts");
                return;
            }
            Step::AwaitVerdict => {
                suspected = true;
                script.pass();
                gate.handle_verdict(peers);
            }
            Step::Admit(admission) => {
                assert!(suspected || admission != Admission::Fresh && admission != Admission::Reconfigure);
                script.pass();
                gate.handle_admission(script.now, script.admission(), peers);
            }
            Step::Run(member) => {
                assert!(gate.is_open(), "asked as {member:?} before it was admitted");
                script.pass();
                gate.handle_run(sent, script.now, script.batch(), peers);
            }
        }
    }
    panic!("no answer after {STEPS_MAX} steps");
}

struct Script<'a> {
    bytes: std::slice::Iter<'a, u8>,
    now: Moment,
}

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.bytes.next().copied()
    }

    fn small(&mut self) -> u8 {
        self.byte().unwrap_or_default()
    }

    /// Time goes on, by nothing or by up to ten seconds.
    fn pass(&mut self) {
        let ms = u64::from(self.small());
        self.now = self.now.plus_ms(if ms < 128 { ms } else { (ms - 127) * 80 });
    }

    /// What the endpoint's clock says: about what it should, or anything.
    fn time_us(&mut self) -> u64 {
        let true_us = self.now.ns_since(Moment::default()) / 1_000;
        match self.small() {
            byte @ 0..=127 => true_us + u64::from(byte) * 1_000,
            byte @ 128..=191 => true_us + u64::from(byte) * 100_000,
            byte => u64::from(byte) << 48,
        }
    }

    fn member(&mut self) -> Arc<str> {
        let byte = self.small();
        let (set, run) = (byte & 3, byte >> 2 & 7);
        let set = if set == 0 { "-".to_owned() } else { set.to_string() };
        match byte {
            255 => "".into(),
            254 => "protocol=2 set=".into(),
            _ => format!(
                "protocol=2 max_ttl=30000 endpoints=3 database=0 set={set} durable=no replid={run} run={run}"
            )
            .into(),
        }
    }

    fn error(&mut self) -> CallError {
        match self.small() % 3 {
            0 => CallError::NoScript,
            1 => CallError::Refused("OOM".into()),
            _ => CallError::Unknown("no answer in time".into()),
        }
    }

    fn admission(&mut self) -> Result<AdmitReply, CallError> {
        match self.small() % 4 {
            0 => Err(self.error()),
            1 => Ok(AdmitReply::Refused("it is a replica".into())),
            _ => Ok(AdmitReply::Admitted {
                server_time_us: self.time_us(),
                member: self.member(),
                quarantined_ms: u64::from(self.small() / 128) << (self.small() % 64),
            }),
        }
    }

    fn batch(&mut self) -> Result<BatchReply, CallError> {
        match self.small() % 8 {
            0 => Err(self.error()),
            1 => Ok(BatchReply::NotAdmitted("the record of its admission is gone".into())),
            count => {
                let server_time_us = self.time_us();
                let replies = (0..count % 4).map(|_| self.reply()).collect();
                Ok(BatchReply::Done { server_time_us, replies })
            }
        }
    }

    fn reply(&mut self) -> Reply {
        match self.small() % 4 {
            0 => Reply::Held { left_ms: u64::from(self.small()) },
            1 => Reply::Quarantined { left_ms: u64::from(self.small()) << (self.small() % 64) },
            2 => Reply::Missing,
            _ => Reply::Granted { fence: Fence::new(u64::from(self.small())) },
        }
    }
}
