//! Endpoints whose data goes away under a client: nothing that was voted on is voted on twice.

use std::time::Duration;

use leasehold::{AcquireError, Client, EndpointState, admin};
use leasehold_trio::{Forwarder, Server, Trio};

use crate::common;

fn quarantined(client: &Client, index: usize) -> bool {
    matches!(client.endpoints()[index].state, EndpointState::Quarantined { .. })
}

fn refused_for(client: &Client, index: usize, words: &str) -> bool {
    matches!(&client.endpoints()[index].state, EndpointState::Refused { reason } if reason.contains(words))
}

/// Takes leases until the client knows of the second endpoint's quarantine: the first request that reaches it tells.
async fn meets_the_quarantine(client: &Client, who: usize) {
    for turn in 0..1_000 {
        if quarantined(client, 1) {
            return;
        }
        let lease = client.lease(format!("meet:{who}:{turn}")).acquire().await.unwrap();
        lease.release().await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not noticed: {client:?}");
}

/// What befell the second endpoint is noticed with the next request: it votes no more, and the others go on.
async fn is_noticed(trio: &Trio, client: &Client) {
    let lease = client.lease("held").acquire().await.unwrap();
    meets_the_quarantine(client, 0).await;
    let second = &trio.servers()[1];
    assert!(second.command(&["PTTL", "lh:quarantine"]).unwrap().integer().unwrap() > 25_000);
    let refused = client.lease("held").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    lease.validate().await.unwrap();
    assert_eq!(client.lease("next").acquire().await.unwrap().votes(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_database() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let held = client.lease("long").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    trio.servers()[1].command(&["FLUSHDB"]).unwrap();
    is_noticed(&trio, &client).await;
    assert!(held.is_valid());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_database() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let held = client.lease("long").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    trio.servers()[1].command(&["SWAPDB", "0", "1"]).unwrap();
    is_noticed(&trio, &client).await;
    assert!(held.is_valid());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_set_replaced_by_replication() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let [_, second, _] = trio.servers();
    let other = common::lone_server();
    replicate(&other, second).await;
    second.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    is_noticed(&trio, &client).await;
}

/// Makes a server a replica of another, and waits until it has its data.
async fn replicate(from: &Server, to: &Server) {
    from.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).unwrap();
    from.command(&["SET", "mark", "of the master"]).unwrap();
    to.command(&["REPLICAOF", "127.0.0.1", &from.port().to_string()]).unwrap();
    // Refused while it takes over the data.
    let has_it = || to.command(&["GET", "mark"]).is_ok_and(|mark| mark.text() == Some("of the master"));
    common::eventually("the replica has the master's data", has_it).await;
    let online = || from.command(&["INFO", "replication"]).unwrap().to_string().contains("state=online");
    common::eventually("the master knows", online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_replica() {
    let mut trio = common::trio().await;
    let [first, _, third] = trio.urls();
    let way = Forwarder::start(trio.servers()[1].port()).unwrap();
    let client = common::connect(common::builder(&trio).endpoints([first, way.url(), third])).await;
    let held = client.lease("long").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    common::eventually("all three hold it", || {
        trio.servers().iter().all(|server| common::lock_value(server, "long").is_some())
    })
    .await;

    let replica = common::lone_server();
    replicate(&trio.servers()[1], &replica).await;
    trio.server(1).kill().unwrap();
    replica.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    way.set_target(replica.port());
    common::eventually("the new master is quarantined", || quarantined(&client, 1)).await;
    // It has a copy of everything, and nobody knows of what was voted on since.
    assert!(replica.command(&["GET", "lh:member"]).unwrap().text().is_some());
    assert!(held.is_valid());
    assert_eq!(client.lease("next").acquire().await.unwrap().votes(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_with_replicas_is_not_admitted() {
    let trio = common::trio().await;
    let replica = common::lone_server();
    replicate(&trio.servers()[1], &replica).await;
    let client = common::client_of(&trio, 2).await;
    common::eventually("it is refused", || refused_for(&client, 1, "has replicas")).await;
    drop(replica);
    // Its first replica gave the master a new replication id: as far as anybody can see, it may be another data set.
    common::eventually("it is admitted, into quarantine", || quarantined(&client, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_evict_locks_is_not_admitted() {
    let trio = common::trio().await;
    for policy in ["allkeys-lru", "volatile-ttl"] {
        trio.servers()[1].command(&["CONFIG", "SET", "maxmemory-policy", policy]).unwrap();
        let client = common::client_of(&trio, 2).await;
        common::eventually("it is refused", || refused_for(&client, 1, policy)).await;
        assert!(refused_for(&client, 1, "set it to noeviction"), "{client:?}");
        trio.servers()[1].command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
        common::ready(&client, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_admit_at_once_write_one_record_and_one_quarantine() {
    let trio = common::trio().await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(common::client(&trio).await);
    }
    let member = |server: &Server| server.command(&["GET", "lh:member"]).unwrap().text().map(str::to_owned);
    let before = member(&trio.servers()[1]);
    trio.servers()[1].command(&["FLUSHALL"]).unwrap();
    // All of them find the record gone, in whatever order their requests come.
    let mut tasks = tokio::task::JoinSet::new();
    for (number, client) in clients.iter().cloned().enumerate() {
        tasks.spawn(async move { meets_the_quarantine(&client, number).await });
    }
    tasks.join_all().await;
    assert_eq!(member(&trio.servers()[1]), before, "the same record, whoever wrote it");
    // Whoever comes later does not begin the quarantine anew.
    trio.servers()[1].command(&["PEXPIRE", "lh:quarantine", "20000"]).unwrap();
    let late = common::client_of(&trio, 2).await;
    common::eventually("it is admitted", || quarantined(&late, 1)).await;
    assert!(trio.servers()[1].command(&["PTTL", "lh:quarantine"]).unwrap().integer().unwrap() <= 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_meet_a_new_set_at_once_agree_on_it() {
    let trio = Trio::start().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        tasks.spawn(common::builder(&trio).connect());
    }
    let clients: Vec<Client> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
    let all = |index: usize| clients.iter().all(|client| quarantined(client, index));
    common::eventually("all have admitted all of it", || (0..3).all(all)).await;
    for server in trio.servers() {
        server.command(&["DEL", "lh:quarantine"]).unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        let lease = client.lease(format!("job:{number}")).acquire().await.unwrap();
        common::eventually("all three vote for it", || {
            trio.servers().iter().all(|server| common::lock_value(server, lease.name()).is_some())
        })
        .await;
    }
    let again = admin::fresh(common::builder(&trio)).await.unwrap_err();
    assert!(again.to_string().contains("admitted before") || again.to_string().contains("fresh"), "{again}");
}
