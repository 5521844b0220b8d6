//! What one endpoint keeps and answers: `scripts/lease.lua` in Rust, operation by operation, and the little of a server that
//! it looks at. A differential test holds the two equal.
//!
//! Pure and deterministic: no clock, no lock, no runtime. The server's own clock comes in with each call, and with it
//! expiry: a stepped clock needs no call of its own. So a simulation can own every bit of time and order. Public for simulations, with
//! no promise of stability.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::batch::Batch;
use super::keyspace::{Keyspace, WrongType};
use super::waiting::Bells;
use crate::protocol::ClientId;
use crate::protocol::call::Admission;
use crate::protocol::operation::{HandOver, Operation, Reply};
use crate::protocol::validity::QUARANTINE_MS;
use crate::protocol::wire::{AdmitReply, BatchReply};
use crate::scripts::Settings;

/// The id of a set that nobody has declared.
const SET_UNKNOWN: &str = "-";

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// Who waits for a lock, by ticket.
    Line(BTreeSet<(u64, ClientId)>),
    /// A list, a hash or the like: whatever is neither.
    OtherType,
}

/// How long what stands under a key will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing stands there.
    Nothing,
    /// It has no expiry.
    Forever,
    /// So many milliseconds; it still stands at 0.
    Ms(u64),
}

/// What a server is to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// A master of its own, as an endpoint must be.
    #[default]
    Master,
    /// A master that others replicate.
    MasterWithReplicas,
    /// A replica.
    Replica,
}

/// One server: its data set, and who it is.
///
/// An *incarnation* is a number that no server of the same set had before, as a run id or a replication id is. It is given
/// at every start and promotion.
#[derive(Clone, Debug)]
pub struct Store {
    keys: Keyspace,
    role: Role,
    append_only: bool,
    run_id: String,
    replication_id: String,
    /// Whether it was promoted since it started: a second replication id stands.
    promoted: bool,
    bells: Bells,
}

impl Store {
    /// A server that has just started, empty.
    #[must_use]
    pub fn new(incarnation: u64) -> Self {
        let id = id(incarnation);
        Self {
            keys: Keyspace::default(),
            role: Role::Master,
            append_only: false,
            run_id: id.clone(),
            replication_id: id,
            promoted: false,
            bells: Bells::default(),
        }
    }

    /// Runs a batch in order, at this time of the server's clock in microseconds, for a caller who was admitted under this record.
    pub fn run(
        &mut self,
        settings: &Settings,
        member: &str,
        operations: &[Operation],
        server_time_us: u64,
    ) -> BatchReply {
        if let Some(reason) = self.stranger(settings, member, server_time_us / 1_000) {
            return BatchReply::NotAdmitted(reason.into());
        }
        let mut batch = Batch::new(&mut self.keys, &mut self.bells, settings, member, server_time_us);
        // An error in one operation leaves the others standing.
        let run = |operation| batch.run(operation).unwrap_or_else(|Refusal(reason)| Reply::Refused(reason));
        BatchReply::Done { server_time_us, replies: operations.iter().map(run).collect() }
    }

