//! Lines and turns: the part of the script that decides who may take a free lock, and who is woken.

use std::collections::{BTreeSet, VecDeque};

use super::batch::{Batch, Target};
use super::store::{Left, Value};
use crate::protocol::operation::Reply;
use crate::protocol::waiting::{LINE_LEN_MAX, PLACE_MS, TICKET_AGE_US_MAX, TICKET_SLACK_US, TURN_MS};
use crate::protocol::{ClientId, LeaseName};

/// Who listens, and what is to be said to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Bells {
    pub(super) listeners: BTreeSet<ClientId>,
    pub(super) turns: VecDeque<(ClientId, LeaseName)>,
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

    /// What to answer where the lock is not to be had; with a place, whoever asked is put in line.
    pub(super) fn held(&mut self, target: &Target, reply: Reply, place: Option<u64>) -> Reply {
        match (&reply, place) {
            (Reply::Held { left_ms }, Some(place)) => {
                let left_ms = (*left_ms).min(u32::MAX.into());
                self.take_place(target, place).map_or(reply, |ahead| Reply::Waiting { left_ms, ahead })
            }
            _ => reply,
        }
    }

    /// Puts a client in line, or moves it there. Gives how many are before it; `None` if the line is full or no line.
    fn take_place(&mut self, target: &Target, place: u64) -> Option<u32> {
        let (client, now_ms) = (target.owner.client(), self.now_ms);
        let mark = Value::Text("1".to_owned());
        self.keys.set(&self.settings.waiters_key(), mark, Some(PLACE_MS.into()), now_ms);
        let added = self.keys.line_add(&target.wait, place, client, now_ms).ok()?;
        self.waiters = true;
        self.keys.expire(&target.wait, PLACE_MS.into(), now_ms);
        if added && self.keys.line_len(&target.wait, now_ms) > LINE_LEN_MAX as usize {
            self.keys.line_pop_last(&target.wait, now_ms);
        }
        self.keys.line_rank(&target.wait, client, now_ms).and_then(|rank| u32::try_from(rank).ok())
    }

    /// Wakes whoever is first in line and keeps the lock for it a while; not if that is the asker itself, or it has waited
    /// longer. Says whether somebody was woken. Who does not listen is passed over.
    pub(super) fn give_turn(&mut self, target: &Target, asker: Option<(ClientId, u64)>) -> bool {
        for _ in 0..LINE_LEN_MAX {
            let Some((place, client)) = self.keys.line_first(&target.wait, self.now_ms) else {
                return false;
            };
            let own = asker.is_some_and(|(asker, _)| asker == client);
            if !own && asker.is_some_and(|(_, asked)| asked <= place) {
                return false;
            }
            self.keys.line_remove(&target.wait, client, self.now_ms);
            if own {
                return false;
            }
            if self.bells.listeners.contains(&client) {
                self.bells.turns.push_back((client, target.name.clone()));
                let turn = Value::Text(client.to_string());
                self.keys.set(&target.turn, turn, Some(TURN_MS.into()), self.now_ms);
                return true;
            }
        }
        false
    }

    /// Whether it is the asker's turn. If so, it is over now.
    pub(super) fn end_turn(&mut self, target: &Target) -> bool {
        let turn = self.keys.text(&target.turn, self.now_ms).ok().flatten();
        let own = turn == Some(target.owner.client().to_string().as_str());
        if own {
            self.keys.remove(&target.turn, self.now_ms);
        }
        own
    }

    /// For how long the free lock is kept for somebody who has waited longer than the asker; `None` if it is not.
    pub(super) fn kept_ms(&mut self, target: &Target, place: u64) -> Option<u64> {
        let nobody = ![&target.wait, &target.turn].into_iter().any(|key| self.keys.exists(key, self.now_ms));
        // Not free: that is found out by whoever asked.
        if nobody || self.keys.exists(&target.lock, self.now_ms) || self.end_turn(target) {
            return None;
        }
        match self.keys.left(&target.turn, self.now_ms) {
            Left::Ms(left_ms @ 1..) => Some(left_ms),
            _ => self.give_turn(target, Some((target.owner.client(), place))).then_some(TURN_MS.into()),
        }
    }

    /// Leaves the line, and hands on the turn where it has come.
    pub(super) fn leave(&mut self, target: &Target) -> Reply {
        let left = self.keys.line_remove(&target.wait, target.owner.client(), self.now_ms);
        let turn = self.end_turn(target);
        if turn && !self.keys.exists(&target.lock, self.now_ms) {
            self.give_turn(target, None);
        }
        if turn || left { Reply::Released } else { Reply::Missing }
    }
}
