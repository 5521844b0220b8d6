//! One simulated server: the store that the script is proven equal to, a clock of its own, and a process that can die, hang,
//! forget and be replaced.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use leasehold::memory::store::{Left, Store, Value};
use leasehold::protocol::ClientId;
use leasehold::protocol::call::{Admission, CallError};
use leasehold::protocol::operation::{Action, Operation, Reply};
use leasehold::protocol::wire::{AdmitReply, BatchReply};
use leasehold::scripts::Settings;

use crate::hand_overs::HandOvers;
use crate::plan::{Data, ServerPlan};
use crate::sabotage::Control;
use crate::time::{At, Clock, NS_PER_MS};

/// How many earlier data sets are kept, and how far apart in time.
const EARLIER_LEN: usize = 64;
/// Between two of them.
pub(crate) const SNAPSHOT_MS: u64 = 400;
/// When servers' clocks begin, in microseconds since 1970.
const BEGIN_US: u64 = 1_763_806_000_000_000;

/// What a call asks.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Run { member: Arc<str>, operations: Vec<Operation> },
    Admit { admission: Admission, set: String },
}

/// What a call is told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Run(Result<BatchReply, CallError>),
    Admit(Result<AdmitReply, CallError>),
}

pub(crate) struct Server {
    pub(crate) settings: Rc<Settings>,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    plan: ServerPlan,
    /// Whether this process knows the script.
    script_known: bool,
    /// Counts processes: a connection leads to one of them.
    pub(crate) process: u64,
    /// Counts identities.
    identities: u64,
    /// How many faults keep it down, or standing still.
    pub(crate) down: u32,
    pub(crate) hung: u32,
    earlier: VecDeque<(At, u64, Store)>,
    pub(crate) sabotage: Option<Control>,
    /// The longest TTL that leases are asked for with.
    ttl_ms_high: u32,
    /// Who listens for what it is given.
    pub(crate) listeners: BTreeSet<ClientId>,
    pub(crate) hand_overs: HandOvers,
    /// Half of an admission that control splits in two: what is to be written, and in which process.
    pub(crate) second_write: Option<(u64, Arc<str>)>,
}

impl Server {
    pub(crate) fn new(
        settings: Rc<Settings>,
        plan: ServerPlan,
        place: usize,
        ttl_ms_high: u32,
        sabotage: Option<Control>,
    ) -> Self {
        let identities = (place as u64 + 1) << 32;
        let mut store = Store::new(identities);
        store.set_append_only(plan.durable);
        let begin_us = BEGIN_US.saturating_add_signed(plan.offset_us);
        Self {
            settings,
            store,
            clock: Clock::new(begin_us * 1_000, plan.rate_ppm),
            plan,
            script_known: false,
            process: 0,
            identities,
            down: 0,
            hung: 0,
            earlier: VecDeque::new(),
            sabotage,
            ttl_ms_high,
            listeners: BTreeSet::new(),
            hand_overs: HandOvers::default(),
            second_write: None,
        }
    }