    /// Why this is not the server that was admitted under this record.
    fn stranger(&self, settings: &Settings, member: &str, now_ms: u64) -> Option<&'static str> {
        let record = self.keys.text(&settings.member_key(), now_ms).ok().flatten();
        if !member.starts_with(&settings.text()) || record != Some(member) {
            Some("the record of its admission is gone or another")
        } else if self.role == Role::Replica {
            Some("it is a replica now")
        } else if field(member, "replid") != Some(self.replication_id.as_str()) {
            Some("its data set was replaced")
        } else {
            None
        }
    }

    /// A client listens for hand-overs from here on, over a connection that a restart breaks.
    pub fn listen(&mut self, client: ClientId) {
        self.bells.listeners.insert(client);
    }

    /// A client listens no more.
    pub fn stop_listening(&mut self, client: ClientId) {
        self.bells.listeners.remove(&client);
    }

    /// The next word to a client that listens: a lock was given to it. Ask after each batch.
    pub fn poll_hand_over(&mut self) -> Option<HandOver> {
        self.bells.words.pop_front()
    }

    /// Looks at the server and admits it to the set of this id, `-` if it is not known, at this time of its clock.
    pub fn admit(
        &mut self,
        settings: &Settings,
        admission: Admission,
        set: &str,
        server_time_us: u64,
    ) -> AdmitReply {
        match self.try_admit(settings, admission, set, server_time_us / 1_000) {
            Ok(member) => AdmitReply::Admitted {
                server_time_us,
                member: member.into(),
                quarantined_ms: quarantine_left_ms(&self.keys, settings, server_time_us / 1_000),
            },
            Err(Refusal(reason)) => AdmitReply::Refused(reason),
        }
    }

    /// Gives the record of the admission.
    fn try_admit(
        &mut self,
        settings: &Settings,
        admission: Admission,
        known_set: &str,
        now_ms: u64,
    ) -> Result<String, Refusal> {
        self.check_role()?;
        let member_key = settings.member_key();
        let found = self.keys.text(&member_key, now_ms)?.map(str::to_owned);
        let mut record = Record { set: known_set, durable: false };
        if let Some(found) = &found {
            if admission == Admission::Fresh {
                return refuse(format!(
                    "the server was admitted before ({found}); only a brand-new set can be declared fresh"
                ));
            }
            record = agree(settings, admission, known_set, found)?;
        } else if admission == Admission::Fresh {
            let member = self.member(settings, record);
            self.keys.set(&member_key, Value::Text(member.clone()), None, now_ms);
            return Ok(member);
        }
        let same = found.as_ref().is_some_and(|found| found.ends_with(&self.identity()));
        record.durable = self.durable(admission, same, record.durable)?;
        // A restart of a durable server forgets nothing. A promotion does.
        let forgot = !same && (!record.durable || self.promoted);
        let reason = match admission {
            Admission::Distrust => Some("its clock ran or was stepped beyond the drift bound"),
            Admission::Reconfigure => Some("its settings were changed"),
            _ if found.is_none() => Some("no record of an admission"),
            _ => forgot.then_some("identity changed"),
        };
        let member = self.member(settings, record);
        if let Some(reason) = reason {
            let key = settings.quarantine_key();
            self.keys.set(&key, Value::Text(reason.to_owned()), Some(QUARANTINE_MS.into()), now_ms);
        }
        if found.as_ref() != Some(&member) {
            self.keys.set(&member_key, Value::Text(member.clone()), None, now_ms);
        }
        Ok(member)
    }

    fn check_role(&self) -> Result<(), Refusal> {
        match self.role {
            Role::Master => Ok(()),
            Role::Replica => refuse("the server is a replica; name an independent master instead"),
            Role::MasterWithReplicas => refuse(
                "the server has replicas; a promoted one would be a second voter for the same vote: detach them",
            ),
        }
    }

    /// Whether it is durable from here on: as declared, or as it was.
    fn durable(&self, admission: Admission, same: bool, was: bool) -> Result<bool, Refusal> {
        if admission != Admission::Durable {
            return Ok(was && self.append_only);
        }
        if !same {
            return refuse("the server has not been admitted since it started; let a client admit it first");
        }
        if !self.append_only {
            return refuse(
                "the server writes no append-only file; set appendonly yes and appendfsync always",
            );
        }
        Ok(true)
    }

    fn member(&self, settings: &Settings, record: Record<'_>) -> String {
        let Record { set, durable } = record;
        let durable = if durable { "yes" } else { "no" };
        format!("{} set={set} durable={durable}{}", settings.text(), self.identity())
    }

    fn identity(&self) -> String {
        format!(" replid={} run={}", self.replication_id, self.run_id)
    }

    /// Restarts it with all its data.
    pub fn restart(&mut self, incarnation: u64) {
        let data = std::mem::take(&mut self.keys);
        self.start_with(data, incarnation);
    }

    /// Restarts it without its data.
    pub fn restart_empty(&mut self, incarnation: u64) {
        self.start_with(Keyspace::default(), incarnation);
    }

    /// Restarts it with the data of an earlier moment: what was written since is forgotten.
    pub fn restart_from(&mut self, earlier: &Self, incarnation: u64) {
        self.start_with(earlier.keys.clone(), incarnation);
    }

    fn start_with(&mut self, keys: Keyspace, incarnation: u64) {
        let Self { role, append_only, .. } = *self;
        *self = Self { keys, role, append_only, ..Self::new(incarnation) };
    }

    /// `FLUSHALL`.
    pub fn flush(&mut self) {
        self.keys = Keyspace::default();
    }

    /// A replica with this data takes over at the server's address, or the server itself was a replica and is a master again.
    pub fn promote(&mut self, incarnation: u64) {
        self.role = Role::Master;
        self.replication_id = id(incarnation);
        self.promoted = true;
    }

    /// Removes what has expired, as a server does by itself before long. To be called before its clock is set back: what had
    /// expired would stand again.
    pub fn expire(&mut self, server_time_us: u64) {
        self.keys.remove_expired(server_time_us / 1_000);
    }

    /// Gives it another role.
    pub const fn set_role(&mut self, role: Role) {
        self.role = role;
    }

    /// Whether it writes an append-only file. It does not from the start.
    pub const fn set_append_only(&mut self, append_only: bool) {
        self.append_only = append_only;
    }

    /// What stands under a key, and for how long, as any program may ask.
    #[must_use]
    pub fn get(&self, key: &str, server_time_us: u64) -> Option<(&Value, Left)> {
        self.keys.get(key, server_time_us / 1_000)
    }

    /// Writes a key by hand, with a time to live or without.
    pub fn set(&mut self, key: &str, value: Value, ttl_ms: Option<u64>, server_time_us: u64) {
        self.keys.set(key, value, ttl_ms, server_time_us / 1_000);
    }

    /// Deletes a key by hand: what stood there.
    pub fn del(&mut self, key: &str, server_time_us: u64) -> Option<Value> {
        self.keys.remove(key, server_time_us / 1_000)
    }

    /// Everything that stands, in the order of keys.
    pub fn iter(&self, server_time_us: u64) -> impl Iterator<Item = (&str, &Value, Left)> {
        self.keys.iter(server_time_us / 1_000)
    }
}

