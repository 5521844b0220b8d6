//! A Redis data set, as far as the script looks at one: values under keys, some of which expire.

use std::collections::BTreeMap;

use super::store::{Left, Value};

/// The values of one database. Time comes in, in milliseconds of the server's own clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyspace {
    entries: BTreeMap<String, Entry>,
    /// At how many entries those that have expired are looked for.
    sweep_len: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    /// `None`: it stays.
    expires_ms: Option<u64>,
}

/// A text was wanted under this key, and another type stands there.
pub(super) struct WrongType;

/// Fewer entries than this are never looked through.
const SWEEP_LEN_MIN: usize = 64;

impl Entry {
    /// As on a server, what expires now still stands.
    fn stands(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|expires_ms| now_ms <= expires_ms)
    }

    fn left(&self, now_ms: u64) -> Left {
        self.expires_ms.map_or(Left::Forever, |expires_ms| Left::Ms(expires_ms.saturating_sub(now_ms)))
    }
}

impl Keyspace {
    /// What stands under a key, and for how long.
    pub(super) fn get(&self, key: &str, now_ms: u64) -> Option<(&Value, Left)> {
        self.entry(key, now_ms).map(|entry| (&entry.value, entry.left(now_ms)))
    }

    /// `GET`.
    pub(super) fn text(&self, key: &str, now_ms: u64) -> Result<Option<&str>, WrongType> {
        match self.entry(key, now_ms).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::OtherType) => Err(WrongType),
        }
    }

    /// `PTTL`.
    pub(super) fn left(&self, key: &str, now_ms: u64) -> Left {
        self.entry(key, now_ms).map_or(Left::Nothing, |entry| entry.left(now_ms))
    }

    /// `EXISTS`.
    pub(super) fn exists(&self, key: &str, now_ms: u64) -> bool {
        self.entry(key, now_ms).is_some()
    }

    /// `SET`, with `PX` if a time to live is given. Whatever stood there goes.
    pub(super) fn set(&mut self, key: &str, value: Value, ttl_ms: Option<u64>, now_ms: u64) {
        self.sweep(now_ms);
        let expires_ms = ttl_ms.map(|ttl_ms| now_ms.saturating_add(ttl_ms));
        self.entries.insert(key.to_owned(), Entry { value, expires_ms });
    }

    /// `SET NX PX`: whether it was set.
    pub(super) fn set_if_free(&mut self, key: &str, text: String, ttl_ms: u64, now_ms: u64) -> bool {
        let free = !self.exists(key, now_ms);
        if free {
            self.set(key, Value::Text(text), Some(ttl_ms), now_ms);
        }
        free
    }

    /// `SET KEEPTTL`, of a key that stands.
    pub(super) fn replace(&mut self, key: &str, text: String) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.value = Value::Text(text);
        }
    }

    /// `PEXPIRE GT`: never shortens, and what stays, stays.
    pub(super) fn prolong(&mut self, key: &str, ttl_ms: u64, now_ms: u64) {
        if let Some(expires_ms) = self.entries.get_mut(key).and_then(|entry| entry.expires_ms.as_mut()) {
            *expires_ms = now_ms.saturating_add(ttl_ms).max(*expires_ms);
        }
    }

    /// `DEL`: what stood there.
    pub(super) fn remove(&mut self, key: &str, now_ms: u64) -> Option<Value> {
        self.entries.remove(key).filter(|entry| entry.stands(now_ms)).map(|entry| entry.value)
    }

    /// Everything that stands, in the order of keys.
    pub(super) fn iter(&self, now_ms: u64) -> impl Iterator<Item = (&str, &Value, Left)> {
        let standing = self.entries.iter().filter(move |(_, entry)| entry.stands(now_ms));
        standing.map(move |(key, entry)| (key.as_str(), &entry.value, entry.left(now_ms)))
    }

    /// Removes what has expired.
    pub(super) fn expire(&mut self, now_ms: u64) {
        self.entries.retain(|_, entry| entry.stands(now_ms));
    }

    fn entry(&self, key: &str, now_ms: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.stands(now_ms))
    }

    /// Removes what has expired, each time that the entries have doubled.
    fn sweep(&mut self, now_ms: u64) {
        if self.entries.len() >= self.sweep_len {
            self.expire(now_ms);
            self.sweep_len = (self.entries.len() * 2).max(SWEEP_LEN_MIN);
        }
    }
}
