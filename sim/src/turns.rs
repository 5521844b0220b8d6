//! The turns that a server gives: who listens for them, and a record of its own of who has one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use leasehold::LeaseName;
use leasehold::memory::store::Value;
use leasehold::protocol::ClientId;
use leasehold::protocol::operation::{Action, Operation, Reply};
use leasehold::protocol::waiting::TURN_MS;
use leasehold::protocol::wire::BatchReply;

use crate::sabotage::Control;
use crate::server::Server;

/// Whom each free lock is kept for, as far as was said, and until when by the server's clock.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    given: BTreeMap<LeaseName, (ClientId, u64)>,
    finding: Option<String>,
    /// What has not been told yet.
    untold: VecDeque<(ClientId, LeaseName)>,
}

impl Turns {
    /// A turn ends when whoever has it asks for the lock, gives it back or leaves, and when the lock is taken or freed.
    pub(crate) fn follow(&mut self, operations: &[Operation], replies: &[Reply]) {
        if self.given.is_empty() {
            return;
        }
        for (Operation { name, owner, action }, reply) in operations.iter().zip(replies) {
            let own = self.given.get(name).is_some_and(|(client, _)| *client == owner.client());
            let asks = matches!(
                action,
                Action::Acquire { .. } | Action::AcquireOrWait { .. } | Action::Release | Action::Leave
            );
            let moves = matches!(reply, Reply::Granted { .. } | Reply::Released);
            if (own && asks) || moves {
                self.given.remove(name);
            }
        }
    }

    fn give(&mut self, name: &LeaseName, client: ClientId, time_us: u64) {
        let until_us = time_us + u64::from(TURN_MS) * 1_000;
        if let Some((other, until)) = self.given.insert(name.clone(), (client, until_us))
            && other != client
            && until > time_us + 1_000
        {
            self.finding = Some(format!("keeps {name} for {client} while it keeps it for {other}"));
        }
    }
}

impl Server {
    /// A client listens for its turns.
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
        self.turns = Turns::default();
        for client in std::mem::take(&mut self.listeners) {
            self.store.stop_listening(client);
        }
    }

    /// Another data set came under the process: who listens is the process's affair.
    pub(crate) fn restore_listeners(&mut self) {
        while self.store.poll_turn().is_some() {}
        for &client in &self.listeners {
            self.store.listen(client);
        }
    }

    /// Carries out a batch one operation at a time, so that each turn is seen before the next operation may end it.
    pub(crate) fn run_heard(
        &mut self,
        member: &Arc<str>,
        operations: &[Operation],
        time_us: u64,
    ) -> BatchReply {
        let mut all = Vec::with_capacity(operations.len());
        for operation in operations {
            let one = std::slice::from_ref(operation);
            match self.run(member, one, time_us) {
                BatchReply::Done { replies, .. } => {
                    self.turns.follow(one, &replies);
                    all.extend(replies);
                }
                not_admitted @ BatchReply::NotAdmitted(_) => return not_admitted,
            }
            while let Some((client, name)) = self.next_turn(time_us) {
                self.turns.give(&name, client, time_us);
                self.turns.untold.push_back((client, name));
            }
        }
        if operations.is_empty() {
            return self.run(member, operations, time_us);
        }
        BatchReply::Done { server_time_us: time_us, replies: all }
    }

    /// The next turn that has not been told.
    pub(crate) fn poll_turn(&mut self) -> Option<(ClientId, LeaseName)> {
        self.turns.untold.pop_front()
    }

    /// The next turn that was given.
    fn next_turn(&mut self, time_us: u64) -> Option<(ClientId, LeaseName)> {
        let (client, name) = self.second_turn.take().or_else(|| self.store.poll_turn())?;
        if self.sabotage == Some(Control::TwoWoken)
            && let Some((Value::Line(line), _)) = self.store.get(&self.settings.wait_key(&name), time_us)
            && let Some(&(_, second)) = line.first()
            && second != client
        {
            self.second_turn = Some((second, name.clone()));
        }
        Some((client, name))
    }

    /// What was found wrong with turns since the last time.
    pub(crate) const fn take_finding(&mut self) -> Option<String> {
        self.turns.finding.take()
    }

    /// Whether anybody is in line for a name, or it is kept for somebody.
    pub(crate) fn has_line(&self, name: &LeaseName, now: crate::time::At) -> bool {
        let time_us = self.time_us(now);
        let stands = |key: &str| self.store.get(key, time_us).is_some();
        stands(&self.settings.wait_key(name)) || stands(&self.settings.turn_key(name))
    }
}
