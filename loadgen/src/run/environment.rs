//! What the servers of a run are.

use std::collections::BTreeMap;

use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand};

use crate::locks::{etcd, server};
use crate::report::Server;

/// Settings of a server that bear on what a run shows.
const SETTINGS: [&str; 6] =
    ["save", "appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "io-threads"];

/// What the first server that answers says of itself: one may be down, and all should be alike.
pub(crate) async fn describe(urls: &[String]) -> Option<Server> {
    for url in urls {
        if let Some(server) = describe_one(url).await {
            return Some(server);
        }
    }
    None
}

async fn describe_one(url: &str) -> Option<Server> {
    if url.starts_with("http://") {
        let version = etcd::version(url).await?;
        return Some(Server { version, settings: BTreeMap::new() });
    }
    let client = server::connect(url).await.ok()?;
    let info: String = client.custom(command("INFO"), vec!["server"]).await.ok()?;
    let version = version(&info)?;
    let mut settings = BTreeMap::new();
    for name in SETTINGS {
        // An operator may have taken CONFIG away from this user.
        let reply = client.custom::<BTreeMap<String, String>, _>(command("CONFIG"), vec!["GET", name]).await;
        settings.extend(reply.unwrap_or_default());
    }
    client.quit().await.unwrap_or_default();
    Some(Server { version, settings })
}

fn command(name: &'static str) -> CustomCommand {
    CustomCommand::new_static(name, ClusterHash::FirstKey, false)
}

/// A Valkey also gives a `redis_version`, for old clients' sake.
fn version(info: &str) -> Option<String> {
    let field =
        |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let valkey = field("valkey_version").map(|version| format!("valkey {version}"));
    valkey.or_else(|| field("redis_version").map(|version| format!("redis {version}")))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn tells_redis_from_valkey() {
        assert_eq!(version("# Server\r\nredis_version:7.0.15\r\n"), Some("redis 7.0.15".to_owned()));
        let valkey = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3\r\n";
        assert_eq!(version(valkey), Some("valkey 8.1.3".to_owned()));
        assert_eq!(version("nonsense"), None);
    }
}
