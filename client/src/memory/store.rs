//! What one endpoint keeps and answers: `scripts/lease.lua` in Rust, operation by operation, and the little of a server that
//! it looks at. A differential test holds the two equal.
//!
//! Pure and deterministic: no clock, no lock, no runtime. The server's own clock comes in with each call, and with it
//! expiry: a stepped clock needs no call of its own. So a simulation can own every bit of time and order. Public for simulations, with
//! no promise of stability.

use std::fmt;
use std::sync::Arc;

use super::keyspace::{Keyspace, WrongType};
use crate::protocol::call::Admission;
use crate::protocol::operation::{Action, Operation, Reply};
use crate::protocol::validity::QUARANTINE_MS;
use crate::protocol::wire::{AdmitReply, BatchReply};
use crate::protocol::{Fence, OwnerId};
use crate::scripts::Settings;

/// How far a proposal may be from the endpoint's clock.
const PROPOSAL_SLACK_US: u64 = 4_000_000;
/// Tokens stay below 2^53, where a server's script counts exactly.
const TOKEN_END: u64 = 1 << 53;
/// The id of a set that nobody has declared.
const SET_UNKNOWN: &str = "-";

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A list, a hash or the like: whatever is no text.
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
        let mut batch = Batch::new(&mut self.keys, settings, server_time_us);
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
struct Refusal(Arc<str>);

fn refuse<T>(reason: impl Into<Arc<str>>) -> Result<T, Refusal> {
    Err(Refusal(reason.into()))
}

impl From<WrongType> for Refusal {
    fn from(WrongType: WrongType) -> Self {
        Self("WRONGTYPE Operation against a key holding the wrong kind of value".into())
    }
}

/// How long an endpoint still gives no votes. A quarantine without expiry was set by hand: it lasts.
fn quarantine_left_ms(keys: &Keyspace, settings: &Settings, now_ms: u64) -> u64 {
    match keys.left(&settings.quarantine_key(), now_ms) {
        Left::Nothing => 0,
        Left::Forever => QUARANTINE_MS.into(),
        Left::Ms(left_ms) => left_ms.max(1),
    }
}

/// One batch's view of the server. Each operation says what the script's of the same name says, and reads and writes in the
/// same order.
struct Batch<'a> {
    keys: &'a mut Keyspace,
    settings: &'a Settings,
    server_time_us: u64,
    now_ms: u64,
    quarantine_ms: u64,
    /// Whether any shadow may stand.
    shadows: bool,
}

/// What stands in the way of an operation, as it is answered.
enum Standing<Own> {
    Nothing,
    Own(Own),
    Foreign(Reply),
}

/// An operation's own keys.
struct Target {
    lock: String,
    shadow: String,
    fence: String,
    owner: OwnerId,
}

impl<'a> Batch<'a> {
    fn new(keys: &'a mut Keyspace, settings: &'a Settings, server_time_us: u64) -> Self {
        let now_ms = server_time_us / 1_000;
        let quarantine_ms = quarantine_left_ms(keys, settings, now_ms);
        let shadows = keys.exists(&settings.shadows_key(), now_ms);
        Self { keys, settings, server_time_us, now_ms, quarantine_ms, shadows }
    }

    fn run(&mut self, operation: &Operation) -> Result<Reply, Refusal> {
        let Operation { name, owner, action } = operation;
        let target = Target {
            lock: self.settings.lock_key(name),
            shadow: self.settings.shadow_key(name),
            fence: self.settings.fence_key(name.stripe()),
            owner: *owner,
        };
        let ttl_ms_max = self.settings.ttl_ms_max;
        match *action {
            Action::Acquire { ttl_ms, .. }
            | Action::Extend { ttl_ms, .. }
            | Action::Heal { ttl_ms, .. }
            | Action::Shadow { ttl_ms }
                if ttl_ms > ttl_ms_max =>
            {
                Ok(Reply::TtlTooLong { max_ms: ttl_ms_max.into() })
            }
            Action::Acquire { ttl_ms, proposal } => self.acquire(&target, ttl_ms, proposal),
            Action::Extend { ttl_ms, fence } => self.extend(&target, ttl_ms, fence),
            Action::Heal { ttl_ms, fence } => self.heal(&target, ttl_ms, fence),
            Action::Raise { fence } => self.raise(&target, fence),
            Action::Shadow { ttl_ms } => self.shadow(&target, ttl_ms),
            Action::Validate => self.validate(&target),
            Action::Release => self.release(&target),
        }
    }

