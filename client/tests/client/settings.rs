//! Settings that cannot be used: each is an error that says what to change, before anything is sent.

use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{AcquireError, Client, ClientBuilder, ConfigError, ConnectError, Credentials, Tls};

/// The error of a configuration, which must come at once.
async fn refused(builder: ClientBuilder) -> ConfigError {
    match crate::common::soon("an error", builder.connect()).await {
        Err(ConnectError::Config(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn three() -> ClientBuilder {
    Client::builder().endpoints(["redis://10.255.0.1", "redis://10.255.0.2", "redis://10.255.0.3"])
}

fn one(url: &str) -> ClientBuilder {
    Client::builder().endpoints([url])
}

#[tokio::test]
async fn a_url_that_names_no_server_is_named() {
    for (url, word) in [
        ("", "redis://"),
        ("10.0.0.1:6379", "scheme"),
        ("localhost", "scheme"),
        ("http://10.0.0.1", "scheme"),
        ("redis+tls://10.0.0.1", "rediss"),
        ("redis-sentinel://10.0.0.1/service", "no Sentinel"),
        ("redis-cluster://10.0.0.1", "no cluster"),
        ("redis://", "host"),
        ("redis:///3", "host"),
        ("rediss://", "host"),
        ("redis://10.0.0.1:notaport", "port"),
        ("redis://10.0.0.1:99999", "port"),
        ("redis://::1", "port"),
        ("redis://[::1", "IPv6"),
        ("redis://[::g]", "IPv6"),
        ("redis://10.0.0.1/notanumber", "database"),
        ("redis://10.0.0.1/256", "database"),
        ("redis://10.0.0.1/0/1", "database"),
        ("redis://10.0.0.1?db=1", "comes after the host"),
        ("redis://10.0.0.1?timeout=1s", "\"timeout\" is not known"),
        ("redis://10.0.0.1#1", "%23"),
        ("redis://%ff:x@10.0.0.1", "UTF-8"),
        ("redis://user@10.0.0.1", "a user and no password"),
        ("unix://", "path"),
        ("unix:///", "path"),
        ("unix://run/redis.sock", "absolute"),
        ("unix://user@/run/redis.sock", "a user and no password"),
        ("unix:///run/redis.sock?db=many", "database number"),
        ("unix:///run/redis.sock?mode=7", "\"mode\" is not known"),
        ("unix:///run/redis.sock#1", "%23"),
        ("unix:///run/%ff.sock", "UTF-8"),
    ] {
        let error = refused(one(url)).await;
        assert!(matches!(error, ConfigError::Url { .. }), "{url:?}: {error}");
        assert!(error.to_string().contains(word), "{url:?}: {error}");
    }
}

#[tokio::test]
async fn an_even_number_of_endpoints_is_refused_and_none_is_too() {
    for count in [0, 2, 4, 16, 17] {
        let urls: Vec<_> = (0..count).map(|number| format!("redis://10.255.0.{number}")).collect();
        let error = refused(Client::builder().endpoints(urls)).await;
        let ConfigError::Quorum(quorum) = &error else { panic!("{error}") };
        assert_eq!(quorum.endpoints, count);
        assert!(error.to_string().contains("odd number"), "{error}");
    }
}

#[tokio::test]
async fn one_endpoint_named_twice_would_vote_twice() {
    for urls in [
        ["redis://a:6379", "redis://b", "redis://a"],
        ["redis://a", "redis://user:word@a", "redis://b"],
        ["redis://a", "redis://A", "redis://b"],
        ["redis://a", "rediss://a", "redis://b"],
    ] {
        let error = refused(Client::builder().endpoints(urls)).await;
        let ConfigError::Duplicate { endpoint } = &error else { panic!("{error}") };
        assert_eq!(endpoint, "a:6379");
    }
}

#[tokio::test]
async fn one_address_in_two_spellings_would_vote_twice_too() {
    for (urls, label) in [
        (["redis://[::1]", "redis://b", "redis://[0:0:0:0:0:0:0:1]:6379"], "[::1]:6379"),
        (["redis://a", "unix:///run/a.sock", "redis+unix://:word@localhost/run/a.sock?db=0"], "/run/a.sock"),
    ] {
        let error = refused(Client::builder().endpoints(urls)).await;
        assert_eq!(error, ConfigError::Duplicate { endpoint: label.to_owned() });
    }
}

#[tokio::test]
async fn tls_is_for_every_endpoint_or_for_none() {
    let urls = ["rediss://a", "redis://b", "rediss://c"];
    let error = refused(Client::builder().endpoints(urls).tls(Tls::new())).await;
    assert_eq!(error, ConfigError::NotEncrypted { endpoint: "b:6379".to_owned() });
    assert!(error.to_string().contains("rediss://"), "{error}");
}

#[tokio::test]
async fn credentials_come_from_one_place() {
    let word = |_: &str| std::future::ready(Ok::<_, std::convert::Infallible>(Credentials::password("word")));
    let error = refused(one("redis://:other@a").credentials(word)).await;
    assert_eq!(error, ConfigError::CredentialsTwice { endpoint: "a:6379".to_owned() });

    let every = Duration::from_secs(60);
    let error = refused(one("redis://:word@a").refresh_credentials(every)).await;
    assert_eq!(error, ConfigError::NothingToRefresh);
    let hasty = one("redis://a").credentials(word).refresh_credentials(Duration::from_millis(1));
    let error = refused(hasty).await;
    assert!(matches!(error, ConfigError::Range { setting: "refresh_credentials", .. }), "{error}");
}

#[tokio::test]
async fn different_databases_are_refused() {
    let error = refused(Client::builder().endpoints(["redis://a/1", "redis://b/1", "redis://c/2"])).await;
    let expected = ConfigError::Databases { endpoint: "c:6379".to_owned(), found: 2, expected: 1 };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_namespace_must_be_plain() {
    for namespace in ["", "a b", "a'b", "a\nb", "ä", "a*", &"a".repeat(101)] {
        let error = refused(three().namespace(namespace)).await;
        assert_eq!(error, ConfigError::Namespace { namespace: namespace.to_owned() });
    }
}

#[tokio::test]
async fn durations_out_of_range_name_the_setting_and_its_bounds() {
    let (zero, hour) = (Duration::ZERO, Duration::from_secs(3_600));
    for (builder, setting) in [
        (three().ttl(zero), "ttl"),
        (three().ttl(Duration::from_millis(49)), "ttl"),
        (three().ttl(Duration::from_millis(30_001)), "ttl"),
        (three().ttl(Duration::MAX), "ttl"),
        (three().ttl(Duration::from_secs(10)).max_ttl(Duration::from_secs(9)), "ttl"),
        (three().max_ttl(zero), "max_ttl"),
        (three().max_ttl(hour), "max_ttl"),
        (three().base_ttl(zero), "base_ttl"),
        (three().min_ttl(hour), "min_ttl"),
        (three().request_timeout(zero), "request_timeout"),
        (three().request_timeout(hour), "request_timeout"),
        (three().connect_timeout(zero), "connect_timeout"),
        (three().connect_timeout(hour), "connect_timeout"),
    ] {
        let error = refused(builder).await;
        let ConfigError::Range { setting: found, min_ms, max_ms, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, setting);
        assert!(min_ms < max_ms);
        let text = error.to_string();
        assert!(text.contains(setting) && text.contains(&format!("{max_ms} ms")), "{text}");
    }
}

#[tokio::test]
async fn a_lease_with_a_bad_name_or_ttl_is_refused_before_anything_is_sent() {
    let endpoints = MemoryEndpoints::new(3).unwrap();
    let client =
        Client::builder().memory(&endpoints).max_ttl(Duration::from_secs(20)).connect().await.unwrap();
    let error = client.lease("No Name").acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Name(_)), "{error}");
    assert!(error.to_string().contains("\"No Name\""), "{error}");
    for ttl in [Duration::ZERO, Duration::from_millis(20_001), Duration::MAX] {
        let error = client.lease("job").ttl(ttl).acquire().await.unwrap_err();
        assert!(matches!(error, AcquireError::Config(ConfigError::Range { setting: "ttl", .. })), "{error}");
    }
    for index in 0..3 {
        assert_eq!(endpoints.server(index).unwrap().get("lh:lock:job"), None);
    }
}
