//! Endpoints in this process's memory: the same operations as the script, for users' tests and for a first look.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{self, BoxFuture};
use tokio::sync::watch;

use crate::endpoint::{Admission, CallError, Connection, Endpoint, Records};
use crate::protocol::operation::{Action, Operation, Reply};
use crate::protocol::time::{Moment, NS_PER_MS};
use crate::protocol::validity::QUARANTINE_MS;
use crate::protocol::wire::{AdmitReply, BatchReply};
use crate::protocol::{Fence, QuorumError};
use crate::scripts::Settings;
use crate::{Quorum, clock, lock};

/// How far a proposal may be from the endpoint's clock.
const PROPOSAL_SLACK_US: u64 = 4_000_000;
/// Tokens stay below 2^53, as on a real endpoint.
const TOKEN_END: u64 = 1 << 53;

/// A set of endpoints in memory. Clones share them, so that several clients can meet there.
#[derive(Clone, Debug)]
pub struct MemoryEndpoints {
    servers: Vec<MemoryServer>,
}

/// One of them, as an operator or another program would reach it.
#[derive(Clone)]
pub struct MemoryServer {
    label: String,
    store: Arc<Mutex<Store>>,
    connection: watch::Sender<Connection>,
}

#[derive(Default)]
struct Store {
    /// Changes with every restart, as a real server's run id does.
    run: u64,
    /// The newest connection.
    epoch: u64,
    strings: HashMap<String, Text>,
    fences: HashMap<u32, u64>,
    member: Option<Arc<str>>,
    quarantined_until: Moment,
    /// How far its clock is from this process's.
    clock_offset_us: i64,
}

struct Text {
    value: String,
    /// `None`: it stays, and is not a lock.
    expires: Option<Moment>,
}

impl MemoryEndpoints {
    /// `count` endpoints that have never voted: clients may begin at once.
    ///
    /// # Errors
    /// The count must be odd, as for real servers.
    pub fn new(count: usize) -> Result<Self, QuorumError> {
        let quorum = Quorum::new(count)?;
        let servers = quorum.ids().map(|id| MemoryServer::new(id.index())).collect();
        Ok(Self { servers })
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.servers.len()
    }

    /// Never: a set has at least one endpoint.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// One of them, by place.
    #[must_use]
    pub fn server(&self, index: usize) -> Option<&MemoryServer> {
        self.servers.get(index)
    }

    pub(crate) fn endpoints(&self, settings: &Settings) -> Vec<Arc<dyn Endpoint>> {
        let endpoint = |server: &MemoryServer| -> Arc<dyn Endpoint> {
            Arc::new(MemoryEndpoint { server: server.clone(), settings: settings.clone() })
        };
        self.servers.iter().map(endpoint).collect()
    }
}

impl MemoryServer {
    fn new(index: usize) -> Self {
        let (connection, _) = watch::channel(Connection::Up { epoch: 0 });
        Self { label: format!("memory:{index}"), store: Arc::default(), connection }
    }

    /// `SET key value NX PX ttl`, as a program without leases would take a lock: whether it was free. The key is the whole
    /// one, `lh:lock:name` by default.
    #[must_use]
    pub fn set_nx_px(&self, key: &str, value: &str, ttl: Duration) -> bool {
        let mut store = lock(&self.store);
        let now = clock::now();
        if store.text(key, now).is_some() {
            return false;
        }
        let expires = now.plus_ns(u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX));
        store.strings.insert(key.to_owned(), Text { value: value.to_owned(), expires: Some(expires) });
        true
    }

    /// `GET key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        lock(&self.store).text(key, clock::now()).map(|text| text.value.clone())
    }

    /// `GETDEL key`: what stood there.
    pub fn del(&self, key: &str) -> Option<String> {
        let mut store = lock(&self.store);
        store.text(key, clock::now())?;
        store.strings.remove(key).map(|text| text.value)
    }

    /// Restarts it without its data: it forgets every vote, and clients quarantine it.
    pub fn restart_empty(&self) {
        let mut store = lock(&self.store);
        *store = Store { run: store.run + 1, epoch: store.epoch, ..Store::default() };
        let next = store.next_epoch();
        drop(store);
        self.connection.send_modify(|connection| {
            if let Connection::Up { epoch } = connection {
                *epoch = next;
            }
        });
    }

    /// Steps its clock: forwards, or backwards if negative. What it holds expires that much sooner, or later.
    pub fn step_clock(&self, step_ms: i64) {
        let mut store = lock(&self.store);
        store.clock_offset_us = store.clock_offset_us.saturating_add(step_ms.saturating_mul(1_000));
        let step_ns = step_ms.unsigned_abs().saturating_mul(NS_PER_MS);
        let stepped = |at: Moment| if step_ms > 0 { at.minus_ns(step_ns) } else { at.plus_ns(step_ns) };
        for text in store.strings.values_mut() {
            text.expires = text.expires.map(stepped);
        }
        store.quarantined_until = stepped(store.quarantined_until);
    }

    /// Breaks every client's connection to it.
    pub fn disconnect(&self) {
        self.connection.send_replace(Connection::Down("disconnected".into()));
    }

    /// Lets clients reach it again.
    pub fn reconnect(&self) {
        let epoch = lock(&self.store).next_epoch();
        self.connection.send_replace(Connection::Up { epoch });
    }
}

