//! What stands under an endpoint's keys, written by anybody, in lines: a key without its namespace, an equals sign and the value;
//! `key~value` for one that expires. Then a client comes, is admitted or not, and does all that can be done.

use leasehold::memory::store::{Store, Value};
use leasehold::protocol::call::Admission;
use leasehold::protocol::wire::{AdmitReply, BatchReply};
use leasehold::protocol::{Action, ClientId, Fence, LeaseName, Operation, OwnerId, Reply, Vote};
use leasehold::scripts::Settings;

const NOW_US: u64 = 1_700_000_000_000_000;
const TTL_MS: u32 = 5_000;
const LINES_MAX: usize = 32;

pub(super) fn run(text: &str) {
    let settings = Settings { namespace: "lh".to_owned(), database: 0, endpoints: 3, ttl_ms_max: 30_000 };
    let mut store = Store::new(1);
    for line in text.lines().take(LINES_MAX) {
        let Some(at) = line.find(['=', '~']) else { continue };
        let (key, value) = (format!("lh:{}", &line[..at]), &line[at + 1..]);
        let ttl_ms = (line.as_bytes()[at] == b'~').then_some(60_000);
        let value = if value == "*" { Value::OtherType } else { Value::Text(value.to_owned()) };
        store.set(&key, value, ttl_ms, NOW_US);
    }
    let found = store.get("lh:member", NOW_US).map(|(value, _)| value.clone());
    let admission = store.admit(&settings, Admission::Member, "-", NOW_US);
    let AdmitReply::Admitted { member, quarantined_ms, .. } = admission else {
        // Refused: nothing was written.
        assert_eq!(store.get("lh:member", NOW_US).map(|(value, _)| value.clone()), found);
        return;
    };
    assert!(member.starts_with(&settings.text()), "{member:?}");
    let identity =
        member.split_once(" replid=").map(|(_, identity)| identity).expect("a record has an identity");
    let known = matches!(&found, Some(Value::Text(found)) if found.ends_with(&format!(" replid={identity}")));
    assert!(quarantined_ms > 0 || known, "what another process wrote is trusted: {found:?}");
    // Who comes again is the same.
    let again = store.admit(&settings, Admission::Member, "-", NOW_US);
    assert!(matches!(&again, AdmitReply::Admitted { member: same, .. } if *same == member), "{again:?}");
    for reply in act(&mut store, &settings, &member, quarantined_ms) {
        // A token that is drawn here, and not found in a lock that somebody wrote.
        if let Reply::Granted { fence } = reply
            && !text.contains("lock:")
        {
            assert!(fence.get() < 1 << 53, "a token that Lua cannot count");
        }
    }
}

fn act(store: &mut Store, settings: &Settings, member: &str, quarantined_ms: u64) -> Vec<Reply> {
    let name = LeaseName::new("a").expect("a name");
    let owner = OwnerId::of(ClientId::new(7), 9);
    let fence = Fence::new(5);
    let actions = [
        Action::Validate,
        Action::Extend { ttl_ms: TTL_MS, fence },
        Action::Heal { ttl_ms: TTL_MS, fence },
        Action::Shadow { ttl_ms: TTL_MS },
        Action::Raise { fence },
        Action::Acquire { ttl_ms: TTL_MS, proposal: NOW_US },
        Action::AcquireOrWait { ttl_ms: TTL_MS, proposal: NOW_US, ticket: NOW_US },
        Action::Release,
    ];
    let operations = actions.map(|action| Operation { name: name.clone(), owner, action });
    let BatchReply::Done { replies, .. } = store.run(settings, member, &operations, NOW_US) else {
        panic!("who was just admitted is not");
    };
    assert_eq!(replies.len(), operations.len());
    for (reply, Operation { action, .. }) in replies.iter().zip(&operations) {
        let votes = reply.vote() == Vote::Yes && !matches!(action, Action::Validate);
        assert!(quarantined_ms == 0 || !votes, "{action:?} counts in quarantine: {reply:?}");
    }
    replies
}
