//! Lines and hand-overs: the part of the script that decides who may take a free lock, and who is given it.

use std::collections::{BTreeSet, VecDeque};

use super::batch::{Batch, Target};
use super::store::Value;
use crate::protocol::operation::{HandOver, Reply};
use crate::protocol::waiting::{LINE_LEN_MAX, PLACE_MS, TICKET_AGE_US_MAX, TICKET_SLACK_US};
use crate::protocol::{ClientId, OwnerId};

/// Who listens, and what is to be said to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Bells {
    pub(super) listeners: BTreeSet<ClientId>,
    pub(super) words: VecDeque<HandOver>,
}

/// An acquire that asks for a place in line, as it is parked there.
#[derive(Clone, Copy)]
pub(super) struct Parked {
    pub(super) owner: OwnerId,
    pub(super) proposal: u64,
    pub(super) stripe: u32,
    /// How long the lock stands that is given.
    pub(super) given_ms: u32,
}

impl Parked {
    fn text(self) -> String {
        let Self { owner, proposal, stripe, given_ms } = self;
        format!("{owner} {proposal} {stripe} {given_ms}")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let owner = OwnerId::from_hex(parts.next()?)?;
        let (proposal, stripe) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let given_ms = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { owner, proposal, stripe, given_ms })
    }
}

impl Batch<'_> {
    /// A client's place in line. Its ticket tells how long it has waited; where its clock is off, it is moved.
    pub(super) fn place_of(&self, proposal: u64, ticket: u64) -> u64 {
        let time_us = i128::from(self.server_time_us);
        let (slack, proposed) = (i128::from(TICKET_SLACK_US), i128::from(proposal));
        let clamped = proposed.clamp(time_us - slack, time_us + slack);
        let place = i128::from(ticket) - proposed + clamped;
        let earliest = (time_us - i128::from(TICKET_AGE_US_MAX)).max(0);
        u64::try_from(place.clamp(earliest, time_us + slack)).unwrap_or_default()
    }

    /// What to answer where the lock is not to be had; who asked for a place is parked in line.
    pub(super) fn held(
        &mut self,
        target: &Target,
        reply: Reply,
        place: u64,
        parked: Option<Parked>,
    ) -> Reply {
        match (&reply, parked) {
            (Reply::Held { left_ms }, Some(parked)) => {
                let left_ms = (*left_ms).min(u32::MAX.into());
                self.park(target, place, parked).map_or(reply, |ahead| Reply::Waiting { left_ms, ahead })
            }
            _ => reply,
        }
    }

    /// Puts a client in line, or moves it there, with what it takes to give it the lock. Gives how many are before it; `None` if
    /// the line is full or no line.
    fn park(&mut self, target: &Target, place: u64, parked: Parked) -> Option<u32> {
        let (client, now_ms) = (target.owner.client(), self.now_ms);
        let mark = Value::Text("1".to_owned());
        self.keys.set(&self.settings.waiters_key(), mark, Some(PLACE_MS.into()), now_ms);
        let added = self.keys.line_add(&target.wait, place, client, now_ms).ok()?;
        self.waiters = true;
        self.keys.expire(&target.wait, PLACE_MS.into(), now_ms);
        if added && self.keys.line_len(&target.wait, now_ms) > LINE_LEN_MAX as usize {
            self.keys.line_pop_last(&target.wait, now_ms);
        }
        let ahead = self.keys.line_rank(&target.wait, client, now_ms)?;
        let key = self.settings.park_key(client, &target.name);
        let lasts_ms = u64::from(parked.given_ms / 2).max(1);
        self.keys.set(&key, Value::Text(parked.text()), Some(lasts_ms), now_ms);
        u32::try_from(ahead).ok()
    }

    /// Gives the free lock to whoever is first in line, and tells it so; not if that is the asker itself, or it has waited
    /// longer. Gives for how long the lock stands then. Who does not listen is passed over.
    pub(super) fn hand_over(&mut self, target: &Target, asker: Option<(ClientId, u64)>) -> Option<u64> {
        if self.quarantine_ms > 0 || self.shadows && self.keys.exists(&target.shadow, self.now_ms) {
            return None;
        }
        for _ in 0..LINE_LEN_MAX {
            let (place, client) = self.keys.line_first(&target.wait, self.now_ms)?;
            let own = asker.is_some_and(|(asker, _)| asker == client);
            if !own && asker.is_some_and(|(_, asked)| asked <= place) {
                return None;
            }
            self.keys.line_remove(&target.wait, client, self.now_ms);
            let parked = self.keys.take_text(&self.settings.park_key(client, &target.name), self.now_ms);
            if own {
                return None;
            }
            let given =
                parked.and_then(|text| Parked::parse(&text)).and_then(|parked| self.give(target, parked));
            if given.is_some() {
                return given;
            }
        }
        None
    }

    fn give(&mut self, target: &Target, parked: Parked) -> Option<u64> {
        let Parked { owner, proposal, stripe, given_ms } = parked;
        let fence_key = self.settings.fence_key(stripe);
        let fence = self.next_token(&fence_key, proposal).ok()?;
        self.keys.set(&fence_key, Value::Text(fence.to_string()), None, self.now_ms);
        if !self.bells.listeners.contains(&owner.client()) {
            return None;
        }
        let lock = Value::Text(format!("{owner}:{fence}"));
        self.keys.set(&target.lock, lock, Some(given_ms.into()), self.now_ms);
        let (name, member) = (target.name.clone(), self.member.into());
        self.bells.words.push_back(HandOver { name, owner, proposal, fence, member });
        Some(given_ms.into())
    }

    /// For how long the free lock is now somebody's who has waited longer than the asker; `None` if it is not.
    pub(super) fn given_ms(&mut self, target: &Target, place: u64) -> Option<u64> {
        let lined = self.keys.exists(&target.wait, self.now_ms);
        // Not free: that is found out by whoever asked.
        if !lined || self.keys.exists(&target.lock, self.now_ms) {
            return None;
        }
        self.hand_over(target, Some((target.owner.client(), place)))
    }

    /// An owner is done: what it has parked goes.
    pub(super) fn leave(&mut self, target: &Target) {
        let client = target.owner.client();
        let key = self.settings.park_key(client, &target.name);
        let parked = self.keys.text(&key, self.now_ms).ok().flatten();
        if parked.is_some_and(|text| text.starts_with(&format!("{} ", target.owner))) {
            self.keys.remove(&key, self.now_ms);
            self.keys.line_remove(&target.wait, client, self.now_ms);
        }
    }
}