    fn acquire(&mut self, target: &Target, ttl_ms: u32, proposal: u64) -> Result<Reply, Refusal> {
        if self.quarantine_ms > 0 {
            return Ok(Reply::Quarantined { left_ms: self.quarantine_ms });
        }
        if let Standing::Foreign(reply) = self.shadow_of(target)? {
            return Ok(reply);
        }
        let (earliest, latest) = (
            self.server_time_us.saturating_sub(PROPOSAL_SLACK_US),
            self.server_time_us.saturating_add(PROPOSAL_SLACK_US),
        );
        let token = self.drawn(target)?.saturating_add(1).max(proposal.clamp(earliest, latest));
        if token >= TOKEN_END {
            return refuse(format!("key {} has run out of tokens", target.fence));
        }
        let fence = Fence::new(token);
        if self.keys.set_if_free(&target.lock, target.value(fence), ttl_ms.into(), self.now_ms) {
            self.write_stripe(target, fence);
            return Ok(Reply::Granted { fence });
        }
        Ok(match self.standing(target) {
            Standing::Own(held) => Reply::Granted { fence: held.token(target)? },
            Standing::Foreign(reply) => reply,
            Standing::Nothing => Reply::Missing,
        })
    }

    fn extend(&mut self, target: &Target, ttl_ms: u32, fence: Fence) -> Result<Reply, Refusal> {
        let drawn = self.drawn(target)?;
        Ok(match self.standing(target) {
            Standing::Nothing => Reply::Missing,
            Standing::Foreign(reply) => reply,
            Standing::Own(_) => {
                self.keys.prolong(&target.lock, ttl_ms.into(), self.now_ms);
                self.lift_stripe(target, drawn, fence);
                self.yes(fence)
            }
        })
    }

    fn heal(&mut self, target: &Target, ttl_ms: u32, fence: Fence) -> Result<Reply, Refusal> {
        if let Standing::Foreign(reply) = self.shadow_of(target)? {
            return Ok(reply);
        }
        let drawn = self.drawn(target)?;
        if self.keys.set_if_free(&target.lock, target.value(fence), ttl_ms.into(), self.now_ms) {
            self.lift_stripe(target, drawn, fence);
            return Ok(self.yes(fence));
        }
        self.extend(target, ttl_ms, fence)
    }

    fn raise(&mut self, target: &Target, fence: Fence) -> Result<Reply, Refusal> {
        let drawn = self.drawn(target)?;
        Ok(match self.standing(target) {
            Standing::Nothing => Reply::Missing,
            Standing::Foreign(reply) => reply,
            Standing::Own(held) if held.token(target)? > fence => Reply::Superseded,
            Standing::Own(_) => {
                self.keys.replace(&target.lock, target.value(fence));
                self.lift_stripe(target, drawn, fence);
                self.yes(fence)
            }
        })
    }

    fn shadow(&mut self, target: &Target, ttl_ms: u32) -> Result<Reply, Refusal> {
        if let Standing::Foreign(reply) = self.standing(target) {
            return Ok(reply);
        }
        if let Standing::Foreign(reply) = self.shadow_of(target)? {
            return Ok(reply);
        }
        self.set_for_longer(&self.settings.shadows_key(), "1".to_owned(), ttl_ms);
        self.set_for_longer(&target.shadow, target.owner.to_string(), ttl_ms);
        self.shadows = true;
        Ok(self.yes(Fence::new(0)))
    }

    fn validate(&self, target: &Target) -> Result<Reply, Refusal> {
        match self.standing(target) {
            Standing::Own(held) => return Ok(self.yes(held.token(target)?)),
            Standing::Foreign(reply) => return Ok(reply),
            Standing::Nothing => {}
        }
        Ok(match self.shadow_of(target)? {
            Standing::Nothing => Reply::Missing,
            Standing::Own(()) => self.yes(Fence::new(0)),
            Standing::Foreign(reply) => reply,
        })
    }