    /// An operator's words, before the run begins.
    pub(crate) fn declare(&mut self, fresh: bool) {
        let time_us = self.time_us(At(0));
        if fresh {
            self.store.admit(&self.settings, Admission::Fresh, "sim", time_us);
        }
        if fresh && self.plan.durable {
            self.store.admit(&self.settings, Admission::Durable, "sim", time_us);
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.down == 0 && self.hung == 0
    }

    /// Its own clock, in microseconds since 1970.
    pub(crate) fn time_us(&self, now: At) -> u64 {
        self.clock.read_ns(now) / 1_000
    }

    /// Whether it gives no votes, by its own records.
    pub(crate) fn is_quarantined(&self, now: At) -> bool {
        self.store.get(&self.settings.quarantine_key(), self.time_us(now)).is_some()
    }

    /// What stands under the key of a name's lock, if it is a text.
    pub(crate) fn lock(&self, name: &leasehold::LeaseName, now: At) -> Option<&str> {
        match self.store.get(&self.settings.lock_key(name), self.time_us(now)) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands under a name.
    pub(crate) fn is_free(&self, name: &leasehold::LeaseName, now: At) -> bool {
        let time_us = self.time_us(now);
        let stands = |key: &str| self.store.get(key, time_us).is_some();
        !stands(&self.settings.lock_key(name)) && !stands(&self.settings.shadow_key(name))
    }

    /// Keys that neither membership nor tokens call for.
    pub(crate) fn litter(&self, now: At) -> Vec<String> {
        let fence = self.settings.fence_key(0);
        let fences = fence.trim_end_matches('0');
        let member = self.settings.member_key();
        let kept = |key: &str| key == member || key.starts_with(fences);
        let all = self.store.iter(self.time_us(now)).map(|(key, _, _)| key);
        all.filter(|key| !kept(key)).map(str::to_owned).collect()
    }

    /// Keeps the data set as it is now: a crash may bring it back.
    pub(crate) fn snapshot(&mut self, now: At) {
        if self.earlier.len() == EARLIER_LEN {
            self.earlier.pop_front();
        }
        self.earlier.push_back((now, self.process, self.store.clone()));
    }

    /// The newest data set that is at least so old.
    fn data_of(&self, at: At) -> Option<&(At, u64, Store)> {
        self.earlier.iter().rev().find(|(taken, ..)| *taken <= at).or_else(|| self.earlier.front())
    }

    /// The process is gone.
    pub(crate) fn die(&mut self) {
        self.forget_listeners();
        self.process += 1;
        self.script_known = false;
        self.second_write = None;
    }

    /// Another one begins.
    pub(crate) fn start(&mut self, now: At, data: Data) {
        let incarnation = self.next_identity();
        let earlier = match data {
            Data::Kept | Data::Lost => None,
            Data::LastSecondLost if self.plan.durable => None,
            Data::LastSecondLost => self.data_of(now),
            Data::Older { ms } => self.data_of(now.minus_ms(ms)),
        };
        match (data, earlier.map(|(.., store)| store.clone())) {
            (_, Some(earlier)) => self.store.restart_from(&earlier, incarnation),
            (Data::Lost, None) => self.store.restart_empty(incarnation),
            (_, None) => self.store.restart(incarnation),
        }
        // A durable server that comes back with anything but all its data was not durable.
        if !matches!(data, Data::Kept | Data::LastSecondLost) {
            self.store.set_append_only(false);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.store.flush();
    }

    /// A replica that is behind takes over.
    pub(crate) fn fail_over(&mut self, now: At, lag_ms: u64, within: bool) {
        let incarnation = self.next_identity();
        let process = self.process;
        let earlier = self.data_of(now.minus_ms(lag_ms)).cloned();
        if within {
            if let Some((_, _, earlier)) = earlier.filter(|(_, taken_in, _)| *taken_in == process) {
                self.store = earlier;
                self.restore_listeners();
            }
            if self.sabotage != Some(Control::RunIdOnly) {
                self.store.promote(incarnation);
            }
            return;
        }
        self.process += 1;
        self.second_write = None;
        self.forget_listeners();
        if let Some((.., earlier)) = earlier {
            self.store.restart_from(&earlier, incarnation);
        } else {
            self.store.restart(incarnation);
        }
        let promoted = self.next_identity();
        self.store.promote(promoted);
    }

    fn next_identity(&mut self) -> u64 {
        self.identities += 1;
        self.identities
    }

    /// Carries out a call.
    pub(crate) fn execute(&mut self, now: At, ask: &Ask) -> Told {
        let time_us = self.time_us(now);
        match ask {
            Ask::Admit { admission, set } => {
                self.script_known = true;
                Told::Admit(Ok(self.admit(*admission, set, time_us)))
            }
            Ask::Run { .. } if !self.script_known => Told::Run(Err(CallError::NoScript)),
            Ask::Run { member, operations } => {
                if self.listeners.is_empty() {
                    return Told::Run(Ok(self.run(member, operations, time_us)));
                }
                Told::Run(Ok(self.run_heard(member, operations, time_us)))
            }
        }
    }

    /// The second half of an admission that a control has split.
    pub(crate) fn write_second(&mut self, now: At) {
        let Some((process, member)) = self.second_write.take() else {
            return;
        };
        if process != self.process {
            return;
        }
        let time_us = self.time_us(now);
        match self.sabotage {
            Some(Control::MemberFirst) => {
                self.store.admit(&self.settings, Admission::Distrust, "sim", time_us);
            }
            _ => {
                let key = self.settings.member_key();
                self.store.set(&key, Value::Text(member.to_string()), None, time_us);
            }
        }
    }

    fn admit(&mut self, admission: Admission, set: &str, time_us: u64) -> AdmitReply {
        let was_quarantined = self.store.get(&self.settings.quarantine_key(), time_us).is_some();
        let mut reply = self.store.admit(&self.settings, admission, set, time_us);
        let AdmitReply::Admitted { member, quarantined_ms, .. } = &mut reply else {
            return reply;
        };
        if *quarantined_ms == 0 || was_quarantined {
            return reply;
        }
        let key = self.settings.quarantine_key();
        let shorter_ms = match self.sabotage {
            Some(Control::NoQuarantine) => 0,
            Some(Control::QuarantineBelowTtl) => u64::from(self.ttl_ms_high) / 4,
            Some(Control::QuarantineBelowShadow) => u64::from(self.ttl_ms_high) * 102 / 100 + 2,
            Some(Control::MemberFirst) => {
                self.second_write = Some((self.process, Arc::clone(member)));
                0
            }
            Some(Control::QuarantineFirst) => {
                self.second_write = Some((self.process, Arc::clone(member)));
                return reply;
            }
            _ => return reply,
        };
        self.store.del(&key, time_us);
        if shorter_ms > 0 {
            self.store.set(&key, Value::Text("shorter".into()), Some(shorter_ms), time_us);
        }
        *quarantined_ms = shorter_ms;
        reply
    }

    pub(crate) fn run(&mut self, member: &Arc<str>, operations: &[Operation], time_us: u64) -> BatchReply {
        let Some(control) = self.sabotage else {
            return self.store.run(&self.settings, member, operations, time_us);
        };
        let member = if control == Control::IdentityUnchecked {
            self.accepted_record(member, time_us)
        } else {
            Arc::clone(member)
        };
        if operations.is_empty() {
            return self.store.run(&self.settings, &member, operations, time_us);
        }
        let mut replies = Vec::new();
        for operation in operations {
            let before = self.prepare(control, operation, time_us);
            self.keep_back(control, operation, time_us);
            let reply = self.store.run(&self.settings, &member, std::slice::from_ref(operation), time_us);
            self.put_back(operation, time_us);
            match reply {
                BatchReply::Done { replies: one, .. } => {
                    let kept = one
                        .into_iter()
                        .map(|reply| self.finish(control, operation, reply, before.clone(), time_us));
                    replies.extend(kept.collect::<Vec<_>>());
                }
                not_admitted @ BatchReply::NotAdmitted(_) => return not_admitted,
            }
        }
        BatchReply::Done { server_time_us: time_us, replies }
    }

    /// A record that passes: an old one is taken for the server's own.
    fn accepted_record(&mut self, member: &Arc<str>, time_us: u64) -> Arc<str> {
        let key = self.settings.member_key();
        if self.store.del(&key, time_us).is_none() {
            return Arc::clone(member);
        }
        match self.store.admit(&self.settings, Admission::Fresh, "sim", time_us) {
            AdmitReply::Admitted { member: own, .. } => own,
            AdmitReply::Refused(_) => Arc::clone(member),
        }
    }

    /// What a control does before an operation. Gives what it needs after it.
    fn prepare(&mut self, control: Control, operation: &Operation, time_us: u64) -> Option<Value> {
        let Operation { name, owner, action } = operation;
        let fence_key = self.settings.fence_key(name.stripe());
        match (control, action) {
            (Control::ReleaseUnowned, Action::Release) => {
                self.store.del(&self.settings.lock_key(name), time_us)
            }
            (Control::ShadowIgnored, Action::Acquire { .. }) => {
                let key = self.settings.shadow_key(name);
                let foreign = self
                    .store
                    .get(&key, time_us)
                    .is_some_and(|(found, _)| found.to_string() != owner.to_string());
                if foreign { self.store.del(&key, time_us) } else { None }
            }
            (Control::ProposalUnclamped, Action::Acquire { proposal, .. }) => {
                let drawn = match self.store.get(&fence_key, time_us) {
                    Some((Value::Text(text), _)) => text.parse().unwrap_or(0),
                    _ => 0_u64,
                };
                if *proposal > drawn + 1 {
                    let text = (proposal - 1).to_string();
                    self.store.set(&fence_key, Value::Text(text), None, time_us);
                }
                None
            }
            (Control::StripeUnwritten, Action::Acquire { .. }) => {
                self.store.get(&fence_key, time_us).map(|(value, _)| value.clone())
            }
            _ => None,
        }
    }

    fn finish(
        &mut self,
        control: Control,
        operation: &Operation,
        reply: Reply,
        before: Option<Value>,
        time_us: u64,
    ) -> Reply {
        let Operation { name, owner, action } = operation;
        let quarantined = matches!(reply, Reply::Quarantined { .. });
        match (control, action) {
            (Control::ReleaseUnowned, Action::Release) if before.is_some() => Reply::Released,
            (Control::RaiseUnowned, Action::Raise { fence })
                if matches!(reply, Reply::Missing | Reply::Held { .. }) =>
            {
                Reply::Granted { fence: *fence }
            }
            (Control::HealCounts, Action::Heal { fence, .. })
            | (Control::ExtendCounts, Action::Extend { fence, .. })
                if quarantined =>
            {
                Reply::Granted { fence: *fence }
            }
            (Control::ShadowCounts, Action::Shadow { .. }) if quarantined => {
                Reply::Granted { fence: leasehold::Fence::new(0) }
            }
            (Control::StripeUnwritten, Action::Acquire { .. }) => {
                let key = self.settings.fence_key(name.stripe());
                match before {
                    Some(value) => self.store.set(&key, value, None, time_us),
                    None => drop(self.store.del(&key, time_us)),
                }
                reply
            }
            (Control::ExtendDeletesShadow, Action::Extend { .. })
                if matches!(reply, Reply::Granted { .. }) =>
            {
                let key = self.settings.shadow_key(name);
                let own = self
                    .store
                    .get(&key, time_us)
                    .is_some_and(|(found, _)| found.to_string() == owner.to_string());
                if own {
                    self.store.del(&key, time_us);
                }
                reply
            }
            (Control::ExtendShortens, Action::Extend { ttl_ms, .. })
                if matches!(reply, Reply::Granted { .. }) =>
            {
                let key = self.settings.lock_key(name);
                let standing = self.store.get(&key, time_us).map(|(value, left)| (value.clone(), left));
                if let Some((value, Left::Ms(_))) = standing {
                    self.store.set(&key, value, Some((*ttl_ms).into()), time_us);
                }
                reply
            }
            _ => reply,
        }
    }

    /// Its clock jumps.
    pub(crate) fn step_ms(&mut self, now: At, ms: i64) {
        self.clock.step_ns(now, ms.saturating_mul(i64::try_from(NS_PER_MS).unwrap_or(i64::MAX)));
    }

    /// Its clock runs at another rate from now on; `None`: at its own.
    pub(crate) fn set_rate(&mut self, now: At, rate_ppm: Option<i64>) {
        self.clock.set_rate(now, rate_ppm.unwrap_or(self.plan.rate_ppm));
    }
}
