//! Settings of a client, in lines: an endpoint's URL, or a setting, an equals sign and its value; times are in milliseconds.

use std::time::Duration;

use leasehold::fuzzing::settings;
use leasehold::protocol::validity::{TTL_MS_MAX, TTL_MS_MIN};
use leasehold::{Client, Credentials, Tls};

/// More lines than any configuration has.
const LINES_MAX: usize = 64;

pub(super) fn run(text: &str) {
    let (mut builder, mut urls) = (Client::builder(), Vec::new());
    for line in text.lines().take(LINES_MAX) {
        let (setting, value) = line.split_once('=').unwrap_or(("", line));
        let time = Duration::from_millis(value.parse().unwrap_or(u64::MAX));
        builder = match setting {
            "namespace" => builder.namespace(value),
            "ttl" => builder.ttl(time),
            "base_ttl" => builder.base_ttl(time),
            "min_ttl" => builder.min_ttl(time),
            "max_ttl" => builder.max_ttl(time),
            "wait" => builder.wait(time),
            "request_timeout" => builder.request_timeout(time),
            "connect_timeout" => builder.connect_timeout(time),
            "refresh_credentials" => builder.refresh_credentials(time),
            "tls" => builder.tls(Tls::new()),
            "credentials" => {
                builder.credentials(|_| async { Ok::<_, std::fmt::Error>(Credentials::password("p")) })
            }
            _ => {
                urls.push(line);
                builder
            }
        };
    }
    let builder = builder.endpoints(urls.iter().copied());
    assert!(format!("{builder:?}").len() < 2_000 + 30 * text.len());
    match settings(&builder) {
        Ok(settings) => {
            assert_eq!(settings.endpoints as usize, urls.len());
            assert!(settings.endpoints % 2 == 1, "{} endpoints", settings.endpoints);
            assert!((TTL_MS_MIN..=TTL_MS_MAX).contains(&settings.ttl_ms_max));
            // It stands between quotes in the script.
            assert!(!settings.namespace.is_empty() && !settings.namespace.contains(['\'', '\\', '\n']));
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && message.len() < 500 + 10 * text.len(), "{message}");
        }
    }
}
