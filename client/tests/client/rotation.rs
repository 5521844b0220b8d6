//! Passwords that are rotated while leases are held.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold::{Client, ClientBuilder, ConnectError, Credentials, ReauthenticateError, admin};
use leasehold_trio::{Server, Trio};

use crate::common::{self, Recorder};

/// Where a service's credentials are kept, and how often they were asked for.
#[derive(Clone, Default)]
struct Vault(Arc<Mutex<(Option<Credentials>, usize)>>);

impl Vault {
    fn holding(user: &str, password: &str) -> Self {
        let vault = Self::default();
        vault.put(user, password);
        vault
    }

    fn put(&self, user: &str, password: &str) {
        self.0.lock().unwrap().0 = Some(Credentials::new(user, password));
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn open(&self) -> Result<Credentials, &'static str> {
        let mut vault = self.0.lock().unwrap();
        vault.1 += 1;
        vault.0.clone().ok_or("the vault is sealed")
    }
}

fn builder(trio: &Trio, vault: &Vault) -> ClientBuilder {
    let vault = vault.clone();
    common::builder(trio).credentials(move |_endpoint| {
        let vault = vault.clone();
        async move { vault.open() }
    })
}

/// A user with this as its only password.
fn set_user(server: &Server, user: &str, password: &str) {
    let password = format!(">{password}");
    server.command(&["ACL", "SETUSER", user, "on", "resetpass", &password, "~*", "&*", "+@all"]).unwrap();
}

async fn start(vault: &Vault) -> Trio {
    let trio = Trio::start().unwrap();
    trio.servers().iter().for_each(|server| set_user(server, "ann", "first"));
    admin::fresh(builder(&trio, vault)).await.unwrap();
    trio
}

/// The connections of users who are not the test itself: their ids and users.
fn connections(server: &Server) -> Vec<(String, String)> {
    let field = |line: &str, name: &str| {
        line.split(' ').find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    let list = server.command(&["CLIENT", "LIST"]).unwrap().to_string();
    let all = list.lines().map(|line| (field(line, "id="), field(line, "user=")));
    all.filter(|(_, user)| !user.is_empty() && user != "default").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_is_picked_up_and_no_lease_is_lost() {
    let vault = Vault::holding("ann", "first");
    let trio = start(&vault).await;
    let recorder = Recorder::new();
    let client = common::connect(builder(&trio, &vault).observer(Arc::clone(&recorder) as _)).await;
    let lease = client.lease("job").ttl(Duration::from_secs(3)).acquire().await.unwrap();

    vault.put("ann", "second");
    let asked = vault.asked();
    for server in trio.servers() {
        set_user(server, "ann", "second");
        // What a server does to them that was told of the new password by its file.
        assert_eq!(server.command(&["CLIENT", "KILL", "USER", "ann"]).unwrap().integer(), Some(1));
    }
    let renewed = recorder.renewed();
    common::eventually("all have connected anew", || vault.asked() >= asked + 3).await;
    common::eventually("the lease was renewed twice since", || recorder.renewed() >= renewed + 2).await;
    lease.validate().await.unwrap();
    common::ready(&client, 3).await;
    lease.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_authenticated_anew_in_place() {
    let vault = Vault::holding("ann", "first");
    let trio = start(&vault).await;
    let client = common::connect(builder(&trio, &vault)).await;
    let lease = client.lease("job").acquire().await.unwrap();
    let before: Vec<_> = trio.servers().iter().map(connections).collect();

    trio.servers().iter().for_each(|server| set_user(server, "bob", "other"));
    vault.put("bob", "other");
    client.reauthenticate().await.unwrap();
    for (server, before) in trio.servers().iter().zip(before) {
        let now_bob: Vec<_> = before.into_iter().map(|(id, _)| (id, "bob".to_owned())).collect();
        assert_eq!(connections(server), now_bob);
    }
    // Whoever it was before may go.
    trio.servers().iter().for_each(|server| drop(server.command(&["ACL", "DELUSER", "ann"]).unwrap()));
    lease.renew().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_refreshed_by_themselves() {
    let vault = Vault::holding("ann", "first");
    let trio = start(&vault).await;
    let client = common::connect(builder(&trio, &vault).refresh_credentials(Duration::from_secs(1))).await;
    trio.servers().iter().for_each(|server| set_user(server, "bob", "other"));
    vault.put("bob", "other");
    let all_bob = || {
        let users = trio.servers().iter().flat_map(connections).map(|(_, user)| user);
        users.collect::<Vec<_>>() == ["bob", "bob", "bob"]
    };
    common::eventually("all connections are bob's", all_bob).await;
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_refuses_the_new_password_keeps_the_old() {
    let vault = Vault::holding("ann", "first");
    let trio = start(&vault).await;
    let client = common::connect(builder(&trio, &vault)).await;
    let lease = client.lease("job").acquire().await.unwrap();
    let before: Vec<_> = trio.servers().iter().map(connections).collect();

    set_user(&trio.servers()[1], "ann", "too-soon-for-the-others");
    vault.put("ann", "too-soon-for-the-others");
    let error = client.reauthenticate().await.unwrap_err();
    let ReauthenticateError::Failed { endpoints } = &error else { panic!("{error}") };
    let named: Vec<_> = endpoints.0.iter().map(|endpoint| endpoint.endpoint.clone()).collect();
    let label = |index: usize| format!("127.0.0.1:{}", trio.servers()[index].port());
    assert_eq!(named, [label(0), label(2)]);
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
    assert!(!error.to_string().contains("too-soon"), "{error}");

    lease.renew().await.unwrap();
    assert_eq!(trio.servers().iter().map(connections).collect::<Vec<_>>(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nobody_connects_and_the_reason_is_told() {
    let trio = start(&Vault::holding("ann", "first")).await;
    let vault = Vault::default();
    let sealed = builder(&trio, &vault).connect_timeout(Duration::from_millis(600));
    let error = sealed.connect().await.unwrap_err();
    let ConnectError::NoQuorum { endpoints, .. } = &error else { panic!("{error}") };
    assert!(endpoints.0.iter().all(|endpoint| endpoint.reason.contains("the vault is sealed")), "{error}");

    let client = common::connect({
        vault.put("ann", "first");
        builder(&trio, &vault)
    })
    .await;
    *vault.0.lock().unwrap() = Default::default();
    let error = client.reauthenticate().await.unwrap_err();
    assert!(error.to_string().contains("the vault is sealed"), "{error}");
    let _lease = client.lease("job").acquire().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_is_told_for_which_endpoint_it_is_asked() {
    let trio = Trio::start().unwrap();
    for (index, server) in trio.servers().iter().enumerate() {
        set_user(server, "ann", &format!("word-{index}"));
    }
    let labels: Vec<_> = trio.servers().iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    let builder = common::builder(&trio).credentials(move |endpoint| {
        let index = labels.iter().position(|label| label == endpoint);
        let password = index.map(|index| Credentials::new("ann", format!("word-{index}")));
        async move { password.ok_or("an endpoint that nobody named") }
    });
    admin::fresh(builder.clone()).await.unwrap();
    let client: Client = common::connect(builder).await;
    let _lease = client.lease("job").acquire().await.unwrap();
}