impl fmt::Debug for MemoryServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryServer").field("label", &self.label).finish_non_exhaustive()
    }
}

/// One client's view of one server.
struct MemoryEndpoint {
    server: MemoryServer,
    settings: Settings,
}

impl MemoryEndpoint {
    fn key(&self, kind: &str, operation: &Operation) -> String {
        format!("{}:{kind}:{}", self.settings.namespace, operation.name)
    }

    fn reachable(&self) -> Result<(), CallError> {
        match &*self.server.connection.borrow() {
            Connection::Up { .. } => Ok(()),
            Connection::Down(reason) => Err(CallError::Unknown(Arc::clone(reason))),
            Connection::Connecting => Err(CallError::Unknown("not connected yet".into())),
        }
    }

    fn run_now(&self, member: &str, operations: &[Operation]) -> Result<BatchReply, CallError> {
        self.reachable()?;
        let mut store = lock(&self.server.store);
        if store.member.as_deref() != Some(member) {
            return Ok(BatchReply::NotAdmitted("the record of its admission is gone or another".into()));
        }
        let now = clock::now();
        let server_time_us = clock::wall_us().saturating_add_signed(store.clock_offset_us);
        let apply = |operation: &Operation| {
            let (key, shadow) = (self.key("lock", operation), self.key("shadow", operation));
            let mut view = View { store: &mut store, key, shadow, now, server_time_us };
            view.apply(operation, self.settings.ttl_ms_max)
        };
        Ok(BatchReply::Done { server_time_us, replies: operations.iter().map(apply).collect() })
    }

    fn admit_now(&self, admission: Admission, set: &str) -> Result<AdmitReply, CallError> {
        self.reachable()?;
        let mut store = lock(&self.server.store);
        let now = clock::now();
        if admission == Admission::Durable {
            return Ok(AdmitReply::Refused("an endpoint in memory keeps nothing".into()));
        }
        // Born empty and never restarted: nothing can have been forgotten.
        let never_voted = store.member.is_none() && store.run == 0;
        let fresh = never_voted || admission == Admission::Fresh;
        let label = self.server.label.replace(':', "-");
        let member: Arc<str> = format!("{} set={set} run={label}-{}", self.settings.text(), store.run).into();
        if let Some(found) = &store.member {
            if admission == Admission::Fresh {
                return Ok(AdmitReply::Refused("the server was admitted before".into()));
            }
            if admission != Admission::Reconfigure && !found.starts_with(&self.settings.text()) {
                let reason =
                    format!("the server was admitted with other settings ({found}); make them agree");
                return Ok(AdmitReply::Refused(reason.into()));
            }
        }
        let unknown = store.member.is_none() && !fresh;
        if unknown || matches!(admission, Admission::Distrust | Admission::Reconfigure) {
            store.quarantined_until = now.plus_ms(QUARANTINE_MS.into());
        }
        store.member = Some(Arc::clone(&member));
        Ok(AdmitReply::Admitted {
            server_time_us: clock::wall_us(),
            member,
            quarantined_ms: store.quarantine_left_ms(now),
        })
    }
}

impl Endpoint for MemoryEndpoint {
    fn label(&self) -> &str {
        &self.server.label
    }

    fn connection(&self) -> watch::Receiver<Connection> {
        self.server.connection.subscribe()
    }

