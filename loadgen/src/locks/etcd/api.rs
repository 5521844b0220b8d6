//! The few calls of etcd's API that a lock takes, by its JSON gateway. Each goes to one member; one that does not answer
//! makes the next call go to the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::timeout;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// More than any answer takes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody knows whether it was carried out.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The member said no.
    #[error("{0}")]
    Refused(String),
}

/// A lease, and the time that the servers gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) id: String,
    pub(super) ttl: Duration,
}

/// A key, and the revision in which it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) key: String,
    pub(super) seen_revision: u64,
}

/// The members, and a client of one's own.
pub(super) struct Api {
    urls: Vec<String>,
    /// Which of them is asked.
    current: AtomicUsize,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What a member says it is: `etcd 3.4.23`.
pub(crate) async fn version(url: &str) -> Option<String> {
    let api = Api::new(&[url.to_owned()], 0);
    let request =
        Request::get(format!("{}/version", url.trim_end_matches('/'))).body(Full::default()).ok()?;
    let response = timeout(CALL_TIMEOUT, api.client.request(request)).await.ok()?.ok()?;
    let body = timeout(CALL_TIMEOUT, response.into_body().collect()).await.ok()?.ok()?;
    let version: Value = serde_json::from_slice(&body.to_bytes()).ok()?;
    Some(format!("etcd {}", version["etcdserver"].as_str()?))
}

impl Api {
    /// Nodes begin with different members, so that each has its part of the work.
    pub(super) fn new(urls: &[String], first: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let urls = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Self { urls, current: AtomicUsize::new(first), client }
    }

    /// Whether a majority answers through this member.
    pub(super) async fn look(&self) -> Result<(), ApiError> {
        self.call("kv/range", &json!({ "key": encoded("leasehold") })).await.map(drop)
    }

    /// A lease of whole seconds, at least of this length; the servers may make it longer.
    pub(super) async fn grant(&self, ttl: Duration) -> Result<Lease, ApiError> {
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let reply = self.call("lease/grant", &json!({ "TTL": seconds.to_string() })).await?;
        let id = reply["ID"].as_str().ok_or_else(|| strange(&reply))?.to_owned();
        Ok(Lease { id, ttl: Duration::from_secs(number(&reply["TTL"]).ok_or_else(|| strange(&reply))?) })
    }

    /// False when there is no such lease any more.
    pub(super) async fn keep_alive(&self, lease: &str, within: Duration) -> Result<bool, ApiError> {
        let reply = self.call_within(within, "lease/keepalive", &json!({ "ID": lease })).await?;
        Ok(number(&reply["result"]["TTL"]).is_some_and(|ttl| ttl > 0))
    }

    pub(super) async fn revoke(&self, lease: &str) -> Result<(), ApiError> {
        self.call("lease/revoke", &json!({ "ID": lease })).await.map(drop)
    }

    /// Makes a key that goes with a lease: its revision.
    pub(super) async fn put(&self, key: &str, lease: &str) -> Result<u64, ApiError> {
        let reply = self.call("kv/put", &json!({ "key": encoded(key), "lease": lease })).await?;
        revision(&reply)
    }

