//! What only a real server can be brought to do: other types, garbage, no memory, other identities.

use leasehold_trio::{Data, Server, ServerOptions};

use super::{
    Behind, ME, OTHER, Subject, TIMEOUT_MS, acquire, acquire_proposing, endpoint, every_operation, extend,
    heal, raise, refusal, release, validate,
};
use crate::Client;
use crate::endpoint::{Admission, CallError, Connection};
use crate::protocol::operation::Reply;
use crate::protocol::wire::{AdmitReply, BatchReply};
use crate::protocol::{Fence, LeaseName};

fn stripe_key(name: &str) -> String {
    format!("lh:fence:{}", LeaseName::new(name).unwrap().stripe())
}

async fn admit_as_member(subject: &Subject) -> AdmitReply {
    subject.endpoint.admit(Admission::Member, "set", TIMEOUT_MS).await.unwrap()
}

#[tokio::test]
async fn a_key_of_another_type_is_not_a_lock_and_is_never_overwritten() {
    let subject = Subject::redis().await;
    subject.command(&["RPUSH", "lh:lock:job", "a", "b"]);
    for operation in every_operation("job") {
        assert_eq!(subject.ask(operation.clone()).await, Reply::NotALock, "{operation:?}");
    }
    assert_eq!(subject.command(&["LRANGE", "lh:lock:job", "0", "-1"]), "[a, b]");
}

#[tokio::test]
async fn an_operation_that_is_refused_for_its_stripe_has_written_nothing() {
    for wrong in [["SET", "seven"], ["RPUSH", "seven"]] {
        let subject = Subject::redis().await;
        let fence = subject.take("job", ME, 5_000).await;
        let key = stripe_key("job");
        subject.command(&["DEL", &key]);
        subject.command(&[wrong[0], &key, wrong[1]]);
        let free = neighbour_of("job");
        refusal(&subject.ask(heal(&free, ME, 5_000, fence)).await);
        assert_eq!(subject.value(&free), None, "half a vote: a lock without its token in the stripe");
        refusal(&subject.ask(raise("job", ME, Fence::new(fence.get() + 5))).await);
        assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")), "raised, and not in the stripe");
        refusal(&subject.ask(extend("job", ME, 20_000, Fence::new(fence.get() + 5))).await);
        assert!(subject.left_ms("job").await <= 5_000, "extended, and refused");
        assert_eq!(subject.ask(release("job", ME)).await, Reply::Released, "a release needs no stripe");
    }
}

fn neighbour_of(name: &str) -> String {
    let candidates = (0..1_000_000).map(|number| format!("n{number}"));
    candidates.into_iter().find(|other| stripe_key(other) == stripe_key(name)).unwrap()
}

#[tokio::test]
async fn the_last_token_is_exact_and_there_is_none_after_it() {
    let subject = Subject::redis().await;
    let last = (1u64 << 53) - 1;
    subject.command(&["SET", &stripe_key("job"), &(last - 1).to_string()]);
    let reply = subject.ask(acquire_proposing("job", ME, 5_000, 0)).await;
    assert_eq!(reply, Reply::Granted { fence: Fence::new(last) });
    assert_eq!(subject.value("job"), Some(format!("{ME}:{last}")));
    assert_eq!(subject.command(&["GET", &stripe_key("job")]), last.to_string());
    subject.ask(release("job", ME)).await;
    let reply = subject.ask(acquire_proposing("job", ME, 5_000, 0)).await;
    assert!(refusal(&reply).contains("run out of tokens"), "{reply:?}");
    assert_eq!(subject.value("job"), None);
}

