//! The locks that a server gives to those in line: who listens for them, and whether what it says of them is so.

use std::collections::VecDeque;
use std::sync::Arc;

use leasehold::memory::store::{Left, Value};
use leasehold::protocol::operation::{Action, HandOver, Operation};
use leasehold::protocol::wire::BatchReply;
use leasehold::protocol::{ClientId, Fence, OwnerId};

use crate::sabotage::Control;
use crate::server::Server;

/// What a server has to say, and what was found wrong with it.
#[derive(Debug, Default)]
pub(crate) struct HandOvers {
    untold: VecDeque<HandOver>,
    finding: Option<String>,
    /// What a control keeps from an operation: why the server gives no votes, or until when a lock stands.
    pub(crate) kept: Option<(Value, Left)>,
}

impl Server {
    /// A client listens for what it is given.
    pub(crate) fn listen(&mut self, client: ClientId) {
        self.listeners.insert(client);
        self.store.listen(client);
    }

    /// A client listens no more.
    pub(crate) fn stop_listening(&mut self, client: ClientId) {
        self.listeners.remove(&client);
        self.store.stop_listening(client);
    }

    /// A process is gone, and whoever was connected to it is not.
    pub(crate) fn forget_listeners(&mut self) {
        for client in std::mem::take(&mut self.listeners) {
            self.store.stop_listening(client);
        }
    }

    /// Another data set came under the process: who listens is the process's affair.
    pub(crate) fn restore_listeners(&mut self) {
        while self.store.poll_hand_over().is_some() {}
        for &client in &self.listeners {
            self.store.listen(client);
        }
    }

    /// Carries out a batch one operation at a time, so that each word is held against what stands before the next operation may
    /// change it.
    pub(crate) fn run_heard(
        &mut self,
        member: &Arc<str>,
        operations: &[Operation],
        time_us: u64,
    ) -> BatchReply {
        let mut all = Vec::with_capacity(operations.len());
        for operation in operations {
            match self.run(member, std::slice::from_ref(operation), time_us) {
                BatchReply::Done { replies, .. } => all.extend(replies),
                not_admitted @ BatchReply::NotAdmitted(_) => return not_admitted,
            }
            while let Some(word) = self.store.poll_hand_over() {
                let second = self.second(&word, time_us);
                for word in std::iter::once(word).chain(second) {
                    self.look_at(&word, time_us);
                    self.hand_overs.untold.push_back(word);
                }
            }
        }
        if operations.is_empty() {
            return self.run(member, operations, time_us);
        }
        BatchReply::Done { server_time_us: time_us, replies: all }
    }

    /// The next word that has not been told.
    pub(crate) fn poll_hand_over(&mut self) -> Option<HandOver> {
        self.hand_overs.untold.pop_front()
    }

    /// What is said must be so, and no vote of a quarantine.
    fn look_at(&mut self, word: &HandOver, time_us: u64) {
        let HandOver { name, owner, fence, .. } = word;
        let lock = self.store.get(&self.settings.lock_key(name), time_us).map(|(value, _)| value.to_string());
        let what = if self.store.get(&self.settings.quarantine_key(), time_us).is_some() {
            "though it gives no votes"
        } else if lock != Some(format!("{owner}:{fence}")) {
            "though it has not"
        } else {
            return;
        };
        self.hand_overs.finding = Some(format!("said that it had given {name} to {owner}, {what}"));
    }

    /// What a control says besides: that the second in line has the lock as well.
    fn second(&self, word: &HandOver, time_us: u64) -> Option<HandOver> {
        let (Value::Line(line), _) = self.store.get(&self.settings.wait_key(&word.name), time_us)? else {
            return None;
        };
        let &(_, client) = line.first().filter(|_| self.sabotage == Some(Control::TwoGiven))?;
        let (parked, _) = self.store.get(&self.settings.park_key(client, &word.name), time_us)?;
        let parked = parked.to_string();
        let (owner, rest) = parked.split_once(' ')?;
        let proposal = rest.split(' ').next()?.parse().ok()?;
        let (owner, fence) = (OwnerId::from_hex(owner)?, Fence::new(word.fence.get() + 1));
        Some(HandOver { owner, proposal, fence, ..word.clone() })
    }

    /// What was found wrong with what it said since the last time.
    pub(crate) const fn take_finding(&mut self) -> Option<String> {
        self.hand_overs.finding.take()
    }

    /// What a control of hand-overs keeps from an operation.
    pub(crate) fn keep_back(&mut self, control: Control, operation: &Operation, time_us: u64) {
        let Operation { name, owner, action } = operation;
        let lock = self.settings.lock_key(name);
        let quarantine = self.settings.quarantine_key();
        let found = |key: &str| self.store.get(key, time_us).map(|(value, left)| (value.clone(), left));
        self.hand_overs.kept = match (control, action) {
            (Control::HandOverInQuarantine, Action::Release) => found(&quarantine),
            (Control::RefreshKeepsExpiry, Action::AcquireOrWait { .. }) => {
                found(&lock).filter(|(value, _)| value.to_string().starts_with(&owner.to_string()))
            }
            _ => return,
        };
        if control == Control::HandOverInQuarantine {
            self.store.del(&quarantine, time_us);
        }
    }

    /// It is put back.
    pub(crate) fn put_back(&mut self, operation: &Operation, time_us: u64) {
        let Some((value, left)) = self.hand_overs.kept.take() else {
            return;
        };
        let key = match operation.action {
            Action::Release => self.settings.quarantine_key(),
            _ => self.settings.lock_key(&operation.name),
        };
        let left_ms = match left {
            Left::Ms(left_ms) => Some(left_ms),
            Left::Forever | Left::Nothing => None,
        };
        self.store.set(&key, value, left_ms, time_us);
    }

    /// Whether anybody is in line for a name.
    pub(crate) fn has_line(&self, name: &leasehold::LeaseName, now: crate::time::At) -> bool {
        self.store.get(&self.settings.wait_key(name), self.time_us(now)).is_some()
    }
}
