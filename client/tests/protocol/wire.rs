//! Operations as arguments, replies as fields: what goes out comes back, and nothing else is taken for a reply.

use leasehold::protocol::wire::{
    AdmitReply, Arguments, BatchReply, Field, WireError, decode_admit, decode_batch,
};
use leasehold::protocol::{Action, Fence, LeaseName, Operation, OwnerId, Reply};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

/// A reply's field with its own bytes.
#[derive(Clone, Debug)]
enum Owned {
    Int(i64),
    Text(Vec<u8>),
    Other,
}

impl Owned {
    fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }

    fn field(&self) -> Field<'_> {
        match self {
            Self::Int(number) => Field::Int(*number),
            Self::Text(bytes) => Field::Text(bytes),
            Self::Other => Field::Other,
        }
    }
}

fn batch(fields: &[Owned], operations: usize) -> Result<BatchReply, WireError> {
    decode_batch(fields.iter().map(Owned::field), operations)
}

fn admit(fields: &[Owned]) -> Result<AdmitReply, WireError> {
    decode_admit(fields.iter().map(Owned::field))
}

/// What the script answers for a reply; its own numbers, so that a change on either side shows.
fn script_fields(reply: &Reply) -> [Owned; 2] {
    let number = |value: u64| Owned::Int(i64::try_from(value).unwrap());
    match reply {
        Reply::Granted { fence } => [Owned::Int(1), number(fence.get())],
        Reply::Released => [Owned::Int(2), Owned::Int(0)],
        Reply::Held { left_ms } => [Owned::Int(3), number(*left_ms)],
        Reply::Waiting { left_ms, ahead } => [Owned::Int(10), number(u64::from(*ahead) << 32 | left_ms)],
        Reply::Missing => [Owned::Int(4), Owned::Int(0)],
        Reply::NotALock => [Owned::Int(5), Owned::Int(0)],
        Reply::Superseded => [Owned::Int(6), Owned::Int(0)],
        Reply::Quarantined { left_ms } => [Owned::Int(7), number(*left_ms)],
        Reply::TtlTooLong { max_ms } => [Owned::Int(8), number(*max_ms)],
        Reply::Refused(reason) => [Owned::Int(9), Owned::text(reason)],
        Reply::NotSent(_) | Reply::Unknown(_) => unreachable!("no endpoint answers that"),
    }
}

fn positive() -> impl Strategy<Value = u64> {
    0..=u64::try_from(i64::MAX).unwrap()
}

fn replies() -> impl Strategy<Value = Reply> {
    prop_oneof![
        positive().prop_map(|token| Reply::Granted { fence: Fence::new(token) }),
        Just(Reply::Released),
        positive().prop_map(|left_ms| Reply::Held { left_ms }),
        (any::<u32>(), 0..=u32::MAX >> 1)
            .prop_map(|(left_ms, ahead)| Reply::Waiting { left_ms: left_ms.into(), ahead }),
        Just(Reply::Missing),
        Just(Reply::NotALock),
        Just(Reply::Superseded),
        positive().prop_map(|left_ms| Reply::Quarantined { left_ms }),
        positive().prop_map(|max_ms| Reply::TtlTooLong { max_ms }),
        "\\PC{0,40}".prop_map(|reason| Reply::Refused(reason.into())),
    ]
}

fn fields() -> impl Strategy<Value = Owned> {
    prop_oneof![
        any::<i64>().prop_map(Owned::Int),
        (-3i64..12).prop_map(Owned::Int),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Owned::Text),
        Just(Owned::Other),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    let fence = any::<u64>().prop_map(Fence::new);
    let action = prop_oneof![
        (any::<u32>(), any::<u64>()).prop_map(|(ttl_ms, proposal)| Action::Acquire { ttl_ms, proposal }),
        (any::<u32>(), any::<u64>(), 0u64..2).prop_map(|(ttl_ms, proposal, waited)| {
            Action::AcquireOrWait { ttl_ms, proposal, ticket: proposal.saturating_sub(waited) }
        }),
        (any::<u32>(), fence.clone()).prop_map(|(ttl_ms, fence)| Action::Extend { ttl_ms, fence }),
        (any::<u32>(), fence.clone()).prop_map(|(ttl_ms, fence)| Action::Heal { ttl_ms, fence }),
        fence.prop_map(|fence| Action::Raise { fence }),
        Just(Action::Validate),
        Just(Action::Release),
    ];
    ("[a-z0-9][a-z0-9_.:-]{0,30}", any::<u128>(), action).prop_map(|(name, owner, action)| Operation {
        name: LeaseName::new(&name).unwrap(),
        owner: OwnerId::new(owner),
        action,
    })
}