/// Forty digits, as servers have them.
fn id(incarnation: u64) -> String {
    format!("{incarnation:040x}")
}

/// What a record of admission says besides settings and identity.
#[derive(Clone, Copy)]
struct Record<'a> {
    set: &'a str,
    durable: bool,
}

impl<'a> Record<'a> {
    /// The settings before it, and what it says.
    fn parse(text: &'a str) -> Option<(&'a str, Self)> {
        text.rmatch_indices(" set=").find_map(|(at, separator)| {
            let mut words = text[at + separator.len()..].splitn(3, ' ');
            let (set, durable, rest) =
                (words.next()?, words.next()?.strip_prefix("durable=")?, words.next()?);
            let whole = !set.is_empty() && !durable.is_empty() && rest.starts_with("replid=");
            whole.then(|| (&text[..at], Record { set, durable: durable == "yes" }))
        })
    }
}

/// Holds a caller's settings and set against the record that was found.
fn agree<'a>(
    settings: &Settings,
    admission: Admission,
    known_set: &'a str,
    found: &'a str,
) -> Result<Record<'a>, Refusal> {
    let parsed = Record::parse(found);
    let (found_settings, ours) = (parsed.map(|(settings, _)| settings), settings.text());
    if found_settings != Some(ours.as_str()) && admission != Admission::Reconfigure {
        let theirs = found_settings.unwrap_or(found);
        return refuse(format!(
            "the server was admitted with other settings ({theirs}) than this client's ({ours}); make them agree"
        ));
    }
    let Some((_, record)) = parsed else {
        return Ok(Record { set: known_set, durable: false });
    };
    let set = if known_set == SET_UNKNOWN { record.set } else { known_set };
    if record.set != SET_UNKNOWN && record.set != set {
        return refuse(format!(
            "the server belongs to another set ({}) than the other endpoints ({set}); correct the list of endpoints",
            record.set
        ));
    }
    Ok(Record { set, ..record })
}

/// The value after `key=` in a record of admission.
fn field<'a>(member: &'a str, key: &str) -> Option<&'a str> {
    member.rsplit(' ').find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

/// Why an operation or an admission was refused; nothing was written.
pub(super) struct Refusal(pub(super) Arc<str>);

pub(super) fn refuse<T>(reason: impl Into<Arc<str>>) -> Result<T, Refusal> {
    Err(Refusal(reason.into()))
}

impl From<WrongType> for Refusal {
    fn from(WrongType: WrongType) -> Self {
        Self("WRONGTYPE Operation against a key holding the wrong kind of value".into())
    }
}

/// How long an endpoint still gives no votes. A quarantine without expiry was set by hand: it lasts.
pub(super) fn quarantine_left_ms(keys: &Keyspace, settings: &Settings, now_ms: u64) -> u64 {
    match keys.left(&settings.quarantine_key(), now_ms) {
        Left::Nothing => 0,
        Left::Forever => QUARANTINE_MS.into(),
        Left::Ms(left_ms) => left_ms.max(1),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Line(line) => write!(f, "(a line of {})", line.len()),
            Self::OtherType => f.write_str("(another type)"),
        }
    }
}
