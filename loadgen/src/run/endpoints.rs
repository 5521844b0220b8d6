//! URLs of endpoints: checked before anything is sent, and shown without their passwords.

use fred::types::config::Config;

/// Endpoints that cannot vote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointsError {
    #[error("{count} endpoints cannot form a majority that survives a loss; give an odd number (3 is usual)")]
    Even { count: usize },
    #[error("endpoint {endpoint} is no URL of a server; write redis://[user[:password]@]host[:port]")]
    Url { endpoint: String },
    #[error("{endpoint} is not one PostgreSQL server; write postgres://user[:password]@host[:port]/database")]
    Postgres { endpoint: String },
    #[error("endpoint {endpoint} is no member of etcd; write http://host:port")]
    Etcd { endpoint: String },
    #[error("endpoint {endpoint} is named twice; each vote needs a server of its own")]
    Twice { endpoint: String },
}

/// Whether this can be the one server of a lock on PostgreSQL.
pub(crate) fn check_postgres(urls: &[String]) -> Result<(), EndpointsError> {
    let is_server = |url: &String| url.starts_with("postgres://") || url.starts_with("postgresql://");
    match urls {
        [url] if is_server(url) => Ok(()),
        urls => Err(EndpointsError::Postgres {
            endpoint: urls.iter().map(|url| without_password(url)).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Whether these can be members of etcd.
pub(crate) fn check_etcd(urls: &[String]) -> Result<(), EndpointsError> {
    let is_member = |url: &&String| {
        url.strip_prefix("http://").is_some_and(|host| !host.is_empty() && !host.starts_with([':', '/']))
    };
    match urls.iter().find(|url| !is_member(url)) {
        None => Ok(()),
        Some(url) => Err(EndpointsError::Etcd { endpoint: without_password(url) }),
    }
}

/// Whether these can be the endpoints of a run.
pub(crate) fn check(urls: &[String]) -> Result<(), EndpointsError> {
    for (index, url) in urls.iter().enumerate() {
        let endpoint = without_password(url);
        if !is_server(url) {
            return Err(EndpointsError::Url { endpoint });
        }
        if urls[..index].iter().any(|other| without_password(other) == endpoint) {
            return Err(EndpointsError::Twice { endpoint });
        }
    }
    if urls.len().is_multiple_of(2) { Err(EndpointsError::Even { count: urls.len() }) } else { Ok(()) }
}

/// A URL as it may be shown.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    // An option may be a password, and a password may hold what should have been escaped: better to show too little.
    let options = rest.find(['?', '#']).unwrap_or(rest.len());
    let host = match rest.rfind('@') {
        Some(at) if at > options => "…",
        Some(at) => &rest[at + 1..options],
        None => &rest[..options],
    };
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

fn is_server(url: &str) -> bool {
    // The client library also takes clusters, sentinels and sockets, none of which is one server of its own.
    let shown = without_password(url);
    let has_host =
        shown.strip_prefix("redis://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with([':', '/']));
    has_host && Config::from_url(url).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(list: &str) -> Vec<String> {
        list.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("redis://:s3cret@host:6379/1"), "redis://host:6379/1");
        assert_eq!(without_password("redis://user:p@ss@host"), "redis://host");
        assert_eq!(without_password("redis://user:pa/ss@host"), "redis://host");
        assert_eq!(without_password("redis://user:pa?ss@host"), "redis://…");
        assert_eq!(without_password("user:pass@host"), "host");
        assert_eq!(without_password("postgres://host/db?user=me&password=s3cret"), "postgres://host/db");
        assert_eq!(without_password("redis://host:6379"), "redis://host:6379");
    }

    #[test]
    fn only_an_odd_number_of_different_servers_will_do() {
        assert!(check(&urls("redis://a,redis://b,redis://c:7000")).is_ok());
        assert!(check(&urls("redis://a")).is_ok());
        assert!(check(&urls("redis://:s3cret@a:7000")).is_ok());
        assert!(matches!(check(&urls("redis://a,redis://b")), Err(EndpointsError::Even { count: 2 })));
        assert!(matches!(check(&urls("redis://a,redis://b,redis://a")), Err(EndpointsError::Twice { .. })));
        for wrong in ["", "localhost:6379", "http://a", "redis://", "redis://a:port", "redis-cluster://a"] {
            assert!(matches!(check(&urls(wrong)), Err(EndpointsError::Url { .. })), "{wrong}");
        }
    }
}