/// Reads arguments as the head of `scripts/lease.lua` describes them.
fn read(arguments: &[String]) -> Vec<Operation> {
    let mut rest = arguments;
    let mut operations = Vec::new();
    while let [code, name, owner, tail @ ..] = rest {
        assert_eq!(owner.len(), 32, "an owner is 32 digits, or the script cuts it wrong");
        let name = LeaseName::new(name).unwrap();
        let stripe = name.stripe().to_string();
        let number = |text: &String| text.parse::<u64>().unwrap();
        let ttl_ms = |text: &String| text.parse::<u32>().unwrap();
        let (action, length) = match (code.as_str(), tail) {
            ("a", [proposal, found, ttl, ..]) if *found == stripe => {
                (Action::Acquire { ttl_ms: ttl_ms(ttl), proposal: number(proposal) }, 6)
            }
            ("w", [proposal, found, ttl, ..]) if *found == stripe => {
                let proposal = number(proposal);
                (Action::AcquireOrWait { ttl_ms: ttl_ms(ttl), proposal, ticket: proposal }, 6)
            }
            ("q", [proposal, found, ttl, ticket, ..]) if *found == stripe => {
                let (proposal, ticket) = (number(proposal), number(ticket));
                (Action::AcquireOrWait { ttl_ms: ttl_ms(ttl), proposal, ticket }, 7)
            }
            ("e", [token, found, ttl, ..]) if *found == stripe => {
                (Action::Extend { ttl_ms: ttl_ms(ttl), fence: Fence::new(number(token)) }, 6)
            }
            ("h", [token, found, ttl, ..]) if *found == stripe => {
                (Action::Heal { ttl_ms: ttl_ms(ttl), fence: Fence::new(number(token)) }, 6)
            }
            ("r", [token, found, ..]) if *found == stripe => {
                (Action::Raise { fence: Fence::new(number(token)) }, 5)
            }
            ("v", _) => (Action::Validate, 3),
            ("x", _) => (Action::Release, 3),
            other => panic!("no operation of the script: {other:?}"),
        };
        let owner = OwnerId::new(u128::from_str_radix(owner, 16).unwrap());
        operations.push(Operation { name, owner, action });
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "{rest:?} is left over");
    operations
}

fn texts(arguments: &Arguments) -> Vec<String> {
    arguments.iter().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
}

#[test]
fn an_acquire_reads_as_the_scripts_head_says() {
    let operation = Operation {
        name: LeaseName::new("job").unwrap(),
        owner: OwnerId::new(0xabc),
        action: Action::Acquire { ttl_ms: 5_000, proposal: 1_763_806_000_123_457 },
    };
    let arguments = Arguments::encode([&operation]);
    let owner = format!("{:032x}", 0xabc);
    assert_eq!(texts(&arguments), ["a", "job", &owner, "1763806000123457", "2065", "5000"]);
}

