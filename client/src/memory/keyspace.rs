//! A Redis data set, as far as the script looks at one: values under keys, some of which expire.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{Left, Value};
use crate::protocol::ClientId;

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
            Some(Value::Line(_) | Value::OtherType) => Err(WrongType),
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

    /// `GET`, then `DEL`.
    pub(super) fn take_text(&mut self, key: &str, now_ms: u64) -> Option<String> {
        match self.remove(key, now_ms) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// `PEXPIRE`.
    pub(super) fn expire(&mut self, key: &str, ttl_ms: u64, now_ms: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.expires_ms = Some(now_ms.saturating_add(ttl_ms));
        }
    }

    /// `ZADD`: whether the client was not in the line before.
    pub(super) fn line_add(
        &mut self,
        key: &str,
        ticket: u64,
        client: ClientId,
        now_ms: u64,
    ) -> Result<bool, WrongType> {
        if !self.exists(key, now_ms) {
            self.set(key, Value::Line(BTreeSet::new()), None, now_ms);
        }
        let Some(line) = self.line(key, now_ms) else {
            return Err(WrongType);
        };
        let len = line.len();
        line.retain(|(_, other)| *other != client);
        let added = line.len() == len;
        line.insert((ticket, client));
        Ok(added)
    }

    /// `ZREM`: whether the client was in the line.
    pub(super) fn line_remove(&mut self, key: &str, client: ClientId, now_ms: u64) -> bool {
        let Some(line) = self.line(key, now_ms) else {
            return false;
        };
        let len = line.len();
        line.retain(|(_, other)| *other != client);
        let removed = line.len() < len;
        self.remove_if_empty(key);
        removed
    }

    /// `ZRANGE 0 0 WITHSCORES`.
    pub(super) fn line_first(&mut self, key: &str, now_ms: u64) -> Option<(u64, ClientId)> {
        self.line(key, now_ms)?.first().copied()
    }

    /// `ZREMRANGEBYRANK -1 -1`.
    pub(super) fn line_pop_last(&mut self, key: &str, now_ms: u64) -> Option<(u64, ClientId)> {
        let last = self.line(key, now_ms)?.pop_last();
        self.remove_if_empty(key);
        last
    }

    /// `ZCARD`.
    pub(super) fn line_len(&mut self, key: &str, now_ms: u64) -> usize {
        self.line(key, now_ms).map_or(0, |line| line.len())
    }

    /// `ZRANK`.
    pub(super) fn line_rank(&mut self, key: &str, client: ClientId, now_ms: u64) -> Option<usize> {
        self.line(key, now_ms)?.iter().position(|(_, other)| *other == client)
    }

    fn line(&mut self, key: &str, now_ms: u64) -> Option<&mut BTreeSet<(u64, ClientId)>> {
        match self.entries.get_mut(key).filter(|entry| entry.stands(now_ms)).map(|entry| &mut entry.value) {
            Some(Value::Line(line)) => Some(line),
            _ => None,
        }
    }

    fn remove_if_empty(&mut self, key: &str) {
        if self
            .entries
            .get(key)
            .is_some_and(|entry| matches!(&entry.value, Value::Line(line) if line.is_empty()))
        {
            self.entries.remove(key);
        }
    }

    /// Everything that stands, in the order of keys.
    pub(super) fn iter(&self, now_ms: u64) -> impl Iterator<Item = (&str, &Value, Left)> {
        let standing = self.entries.iter().filter(move |(_, entry)| entry.stands(now_ms));
        standing.map(move |(key, entry)| (key.as_str(), &entry.value, entry.left(now_ms)))
    }

    /// Removes what has expired.
    pub(super) fn remove_expired(&mut self, now_ms: u64) {
        self.entries.retain(|_, entry| entry.stands(now_ms));
    }

    fn entry(&self, key: &str, now_ms: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.stands(now_ms))
    }

    /// Removes what has expired, each time that the entries have doubled.
    fn sweep(&mut self, now_ms: u64) {
        if self.entries.len() >= self.sweep_len {
            self.remove_expired(now_ms);
            self.sweep_len = (self.entries.len() * 2).max(SWEEP_LEN_MIN);
        }
    }
}