    fn run<'a>(
        &'a self,
        member: &'a str,
        operations: &'a [Operation],
        _timeout_ms: u32,
    ) -> BoxFuture<'a, Result<BatchReply, CallError>> {
        future::ready(self.run_now(member, operations)).boxed()
    }

    fn admit<'a>(
        &'a self,
        admission: Admission,
        set: &'a str,
        _timeout_ms: u32,
    ) -> BoxFuture<'a, Result<AdmitReply, CallError>> {
        future::ready(self.admit_now(admission, set)).boxed()
    }

    fn records(&self, _timeout_ms: u32) -> BoxFuture<'_, Result<Records, CallError>> {
        let prefix = format!("{}:lock:", self.settings.namespace);
        let mut store = lock(&self.server.store);
        let now = clock::now();
        store.strings.retain(|_, text| text.stands(now));
        let records = Records {
            member: store.member.as_deref().map(str::to_owned),
            quarantine: (store.quarantine_left_ms(now) > 0).then(|| "it may have forgotten votes".to_owned()),
            lock: store.strings.keys().find(|key| key.starts_with(&prefix)).cloned(),
        };
        future::ready(self.reachable().map(|()| records)).boxed()
    }

    fn setting<'a>(
        &'a self,
        _name: &'a str,
        _timeout_ms: u32,
    ) -> BoxFuture<'a, Result<Option<String>, CallError>> {
        future::ready(Ok(None)).boxed()
    }
}

impl Text {
    fn stands(&self, now: Moment) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

impl Store {
    /// What stands under a key; what has expired is removed.
    fn text(&mut self, key: &str, now: Moment) -> Option<&mut Text> {
        if self.strings.get(key).is_some_and(|text| !text.stands(now)) {
            self.strings.remove(key);
        }
        self.strings.get_mut(key)
    }

    fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    fn quarantine_left_ms(&self, now: Moment) -> u64 {
        self.quarantined_until.ns_since(now).div_ceil(NS_PER_MS)
    }
}

/// One operation's view of the store. Each arm says what the script's operation of the same name says.
struct View<'a> {
    store: &'a mut Store,
    key: String,
    shadow: String,
    now: Moment,
    server_time_us: u64,
}