proptest! {
    #[test]
    fn operations_travel_whole_and_in_order(batch in prop::collection::vec(operations(), 0..64)) {
        let arguments = Arguments::encode(&batch);
        prop_assert_eq!(read(&texts(&arguments)), batch);
        let (bytes, ends) = arguments.clone().into_parts();
        prop_assert_eq!(ends.last().copied().unwrap_or(0), bytes.len());
        prop_assert!(ends.is_sorted());
        prop_assert_eq!(arguments.iter().flatten().copied().collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn an_owner_reads_the_same_in_a_lock_and_in_a_log(owner in any::<u128>()) {
        let owner = OwnerId::new(owner);
        prop_assert_eq!(String::from_utf8(owner.hex().to_vec()).unwrap(), owner.to_string());
    }

    #[test]
    fn replies_come_back_as_they_were_given(replies in prop::collection::vec(replies(), 0..64), time_us in positive()) {
        let mut fields = vec![Owned::Int(i64::try_from(time_us).unwrap())];
        fields.extend(replies.iter().flat_map(script_fields));
        let count = replies.len();
        prop_assert_eq!(batch(&fields, count), Ok(BatchReply::Done { server_time_us: time_us, replies }));
        // One field less, or a reply for an operation that was not sent, is no reply to this batch.
        prop_assert_eq!(batch(&fields[..fields.len() - 1], count), Err(WireError));
        prop_assert_eq!(batch(&fields, count + 1), Err(WireError));
        fields.extend(script_fields(&Reply::Missing));
        prop_assert_eq!(batch(&fields, count), Err(WireError));
    }

    #[test]
    fn no_fields_whatever_make_a_decoder_panic(fields in prop::collection::vec(fields(), 0..40), count in 0usize..20) {
        if let Ok(BatchReply::Done { replies, .. }) = batch(&fields, count) {
            prop_assert_eq!(replies.len(), count);
            prop_assert_eq!(fields.len(), 1 + 2 * count);
        }
        let _ = admit(&fields);
    }
}

#[test]
fn a_negative_number_is_no_token_and_no_time() {
    for code in [1, 3, 7, 8, 10] {
        assert_eq!(
            batch(&[Owned::Int(5), Owned::Int(code), Owned::Int(-1)], 1),
            Err(WireError),
            "code {code}"
        );
    }
    assert_eq!(batch(&[Owned::Int(-3)], 0), Err(WireError));
}

#[test]
fn an_unknown_code_or_a_value_of_another_kind_is_no_reply() {
    for code in [0, 11, -1, i64::MAX, i64::MIN] {
        assert_eq!(
            batch(&[Owned::Int(5), Owned::Int(code), Owned::Int(0)], 1),
            Err(WireError),
            "code {code}"
        );
    }
    for code in [1, 3, 7, 8, 10] {
        assert_eq!(batch(&[Owned::Int(5), Owned::Int(code), Owned::text("1")], 1), Err(WireError));
    }
    assert_eq!(batch(&[Owned::Int(5), Owned::Int(9), Owned::Int(1)], 1), Err(WireError));
    assert_eq!(batch(&[Owned::Int(5), Owned::Other, Owned::Int(1)], 1), Err(WireError));
    assert_eq!(batch(&[], 0), Err(WireError));
}

#[test]
fn a_batch_that_did_not_run_says_why() {
    let refused = batch(&[Owned::Int(-1), Owned::text("it is a replica now")], 3);
    assert_eq!(refused, Ok(BatchReply::NotAdmitted("it is a replica now".into())));
    assert_eq!(batch(&[Owned::Int(-1)], 3), Err(WireError));
}

#[test]
fn an_admission_says_under_which_record_and_for_how_long_it_is_quarantined() {
    let admitted =
        AdmitReply::Admitted { server_time_us: 7, member: "the record".into(), quarantined_ms: 30 };
    let fields = [Owned::Int(7), Owned::text("the record"), Owned::Int(30)];
    assert_eq!(admit(&fields), Ok(admitted));
    assert_eq!(admit(&fields[..2]), Err(WireError));
    assert_eq!(admit(&[Owned::Int(7), Owned::text("the record"), Owned::Int(-30)]), Err(WireError));
    assert_eq!(admit(&[Owned::Int(-2), Owned::text("no")]), Ok(AdmitReply::Refused("no".into())));
    assert_eq!(admit(&[Owned::Int(-1), Owned::text("no")]), Err(WireError), "the refusal of a batch");
}