    fn release(&mut self, target: &Target) -> Result<Reply, Refusal> {
        let own_shadow = matches!(self.shadow_of(target)?, Standing::Own(()));
        if own_shadow {
            self.keys.remove(&target.shadow, self.now_ms);
        }
        Ok(match self.standing(target) {
            Standing::Own(_) => {
                self.keys.remove(&target.lock, self.now_ms);
                Reply::Released
            }
            _ if own_shadow => Reply::Released,
            Standing::Nothing => Reply::Missing,
            Standing::Foreign(reply) => reply,
        })
    }

    /// A yes; in quarantine the operation has been carried out, but the answer does not count.
    fn yes(&self, fence: Fence) -> Reply {
        match self.quarantine_ms {
            0 => Reply::Granted { fence },
            left_ms => Reply::Quarantined { left_ms },
        }
    }

    /// What stands under the lock's key.
    fn standing(&self, target: &Target) -> Standing<Held> {
        let held = match self.keys.text(&target.lock, self.now_ms) {
            Ok(None) => return Standing::Nothing,
            Ok(Some(held)) => held,
            Err(WrongType) => return Standing::Foreign(Reply::NotALock),
        };
        let own = held.strip_prefix(&target.owner.to_string()).and_then(|rest| rest.strip_prefix(':'));
        match (own, self.keys.left(&target.lock, self.now_ms)) {
            (Some(token), _) => Standing::Own(Held(token.parse().ok())),
            (None, Left::Ms(left_ms)) => Standing::Foreign(Reply::Held { left_ms }),
            (None, Left::Forever | Left::Nothing) => Standing::Foreign(Reply::NotALock),
        }
    }

    /// Whose shadow stands. One without expiry was set by hand: it lasts.
    fn shadow_of(&self, target: &Target) -> Result<Standing<()>, Refusal> {
        if !self.shadows {
            return Ok(Standing::Nothing);
        }
        let Some(found) = self.keys.text(&target.shadow, self.now_ms)? else {
            return Ok(Standing::Nothing);
        };
        if found == target.owner.to_string() {
            return Ok(Standing::Own(()));
        }
        let left_ms = match self.keys.left(&target.shadow, self.now_ms) {
            Left::Ms(left_ms) => left_ms,
            Left::Forever | Left::Nothing => self.settings.ttl_ms_max.into(),
        };
        Ok(Standing::Foreign(Reply::Held { left_ms }))
    }

    /// The largest token drawn from the stripe.
    fn drawn(&self, target: &Target) -> Result<u64, Refusal> {
        let Some(text) = self.keys.text(&target.fence, self.now_ms)? else {
            return Ok(0);
        };
        let no_token =
            |_| Refusal(format!("key {} does not hold a token; restore or delete it", target.fence).into());
        text.parse().map_err(no_token)
    }

    /// Nothing drawn later from this stripe will be as small as the token.
    fn lift_stripe(&mut self, target: &Target, drawn: u64, fence: Fence) {
        if drawn < fence.get() {
            self.write_stripe(target, fence);
        }
    }

    fn write_stripe(&mut self, target: &Target, fence: Fence) {
        self.keys.set(&target.fence, Value::Text(fence.to_string()), None, self.now_ms);
    }

    /// Sets a key to expire, no sooner than it would have.
    fn set_for_longer(&mut self, key: &str, text: String, ttl_ms: u32) {
        let left_ms = match self.keys.left(key, self.now_ms) {
            Left::Ms(left_ms) => left_ms,
            Left::Forever | Left::Nothing => 0,
        };
        self.keys.set(key, Value::Text(text), Some(left_ms.max(ttl_ms.into())), self.now_ms);
    }
}

impl Target {
    /// What the owner's lock holds.
    fn value(&self, fence: Fence) -> String {
        format!("{}:{fence}", self.owner)
    }
}

/// What stands after the owner in an own lock: its token, if it is one.
struct Held(Option<u64>);

impl Held {
    fn token(&self, target: &Target) -> Result<Fence, Refusal> {
        let no_token = || Refusal(format!("key {} does not hold a token; delete it", target.lock).into());
        self.0.map(Fence::new).ok_or_else(no_token)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::OtherType => f.write_str("(another type)"),
        }
    }
}