#[tokio::test]
async fn out_of_memory_a_vote_is_refused_whole() {
    let subject = Subject::redis().await;
    let fence = subject.take("held", ME, 5_000).await;
    let stripe = subject.command(&["GET", &stripe_key("held")]);
    subject.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for operation in [acquire("job", ME, 5_000), heal("job", ME, 5_000, fence)] {
        let reply = subject.ask(operation).await;
        assert!(refusal(&reply).contains("OOM"), "{reply:?}");
        assert_eq!(subject.value("job"), None);
        assert_eq!(subject.command(&["EXISTS", &stripe_key("job")]), "0", "a token drawn for nobody");
    }
    let reply = subject.ask(raise("held", ME, Fence::new(fence.get() + 5))).await;
    assert!(refusal(&reply).contains("OOM"), "{reply:?}");
    assert_eq!(subject.value("held"), Some(format!("{ME}:{fence}")));
    assert_eq!(subject.command(&["GET", &stripe_key("held")]), stripe);
    // What frees memory, or needs none, still works: a full server must not make its leases run out.
    let larger = Fence::new(fence.get() + 5);
    assert_eq!(subject.ask(extend("held", ME, 20_000, larger)).await, Reply::Granted { fence: larger });
    assert_eq!(subject.command(&["GET", &stripe_key("held")]), larger.to_string());
    assert_eq!(subject.ask(validate("held", ME)).await, Reply::Granted { fence });
    assert_eq!(subject.ask(release("held", ME)).await, Reply::Released);
}

#[tokio::test]
async fn a_batch_that_runs_out_of_memory_half_way_writes_whole_votes_only() {
    let subject = Subject::redis().await;
    subject.take("held", ME, 5_000).await;
    subject.command(&["CONFIG", "SET", "maxmemory", "1"]);
    // The server looks at its memory before a script, and no more once the script has written.
    let (_, replies) =
        subject.run(&[acquire("before", ME, 5_000), release("held", ME), acquire("after", ME, 5_000)]).await;
    refusal(&replies[0]);
    assert_eq!(replies[1], Reply::Released);
    for (name, reply) in [("before", &replies[0]), ("after", &replies[2])] {
        let stripe = subject.command(&["GET", &stripe_key(name)]);
        match reply {
            Reply::Granted { fence } => {
                assert_eq!(subject.value(name), Some(format!("{ME}:{fence}")));
                assert_eq!(stripe, fence.to_string());
            }
            reply => {
                refusal(reply);
                assert_eq!((subject.value(name), stripe.as_str()), (None, "(nil)"));
            }
        }
    }
}

#[tokio::test]
async fn a_script_that_is_not_known_any_more_runs_nothing_and_costs_no_quarantine() {
    let subject = Subject::redis().await;
    subject.command(&["SCRIPT", "FLUSH"]);
    let unknown = subject.try_run(&[acquire("job", ME, 5_000)]).await;
    assert!(matches!(unknown, Err(CallError::NoScript)), "{unknown:?}");
    let AdmitReply::Admitted { member, quarantined_ms, .. } = admit_as_member(&subject).await else {
        panic!("refused");
    };
    assert_eq!((member, quarantined_ms), (subject.member.clone(), 0));
    subject.take("job", ME, 5_000).await;
}

#[tokio::test]
async fn a_restart_is_a_new_identity_even_if_the_data_came_back() {
    let options = ServerOptions {
        // Every second would do, were it certain: while a sync is under way, a server may hold back what it answered for.
        persistence: leasehold_trio::Persistence::AppendOnly(leasehold_trio::Fsync::Always),
        ..ServerOptions::default()
    };
    let mut subject = Subject::redis_with(options).await;
    let fence = subject.take("job", ME, 20_000).await;
    let Behind::Redis(server) = &mut subject.server else { unreachable!() };
    let mut connection = subject.endpoint.connection();
    connection.mark_unchanged();
    server.restart(Data::Keep).unwrap();
    assert_eq!(subject.value("job"), Some(format!("{ME}:{fence}")), "its data came back");
    let back = connection.wait_for(|connection| *connection == Connection::Up { epoch: 2 }).await;
    assert!(back.is_ok());
    assert!(matches!(subject.try_run(&[validate("job", ME)]).await, Err(CallError::NoScript)));
    let AdmitReply::Admitted { member, quarantined_ms, .. } = admit_as_member(&subject).await else {
        panic!("refused");
    };
    assert_ne!(member, subject.member);
    assert!(quarantined_ms > 25_000, "nobody declared it durable: votes may be gone");
    assert_eq!(subject.command(&["GET", "lh:quarantine"]), "identity changed");
}