    /// Of the keys under a name that are older than `revision`, the youngest.
    pub(super) async fn last_before(&self, name: &str, revision: u64) -> Result<Option<Seen>, ApiError> {
        // A slash ends the name; the character after it ends the range.
        let (from, to) = (encoded(&format!("{name}/")), encoded(&format!("{name}0")));
        let asked = json!({
            "key": from, "range_end": to, "max_create_revision": (revision - 1).to_string(), "limit": "1",
            "sort_target": "CREATE", "sort_order": "DESCEND", "keys_only": true,
        });
        let reply = self.call("kv/range", &asked).await?;
        let Some(key) = reply["kvs"][0]["key"].as_str() else { return Ok(None) };
        let key = STANDARD.decode(key).ok().and_then(|key| String::from_utf8(key).ok());
        Ok(Some(Seen { key: key.ok_or_else(|| strange(&reply))?, seen_revision: self::revision(&reply)? }))
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, ApiError> {
        let reply = self.call("kv/range", &json!({ "key": encoded(key), "count_only": true })).await?;
        Ok(number(&reply["count"]).is_some_and(|count| count > 0))
    }

    /// Of all calls this one may be made twice, so every member gets to hear it if need be.
    pub(super) async fn delete(&self, key: &str) -> Result<(), ApiError> {
        let mut deleted = Err(ApiError::Refused("there is no member".to_owned()));
        for _ in &self.urls {
            deleted = self.call("kv/deleterange", &json!({ "key": encoded(key) })).await;
            if deleted.is_ok() {
                break;
            }
        }
        deleted.map(drop)
    }

    /// Returns when a key is deleted at `revision` or later. The caller bounds the time.
    pub(super) async fn deleted(&self, key: &str, revision: u64) -> Result<(), ApiError> {
        let asked = json!({ "create_request": {
            "key": encoded(key), "start_revision": revision.to_string(), "filters": ["NOPUT"],
        } });
        let mut body = self.send("watch", &asked).await?.into_body();
        let mut line = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.no_answer(&error))?;
            line.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
            while let Some(end) = line.iter().position(|&byte| byte == b'\n') {
                let told: Value =
                    serde_json::from_slice(&line[..end]).map_err(|error| self.no_answer(&error))?;
                line.drain(..=end);
                let result = &told["result"];
                if result["events"].is_array() || result["canceled"] == true || !told["error"].is_null() {
                    // Whoever asked looks again in any case.
                    return Ok(());
                }
            }
            if line.len() > LINE_BYTES_MAX {
                return Err(ApiError::Refused("an endless answer".to_owned()));
            }
        }
        Err(self.no_answer(&"the watch ended"))
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call_within(CALL_TIMEOUT, path, body).await
    }

    async fn call_within(&self, within: Duration, path: &str, body: &Value) -> Result<Value, ApiError> {
        let answered = async {
            let response = self.send(path, body).await?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| self.no_answer(&error))?;
            let reply: Value =
                serde_json::from_slice(&body.to_bytes()).map_err(|error| self.no_answer(&error))?;
            if status.is_success() { Ok(reply) } else { Err(self.refused(&reply)) }
        };
        timeout(within, answered).await.unwrap_or_else(|_| Err(self.no_answer(&"not in time")))
    }

    async fn send(&self, path: &str, body: &Value) -> Result<Response<Incoming>, ApiError> {
        let at = self.current.load(Ordering::Relaxed) % self.urls.len().max(1);
        let url = self.urls.get(at).ok_or_else(|| ApiError::Refused("there is no member".to_owned()))?;
        let request = Request::post(format!("{url}/v3/{path}")).body(Full::from(body.to_string()));
        let request = request.map_err(|error| ApiError::Refused(error.to_string()))?;
        self.client.request(request).await.map_err(|error| self.no_answer(&reasons(&error)))
    }

    /// The next call goes to the next member.
    fn no_answer(&self, because: &dyn std::fmt::Display) -> ApiError {
        self.current.fetch_add(1, Ordering::Relaxed);
        ApiError::NoAnswer(because.to_string())
    }

    /// A member may refuse because it has no leader; another may have one.
    fn refused(&self, reply: &Value) -> ApiError {
        self.current.fetch_add(1, Ordering::Relaxed);
        let message = ["message", "error"].iter().find_map(|field| reply[*field].as_str());
        ApiError::Refused(message.map_or_else(|| reply.to_string(), str::to_owned))
    }
}

/// The crate keeps the reason behind a general word.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    text
}

fn encoded(key: &str) -> String {
    STANDARD.encode(key)
}

/// Numbers of 64 bits travel as strings.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn revision(reply: &Value) -> Result<u64, ApiError> {
    number(&reply["header"]["revision"]).ok_or_else(|| strange(reply))
}

fn strange(reply: &Value) -> ApiError {
    ApiError::Refused(format!("a strange answer: {reply}"))
}