impl View<'_> {
    fn apply(&mut self, operation: &Operation, ttl_ms_max: u32) -> Reply {
        let stripe = operation.name.stripe();
        let owner = operation.owner.to_string();
        match operation.action {
            Action::Acquire { ttl_ms, .. }
            | Action::Extend { ttl_ms, .. }
            | Action::Heal { ttl_ms, .. }
            | Action::Shadow { ttl_ms }
                if ttl_ms > ttl_ms_max =>
            {
                Reply::TtlTooLong { max_ms: ttl_ms_max.into() }
            }
            Action::Acquire { ttl_ms, proposal } => self.acquire(&owner, stripe, ttl_ms, proposal),
            Action::Extend { ttl_ms, fence } => self.extend(&owner, stripe, ttl_ms, fence),
            Action::Heal { ttl_ms, fence } => {
                if let Some(Err(reply)) = self.shadow_of(&owner) {
                    return reply;
                }
                if self.standing(&owner).is_some() {
                    return self.extend(&owner, stripe, ttl_ms, fence);
                }
                self.write_lock(&owner, fence, ttl_ms);
                self.lift_stripe(stripe, fence);
                self.yes(fence)
            }
            Action::Shadow { ttl_ms } => self.cast_shadow(&owner, ttl_ms),
            Action::Raise { fence } => match self.standing(&owner) {
                None => Reply::Missing,
                Some(Err(reply)) => reply,
                Some(Ok(held)) if held > fence => Reply::Superseded,
                Some(Ok(_)) => {
                    if let Some(text) = self.store.text(&self.key, self.now) {
                        text.value = format!("{owner}:{fence}");
                    }
                    self.lift_stripe(stripe, fence);
                    self.yes(fence)
                }
            },
            Action::Validate => match self.standing(&owner) {
                Some(Ok(fence)) => self.yes(fence),
                Some(Err(reply)) => reply,
                None => match self.shadow_of(&owner) {
                    None => Reply::Missing,
                    Some(Err(reply)) => reply,
                    Some(Ok(())) => self.yes(Fence::new(0)),
                },
            },
            Action::Release => self.release(&owner),
        }
    }

    fn release(&mut self, owner: &str) -> Reply {
        let own_shadow = matches!(self.shadow_of(owner), Some(Ok(())));
        if own_shadow {
            self.store.strings.remove(&self.shadow);
        }
        match self.standing(owner) {
            Some(Ok(_)) => {
                self.store.strings.remove(&self.key);
                Reply::Released
            }
            _ if own_shadow => Reply::Released,
            None => Reply::Missing,
            Some(Err(reply)) => reply,
        }
    }

    fn cast_shadow(&mut self, owner: &str, ttl_ms: u32) -> Reply {
        if let Some(Err(reply)) = self.standing(owner) {
            return reply;
        }
        if let Some(Err(reply)) = self.shadow_of(owner) {
            return reply;
        }
        let asked = self.now.plus_ms(ttl_ms.into());
        let left = self.store.text(&self.shadow, self.now).and_then(|text| text.expires);
        let expires = Some(left.map_or(asked, |left| left.max(asked)));
        self.store.strings.insert(self.shadow.clone(), Text { value: owner.to_owned(), expires });
        self.yes(Fence::new(0))
    }

    fn acquire(&mut self, owner: &str, stripe: u32, ttl_ms: u32, proposal: u64) -> Reply {
        let left_ms = self.store.quarantine_left_ms(self.now);
        if left_ms > 0 {
            return Reply::Quarantined { left_ms };
        }
        if let Some(Err(reply)) = self.shadow_of(owner) {
            return reply;
        }
        match self.standing(owner) {
            Some(Ok(fence)) => return Reply::Granted { fence },
            Some(Err(reply)) => return reply,
            None => {}
        }
        let time_us = self.server_time_us;
        let proposal = proposal
            .clamp(time_us.saturating_sub(PROPOSAL_SLACK_US), time_us.saturating_add(PROPOSAL_SLACK_US));
        let last = self.store.fences.get(&stripe).copied().unwrap_or(0);
        let token = proposal.max(last + 1);
        if token >= TOKEN_END {
            return Reply::Refused(format!("stripe {stripe} has run out of tokens").into());
        }
        self.store.fences.insert(stripe, token);
        let fence = Fence::new(token);
        self.write_lock(owner, fence, ttl_ms);
        Reply::Granted { fence }
    }

    fn extend(&mut self, owner: &str, stripe: u32, ttl_ms: u32, fence: Fence) -> Reply {
        match self.standing(owner) {
            None => Reply::Missing,
            Some(Err(reply)) => reply,
            Some(Ok(_)) => {
                let asked = self.now.plus_ms(ttl_ms.into());
                if let Some(text) = self.store.text(&self.key, self.now) {
                    text.expires = text.expires.map(|expires| expires.max(asked));
                }
                self.lift_stripe(stripe, fence);
                self.yes(fence)
            }
        }
    }

    /// The own lock's token, or what to answer about what is in the way; `None` where nothing stands.
    fn standing(&mut self, owner: &str) -> Option<Result<Fence, Reply>> {
        let now = self.now;
        let text = self.store.text(&self.key, now)?;
        let own = text.value.strip_prefix(owner).and_then(|rest| rest.strip_prefix(':')?.parse().ok());
        Some(match (own, text.expires) {
            (Some(token), _) => Ok(Fence::new(token)),
            (None, Some(expires)) => Err(Reply::Held { left_ms: expires.ns_since(now).div_ceil(NS_PER_MS) }),
            (None, None) => Err(Reply::NotALock),
        })
    }

    /// Whether the shadow is the owner's, or what to answer about another's; `None` where none stands.
    fn shadow_of(&mut self, owner: &str) -> Option<Result<(), Reply>> {
        let now = self.now;
        let text = self.store.text(&self.shadow, now)?;
        let left_ms = text.expires.map_or(0, |expires| expires.ns_since(now).div_ceil(NS_PER_MS));
        Some(if text.value == owner { Ok(()) } else { Err(Reply::Held { left_ms }) })
    }

    fn write_lock(&mut self, owner: &str, fence: Fence, ttl_ms: u32) {
        let text = Text { value: format!("{owner}:{fence}"), expires: Some(self.now.plus_ms(ttl_ms.into())) };
        self.store.strings.insert(self.key.clone(), text);
    }

    fn lift_stripe(&mut self, stripe: u32, fence: Fence) {
        let last = self.store.fences.entry(stripe).or_default();
        *last = (*last).max(fence.get());
    }

    fn yes(&self, fence: Fence) -> Reply {
        match self.store.quarantine_left_ms(self.now) {
            0 => Reply::Granted { fence },
            left_ms => Reply::Quarantined { left_ms },
        }
    }
}
