//! Passwords: what is needed, and that none ever shows.

use std::time::Duration;

use leasehold::{Client, ClientBuilder, ConnectError, Credentials, Tls};
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
        "rediss://:hunter2@",
        "rediss://user:hunter2@10.0.0.1/notanumber",
        "redis-sentinel://user:hunter2@10.0.0.1",
        "redis://10.0.0.1?password=hunter2",
        "redis://10.0.0.1?password=hun@ter2",
        "redis://10.0.0.1#hunter2",
        "unix://:hunter2/run/redis.sock",
        "unix://user:hunter2@run/redis.sock?mode=1",
        "unix://user:hunter2@/",
        "unix:///run/redis.sock:hunter2@",
        "unix://user:x@/hunter2@/run/redis.sock",
        "unix://user:hun?ter2@/run/redis.sock",
        "unix:///run/redis.sock?password=hunter2",
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

#[tokio::test]
async fn credentials_and_keys_do_not_show() {
    let credentials = Credentials::new("ann", SECRET);
    let builder = Client::builder()
        .endpoints(["rediss://10.255.0.1"])
        .tls(Tls::new().identity_pem("certificate", SECRET))
        .credentials(move |_| std::future::ready(Ok::<_, std::io::Error>(credentials.clone())));
    let shown = [
        format!("{builder:?}"),
        format!("{:?}", Credentials::new("ann", SECRET)),
        format!("{:?}", Credentials::password(SECRET)),
        format!("{:?}", Tls::new().roots_pem(SECRET).identity_pem(SECRET, SECRET)),
        format!("{:?}", builder.connect().await.unwrap_err()),
    ];
    for text in shown {
        assert!(!text.contains(SECRET) && !text.contains(&format!("{:?}", SECRET.as_bytes())), "{text}");
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