#[tokio::test]
async fn a_record_of_another_identity_runs_nothing() {
    let subject = Subject::redis().await;
    let other = format!("{}-", &subject.member[..subject.member.len() - 1]);
    for record in [other.as_str(), "", "protocol=1"] {
        subject.command(&["SET", "lh:member", record]);
        let reply = subject.try_run(&[acquire("job", ME, 5_000)]).await.unwrap();
        assert!(matches!(reply, BatchReply::NotAdmitted(_)), "{record:?}: {reply:?}");
        assert_eq!(subject.value("job"), None);
    }
}

#[tokio::test]
async fn a_caller_that_names_another_servers_record_runs_nothing() {
    let (one, other) = (Subject::redis().await, Subject::redis().await);
    let reply = one.endpoint.run(&other.member, &[acquire("job", ME, 5_000)], TIMEOUT_MS).await.unwrap();
    assert!(matches!(reply, BatchReply::NotAdmitted(_)), "{reply:?}");
    assert_eq!(one.value("job"), None);
}

#[tokio::test]
async fn a_data_set_that_went_away_and_came_back_is_another_identity() {
    let (subject, master) = (Subject::redis().await, Subject::redis().await);
    let port = master.redis_server().port().to_string();
    // A fail-over and back: the same process, the same record put back by hand, another replication id.
    subject.command(&["REPLICAOF", "127.0.0.1", &port]);
    let refused = subject.try_run(&[acquire("job", ME, 5_000)]).await;
    assert!(!matches!(refused, Ok(BatchReply::Done { .. })), "a replica voted: {refused:?}");
    subject.command(&["REPLICAOF", "NO", "ONE"]);
    subject.command(&["SET", "lh:member", &subject.member]);
    let refused = subject.try_run(&[acquire("job", ME, 5_000)]).await.unwrap();
    let BatchReply::NotAdmitted(reason) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("data set"), "{reason}");
    let admitted = admit_as_member(&subject).await;
    assert!(matches!(admitted, AdmitReply::Admitted { quarantined_ms: 25_000.., .. }), "{admitted:?}");
}

#[tokio::test]
async fn a_replica_and_a_master_with_replicas_are_refused_and_nothing_is_written() {
    // By default a master waits five seconds for more replicas to come.
    let options = || ServerOptions::default().setting("repl-diskless-sync-delay", "0");
    let (master, replica) = (&Server::start(options()).unwrap(), &Server::start(options()).unwrap());
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]).unwrap();
    let linked = || master.command(&["INFO", "replication"]).unwrap().to_string().contains("state=online");
    for _ in 0..1_000 {
        if linked() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(linked(), "the replica did not come online");
    for (server, word) in [(replica, "is a replica"), (master, "has replicas")] {
        let endpoint = endpoint(&Client::builder().endpoints([server.url()]));
        endpoint.connection().wait_for(|c| matches!(c, Connection::Up { .. })).await.unwrap();
        for (admission, set) in [(Admission::Member, "-"), (Admission::Fresh, "new")] {
            let refused = endpoint.admit(admission, set, TIMEOUT_MS).await.unwrap();
            let AdmitReply::Refused(reason) = refused else { panic!("{word}: {refused:?}") };
            assert!(reason.contains(word), "{reason}");
        }
        assert_eq!(server.command(&["DBSIZE"]).unwrap().integer(), Some(0));
    }
}

#[tokio::test]
async fn a_quarantine_expires_by_itself() {
    let subject = Subject::redis().await;
    subject.command(&["FLUSHALL"]);
    admit_as_member(&subject).await;
    let left_ms: u64 = subject.command(&["PTTL", "lh:quarantine"]).parse().unwrap();
    assert!((25_000..=30_302).contains(&left_ms), "{left_ms}");
    assert_eq!(subject.command(&["GET", "lh:quarantine"]), "no record of an admission");
}

#[tokio::test]
async fn a_name_used_once_leaves_nothing_but_its_stripe() {
    let subject = Subject::redis().await;
    subject.take("job", OTHER, 5_000).await;
    subject.ask(release("job", OTHER)).await;
    let keys = subject.command(&["KEYS", "*"]);
    let mut keys: Vec<&str> = keys.trim_matches(['[', ']']).split(", ").collect();
    keys.sort_unstable();
    assert_eq!(keys, [stripe_key("job").as_str(), "lh:member"]);
}
