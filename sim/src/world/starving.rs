//! Whether somebody waits for a lock that is free, and is not granted it.

use super::host::Machine;
use super::{Event, World};
use crate::referee::Rule;
use crate::time::{At, NS_PER_MS};

/// Between two looks at a name that somebody waits for.
const LOOK_MS: u64 = 50;
/// The longest time from one poll of the first in line to the next, and what each place behind it adds.
const POLL_MS: u64 = 500;
/// See `POLL_MS`.
const POLL_MS_STEP: u64 = 25;
/// What a place costs besides, on a machine whose timers are late.
const PLACE_MS: u64 = 200;
/// What a lone wake-up waits for company.
const LONE_WAKE_MS: u64 = 100;

/// Since when a name has been free while somebody waited for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// Whether somebody looks at it now and then.
    looks: bool,
    free_since: Option<At>,
    grants: usize,
}

impl World<'_> {
    /// A name is looked at for as long as somebody waits for it.
    pub(super) fn watch(&mut self, name: usize) {
        if !self.watches[name].looks {
            self.watches[name] = Watch { looks: true, ..Watch::default() };
            self.queue.plan(self.now.plus_ms(LOOK_MS), Event::Look { name });
        }
    }

    pub(super) fn handle_look(&mut self, name: usize) {
        if self.busy[name].waiters == 0 {
            self.watches[name].looks = false;
            return;
        }
        self.queue.plan(self.now.plus_ms(LOOK_MS), Event::Look { name });
        let grants = self.referee.grants_of(name);
        let Some(waits_since) = self.waiting_and_free(name).filter(|_| grants == self.watches[name].grants)
        else {
            self.watches[name] = Watch { looks: true, free_since: None, grants };
            return;
        };
        let since = *self.watches[name].free_since.get_or_insert(self.now);
        let waited = self.now.ns_since(since.max(waits_since));
        self.counts.starved_us_max = self.counts.starved_us_max.max(waited / 1_000);
        self.counts.lines_judged += 1;
        let bound_ms = self.waiting_bound_ms(name);
        if waited > bound_ms * NS_PER_MS {
            let what = format!(
                "name {name} has been free since {since} with a majority well, but nobody of those who wait for it was granted it within {bound_ms} ms"
            );
            self.referee.violation(Rule::Starved, self.now, what);
            self.watches[name].free_since = None;
        }
    }

    /// Since when somebody who is well has been waiting for a name that nobody holds and a majority could grant.
    fn waiting_and_free(&self, name: usize) -> Option<At> {
        let calm_since = self.now.minus_ms(u64::from(self.plan.terms.request_timeout_ms) * 5 + 1_000);
        // One that is not well may be the first in line anywhere: how often it is given a turn is nobody's promise.
        let all_well = (0..self.hosts.len()).all(|host| self.was_well(host, calm_since));
        if !all_well || !self.answers_in_time() {
            return None;
        }
        let can_grant = |endpoint: &usize| {
            self.endpoint_was_well(*endpoint, calm_since)
                && self.voted_since(*endpoint, calm_since)
                && (0..self.hosts.len()).all(|host| self.is_admitted(host, *endpoint))
                && self.nobody_holds(*endpoint, name)
        };
        let grantors = (0..self.plan.endpoints).filter(can_grant).count();
        (grantors >= self.quorum.majority() as usize).then(|| self.waits_since(name, calm_since)).flatten()
    }

    /// Whether what stands under a name is nothing, or the lock of an attempt that is under way.
    fn nobody_holds(&self, endpoint: usize, name: usize) -> bool {
        let server = &self.servers[endpoint];
        if server.is_free(&self.names[name], self.now) {
            return true;
        }
        let Some(lock) = server.lock(&self.names[name], self.now) else {
            return false;
        };
        let mut parties = self.hosts.iter().flat_map(|host| host.parties.values());
        parties.any(|party| {
            matches!(party.machine, Machine::Attempt { .. })
                && party.name == name
                && lock.starts_with(&party.owner.to_string())
        })
    }

    /// How long a free lock may take to be granted to somebody in line: each place before it may cost a poll.
    fn waiting_bound_ms(&self, name: usize) -> u64 {
        let places = u64::from(self.busy[name].waiters) + self.hosts.len() as u64;
        let poll_ms = POLL_MS + POLL_MS_STEP * places;
        let round_ms = self.plan.network.delay_us_max() * 8 / 1_000 + 10;
        (PLACE_MS + poll_ms + LONE_WAKE_MS + round_ms) * (places + 1)
    }
}
