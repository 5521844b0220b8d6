//! Passwords and rights: what is needed, and that no password ever shows.

use std::time::Duration;

use leasehold::{Client, ClientBuilder, ConnectError};
use leasehold_trio::{Server, ServerOptions, Trio};

use crate::common;

const SECRET: &str = "hunter2-is-secret";

fn locked_trio() -> Trio {
    Trio::start_with(ServerOptions::default().setting("requirepass", SECRET)).unwrap()
}

fn urls(servers: &[Server], login: &str) -> Vec<String> {
    servers.iter().map(|server| format!("redis://{login}127.0.0.1:{}", server.port())).collect()
}

/// Everything a user may see of a failed connect.
async fn shown(builder: ClientBuilder) -> String {
    let builder = builder.connect_timeout(Duration::from_millis(600));
    let before = format!("{builder:?}");
    let error = builder.connect().await.unwrap_err();
    format!("{before}\n{error}\n{error:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_lets_in_and_shows_nowhere() {
    let trio = locked_trio();
    leasehold::admin::fresh(common::builder(&trio)).await.unwrap();
    let builder = common::builder(&trio);
    assert!(!format!("{builder:?}").contains(SECRET));
    let client = common::connect(builder).await;
    let lease = client.lease("job").acquire().await.unwrap();
    for text in [format!("{client:?}"), format!("{lease:?}"), format!("{:?}", client.endpoints())] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_to_be_wrong_and_does_not_show() {
    let trio = locked_trio();
    let wrong = "letmein-not-this-one";
    let text = shown(Client::builder().endpoints(urls(trio.servers(), &format!(":{wrong}@")))).await;
    assert!(!text.contains(wrong) && !text.contains(SECRET), "{text}");
    assert!(text.contains("WRONGPASS"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_password_is_said_to_be_missing() {
    let trio = locked_trio();
    let text = shown(Client::builder().endpoints(urls(trio.servers(), ""))).await;
    assert!(text.contains("NOAUTH"), "{text}");
}

#[tokio::test]
async fn a_password_does_not_show_in_the_error_of_a_broken_url() {
    for url in [
        "redis://:hunter2@",
        "redis://:hunter2@10.0.0.1:notaport",
        "redis://user:hunter2@10.0.0.1/notanumber",
        "http://user:hunter2@10.0.0.1",
        "redis://:hun/ter2@10.0.0.1",
        "redis://:hun#ter2@10.0.0.1",
        "redis://:hunter2",
        "://:hunter2@10.0.0.1",
        "redis://user:hunter2%ff@10.0.0.1",
    ] {
        let builder = Client::builder().endpoints([url]);
        let before = format!("{builder:?}");
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Config(_)), "{url}: {error}");
        for text in [before, error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("ter2"), "{url}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_name_and_an_encoded_password_are_understood() {
    let trio = Trio::start().unwrap();
    for server in trio.servers() {
        server.command(&["ACL", "SETUSER", "ann", "on", ">p@ss:w/rd", "~*", "+@all"]).unwrap();
        server.command(&["ACL", "SETUSER", "default", "off"]).unwrap();
    }
    let builder = || Client::builder().endpoints(urls(trio.servers(), "ann:p%40ss%3Aw%2Frd@"));
    leasehold::admin::fresh(builder()).await.unwrap();
    let _lease = common::connect(builder()).await.lease("job").acquire().await.unwrap();
}

/// What the narrow alphabet of names is for.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_touch_the_prefix_only_is_enough() {
    let trio = common::trio().await;
    for server in trio.servers() {
        let rights = ["~lh:*", "+@connection", "+@scripting", "+info", "+time", "+ping", "+exists"];
        let commands = ["+get", "+set", "+del", "+pttl", "+pexpire"];
        let user = ["ACL", "SETUSER", "worker", "on", ">word"];
        server.command(&[&user[..], &rights, &commands].concat()).unwrap();
    }
    let worker = common::connect(Client::builder().endpoints(urls(trio.servers(), "worker:word@"))).await;
    let lease = worker.lease("job").acquire().await.unwrap();
    lease.renew().await.unwrap();
    lease.validate().await.unwrap();
    lease.release().await.unwrap();

    for server in trio.servers() {
        let mine = server.command(&["KEYS", "*"]).unwrap().to_string();
        assert!(mine.trim_matches(['[', ']']).split(", ").all(|key| key.starts_with("lh:")), "{mine}");
    }
}
