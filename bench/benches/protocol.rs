//! The client's pure core: what deciding, renewing, encoding and decoding cost without a socket, a clock or a task.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use leasehold::protocol::validity::{self, TTL_MS_MAX};
use leasehold::protocol::wire::{Arguments, BATCH_LEN_MAX, BatchReply, Field, decode_batch};
use leasehold::protocol::{
    Action, Attempt, AttemptFailure, AttemptParams, EndpointId, Fence, Grant, Hold, HoldEvent, HoldParams,
    LeaseName, Moment, Operation, OwnerId, Quorum, Renewal, Reply, Round,
};

const TTL_MS: u32 = 5_000;
const PROPOSAL: u64 = 1_795_000_000_000_001;
const T0: Moment = Moment::from_nanos(1_000_000_000);

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .configure_from_args();
    attempt(&mut criterion);
    validity(&mut criterion);
    hold(&mut criterion);
    wire(&mut criterion);
    criterion.final_summary();
}

fn quorum() -> Quorum {
    Quorum::new(3).expect("three endpoints vote")
}

/// One acquire to its end: three answers, in the order of the endpoints, and one to each request that follows.
fn attempt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attempt");
    let granted = |fence| Reply::Granted { fence: Fence::new(fence) };
    let held = || Reply::Held { left_ms: 1_200 };

    let equal = [granted(PROPOSAL), granted(PROPOSAL), granted(PROPOSAL)];
    let won = run_attempt(&equal, &[]);
    assert!(matches!(won.outcome(), Some(Ok(Grant { fence, .. })) if fence.get() == PROPOSAL));
    group.bench_function("equal tokens", |b| b.iter(|| run_attempt(black_box(&equal), &[])));

    let different = [granted(PROPOSAL), granted(PROPOSAL + 7), granted(PROPOSAL)];
    let raised = [granted(PROPOSAL + 7)];
    let won = run_attempt(&different, &raised);
    assert!(matches!(won.outcome(), Some(Ok(Grant { fence, .. })) if fence.get() == PROPOSAL + 7));
    group.bench_function("different tokens, raised", |b| {
        b.iter(|| run_attempt(black_box(&different), black_box(&raised)));
    });

    let refused = [granted(PROPOSAL), held(), held()];
    let lost = run_attempt(&refused, &[Reply::Released]);
    assert!(matches!(lost.outcome(), Some(Err(AttemptFailure::Held { .. }))));
    group.bench_function("lost and undone", |b| {
        b.iter(|| run_attempt(black_box(&refused), black_box(&[Reply::Released])));
    });
    group.finish();
}

fn run_attempt(votes: &[Reply; 3], afterwards: &[Reply]) -> Attempt {
    let params = AttemptParams {
        quorum: quorum(),
        owner: OwnerId::new(7),
        ttl_ms: TTL_MS,
        proposal: PROPOSAL,
        t0: T0,
        patience_ms: 1_000,
    };
    let mut attempt = Attempt::new(params);
    let mut votes = votes.iter();
    let mut afterwards = afterwards.iter();
    let mut now = T0;
    let mut asked = Vec::with_capacity(3);
    while let Some(request) = attempt.poll_request() {
        asked.push(request);
    }
    for request in asked {
        now = now.plus_ns(100_000);
        let vote = votes.next().expect("three are asked").clone();
        attempt.handle_reply(now, request.endpoint, request.round, vote);
        while let Some(request) = attempt.poll_request() {
            let reply = afterwards.next().expect("no more is asked than answered").clone();
            attempt.handle_reply(now, request.endpoint, request.round, reply);
        }
    }
    attempt
}

fn validity(criterion: &mut Criterion) {
    criterion.bench_function("validity", |b| {
        b.iter(|| {
            let ttl_ms = black_box(TTL_MS);
            let deadline = validity::deadline(black_box(T0), ttl_ms);
            (validity::min_validity_ns(ttl_ms), validity::notice_at(deadline, ttl_ms))
        });
    });
}

fn hold(criterion: &mut Criterion) {
    let quorum = quorum();
    let deadline = validity::deadline(T0, TTL_MS);
    let fence = Fence::new(PROPOSAL);
    let mut hold = Hold::new(HoldParams {
        quorum,
        grant: Grant { fence, deadline, voters: quorum.all() },
        ttl_ms: TTL_MS,
        ttl_ms_max: TTL_MS_MAX,
        t0: T0,
        patience_ms: 500,
        round_ns: 0,
        renewal: Renewal::Auto,
        renew_until: None,
        jitter_seed: 7,
    });
    renew(&mut hold, fence);
    assert!(hold.deadline() > deadline, "a renewal moves the deadline");
    criterion.bench_function("hold/renewal", |b| b.iter(|| renew(&mut hold, black_box(fence))));
}

/// One round of renewal, from its alarm over its admission to the third yes.
fn renew(hold: &mut Hold, fence: Fence) {
    let now = hold.poll_timeout().expect("a held lease is renewed");
    hold.handle_timeout(now);
    let due = std::iter::from_fn(|| hold.poll_event()).any(|e| matches!(e, HoldEvent::RenewalDue { .. }));
    assert!(due, "the alarm is that of a renewal");
    hold.handle_admission(now, TTL_MS, 0);
    let mut asked: [Option<(EndpointId, Round)>; 3] = [None; 3];
    for slot in &mut asked {
        *slot = hold.poll_request().map(|request| (request.endpoint, request.round));
    }
    for (endpoint, round) in asked.into_iter().flatten() {
        hold.handle_reply(now.plus_ns(100_000), endpoint, round, &Reply::Granted { fence });
    }
    let renewed = std::iter::from_fn(|| hold.poll_event()).any(|e| matches!(e, HoldEvent::Renewed { .. }));
    assert!(renewed, "three said yes");
}

fn wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    for count in [1, 16, BATCH_LEN_MAX] {
        group.throughput(Throughput::Elements(count as u64));

        let operations: Vec<Operation> = (0..count).map(operation).collect();
        group.bench_with_input(BenchmarkId::new("encode", count), &operations, |b, operations| {
            b.iter(|| Arguments::encode(black_box(operations)));
        });

        let fields = reply(count);
        let decoded = decode_batch(fields.iter().copied(), count);
        assert!(matches!(decoded, Ok(BatchReply::Done { replies, .. }) if replies.len() == count));
        group.bench_with_input(BenchmarkId::new("decode", count), &fields, |b, fields| {
            b.iter(|| decode_batch(black_box(fields).iter().copied(), count));
        });
    }
    group.finish();
}

/// Acquires and releases by turns, as a busy client's batches have them.
fn operation(index: usize) -> Operation {
    let action = if index.is_multiple_of(2) {
        Action::Acquire { ttl_ms: TTL_MS_MAX, proposal: PROPOSAL }
    } else {
        Action::Release
    };
    let name = LeaseName::new(&format!("reconciliation:txn:{index:06}")).expect("it is a name");
    Operation { name, owner: OwnerId::new(index as u128), action }
}

fn reply(count: usize) -> Vec<Field<'static>> {
    const GRANTED: i64 = 1;
    const RELEASED: i64 = 2;
    let token = PROPOSAL.cast_signed();
    let replies = (0..count).flat_map(|index| {
        let (code, value) = if index.is_multiple_of(2) { (GRANTED, token) } else { (RELEASED, 0) };
        [Field::Int(code), Field::Int(value)]
    });
    std::iter::once(Field::Int(token)).chain(replies).collect()
}
