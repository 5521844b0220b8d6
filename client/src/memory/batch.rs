//! The operations of one batch: `scripts/lease.lua` in Rust. Each says what the script's of the same name says, and reads and
//! writes in the same order.

use super::keyspace::{Keyspace, WrongType};
use super::store::{Left, Refusal, Value, quarantine_left_ms, refuse};
use super::waiting::{Bells, Parked};
use crate::protocol::operation::{Action, Operation, Reply};
use crate::protocol::validity;
use crate::protocol::{Fence, LeaseName, OwnerId};
use crate::scripts::Settings;

/// How far a proposal may be from the endpoint's clock.
const PROPOSAL_SLACK_US: u64 = 4_000_000;
/// Tokens stay below 2^53, where a server's script counts exactly.
const TOKEN_END: u64 = 1 << 53;

/// One batch's view of the server.
pub(super) struct Batch<'a> {
    pub(super) keys: &'a mut Keyspace,
    pub(super) bells: &'a mut Bells,
    pub(super) settings: &'a Settings,
    /// The server's record of admission.
    pub(super) member: &'a str,
    pub(super) server_time_us: u64,
    pub(super) now_ms: u64,
    pub(super) quarantine_ms: u64,
    /// Whether any shadow may stand.
    pub(super) shadows: bool,
    /// Whether any line may stand.
    pub(super) waiters: bool,
}

/// What stands in the way of an operation, as it is answered.
enum Standing<Own> {
    Nothing,
    Own(Own),
    Foreign(Reply),
}

/// An operation's own keys.
pub(super) struct Target {
    pub(super) name: LeaseName,
    pub(super) lock: String,
    pub(super) shadow: String,
    fence: String,
    pub(super) wait: String,
    pub(super) owner: OwnerId,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        keys: &'a mut Keyspace,
        bells: &'a mut Bells,
        settings: &'a Settings,
        member: &'a str,
        server_time_us: u64,
    ) -> Self {
        let now_ms = server_time_us / 1_000;
        let quarantine_ms = quarantine_left_ms(keys, settings, now_ms);
        let shadows = keys.exists(&settings.shadows_key(), now_ms);
        let waiters = keys.exists(&settings.waiters_key(), now_ms);
        Self { keys, bells, settings, member, server_time_us, now_ms, quarantine_ms, shadows, waiters }
    }

    pub(super) fn run(&mut self, operation: &Operation) -> Result<Reply, Refusal> {
        let Operation { name, owner, action } = operation;
        let target = Target {
            name: name.clone(),
            wait: self.settings.wait_key(name),
            lock: self.settings.lock_key(name),
            shadow: self.settings.shadow_key(name),
            fence: self.settings.fence_key(name.stripe()),
            owner: *owner,
        };
        let ttl_ms_max = self.settings.ttl_ms_max;
        match *action {
            Action::Acquire { ttl_ms, .. }
            | Action::AcquireOrWait { ttl_ms, .. }
            | Action::Extend { ttl_ms, .. }
            | Action::Heal { ttl_ms, .. }
            | Action::Shadow { ttl_ms }
                if ttl_ms > ttl_ms_max =>
            {
                Ok(Reply::TtlTooLong { max_ms: ttl_ms_max.into() })
            }
            Action::Acquire { ttl_ms, proposal } => self.acquire(&target, ttl_ms, proposal, None),
            Action::AcquireOrWait { ttl_ms, proposal, ticket } => {
                self.acquire(&target, ttl_ms, proposal, Some(ticket))
            }
            Action::Extend { ttl_ms, fence } => self.extend(&target, ttl_ms, fence),
            Action::Heal { ttl_ms, fence } => self.heal(&target, ttl_ms, fence),
            Action::Raise { fence } => self.raise(&target, fence),
            Action::Shadow { ttl_ms } => self.shadow(&target, ttl_ms),
            Action::Validate => self.validate(&target),
            Action::Release => self.release(&target),
        }
    }

    /// An acquire; with a ticket it wants a place in line where the lock is not to be had.
    fn acquire(
        &mut self,
        target: &Target,
        ttl_ms: u32,
        proposal: u64,
        ticket: Option<u64>,
    ) -> Result<Reply, Refusal> {
        if self.quarantine_ms > 0 {
            return Ok(Reply::Quarantined { left_ms: self.quarantine_ms });
        }
        let place = self.place_of(proposal, ticket.unwrap_or(proposal));
        let stripe = target.name.stripe();
        let parked = ticket.map(|_| Parked {
            owner: target.owner,
            proposal,
            stripe,
            given_ms: validity::given_ms(ttl_ms),
        });
        if let Standing::Foreign(reply) = self.shadow_of(target)? {
            return Ok(self.held(target, reply, place, parked));
        }
        if self.waiters
            && let Some(left_ms) = self.given_ms(target, place)
        {
            return Ok(self.held(target, Reply::Held { left_ms }, place, parked));
        }
        let fence = self.next_token(&target.fence, proposal)?;
        if self.keys.set_if_free(&target.lock, target.value(fence), ttl_ms.into(), self.now_ms) {
            self.write_stripe(target, fence);
            return Ok(Reply::Granted { fence });
        }
        Ok(match self.standing(target) {
            Standing::Own(held) => {
                // Who asks again counts a yes from this request on: it must be worth a whole TTL.
                if parked.is_some() {
                    self.keys.prolong(&target.lock, ttl_ms.into(), self.now_ms);
                }
                Reply::Granted { fence: held.token(target)? }
            }
            Standing::Foreign(reply) => self.held(target, reply, place, parked),
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
        let standing = self.standing(target);
        let own = matches!(standing, Standing::Own(_));
        if own {
            self.keys.remove(&target.lock, self.now_ms);
        }
        if self.waiters {
            self.leave(target);
            // An undo that freed nothing hands nothing over.
            if own || own_shadow && matches!(standing, Standing::Nothing) {
                self.hand_over(target, None);
            }
        }
        Ok(match standing {
            _ if own || own_shadow => Reply::Released,
            Standing::Foreign(reply) => reply,
            _ => Reply::Missing,
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
        self.drawn_from(&target.fence)
    }

    fn drawn_from(&self, key: &str) -> Result<u64, Refusal> {
        let Some(text) = self.keys.text(key, self.now_ms)? else {
            return Ok(0);
        };
        let no_token = |_| Refusal(format!("key {key} does not hold a token; restore or delete it").into());
        text.parse().map_err(no_token)
    }

    /// The token that an acquire with this proposal draws.
    pub(super) fn next_token(&self, key: &str, proposal: u64) -> Result<Fence, Refusal> {
        let (earliest, latest) = (
            self.server_time_us.saturating_sub(PROPOSAL_SLACK_US),
            self.server_time_us.saturating_add(PROPOSAL_SLACK_US),
        );
        let token = self.drawn_from(key)?.saturating_add(1).max(proposal.clamp(earliest, latest));
        if token >= TOKEN_END {
            return refuse(format!("key {key} has run out of tokens"));
        }
        Ok(Fence::new(token))
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
