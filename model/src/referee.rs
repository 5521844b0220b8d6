//! What must hold in every state, and what must be seen in some.

use stateright::Property;

use crate::rules::{Rules, Tokens};
use crate::state::{Answer, CLIENTS, ENDPOINTS, Phase, State, Won};
use crate::world::World;

/// Names of the properties, as verdicts give them.
pub const EXCLUSION: &str = "no two contract beliefs overlap";
/// A belief that has ended does not resume after somebody else was granted the lease.
pub const LATCHED: &str = "a holder by contract is the one granted last";
/// Tokens are handed out once and in order.
pub const ORDER: &str = "tokens are unique and follow real time";
/// A sleeper that acts beside a holder has the smaller token.
pub const FENCE: &str = "whoever acts past its deadline has the smaller token";
/// No state is a dead end.
pub const PROGRESS: &str = "the lock can be granted again";

/// What must hold in every state.
#[must_use]
pub fn always() -> Vec<Property<World>> {
    vec![
        Property::always(EXCLUSION, exclusion),
        Property::always(LATCHED, latched),
        Property::always(ORDER, |_, state: &State| !state.out_of_order),
        Property::always(FENCE, fence),
        Property::always(PROGRESS, progress),
    ]
}

fn exclusion(world: &World, state: &State) -> bool {
    // Where no clock can be trusted, beliefs mean nothing.
    !world.rules.timed() || state.clients.iter().filter(|client| client.believes()).count() <= 1
}

fn latched(world: &World, state: &State) -> bool {
    let granted_last = |place| state.last.is_some_and(|last| usize::from(last) == place);
    let mut clients = state.clients.iter().enumerate();
    !world.rules.timed() || clients.all(|(place, client)| !client.believes() || granted_last(place))
}

/// Among those that act, the one whose belief is younger has the larger token: the resource tells them apart.
fn fence(world: &World, state: &State) -> bool {
    let acts = |phase| phase == Phase::Held;
    let tokened = world.rules.tokens != Tokens::Off && world.rules.timed();
    !tokened
        || state.clients.iter().filter(|client| client.believes()).all(|holder| {
            let sleepers = state.clients.iter().filter(|client| acts(client.phase) && !client.believes());
            sleepers.into_iter().all(|sleeper| sleeper.token < holder.token)
        })
}

/// From here, if everything calms down: nobody asks any more, what is under way is executed, time passes, and then a
/// newcomer is granted the lock, with a token above all others.
fn progress(world: &World, state: &State) -> bool {
    let rules = &world.rules;
    let mut calm = *state;
    for client in 0..CLIENTS {
        match calm.clients[client].phase {
            Phase::Idle => {}
            Phase::Voting | Phase::Raising => calm.give_up(rules, client),
            Phase::Held => calm.lose(rules, client),
        }
        for endpoint in 0..ENDPOINTS {
            while let Some(request) = calm.columns[endpoint].wires[client].take_stray(0) {
                calm.serve_last(rules, endpoint, request);
            }
        }
    }
    let longest = rules.ttls.iter().copied().max().unwrap_or(0).max(rules.shadow_ttl);
    for _ in 0..longest.max(rules.quarantine) {
        for column in &mut calm.columns {
            column.endpoint.tick(rules);
        }
    }
    calm.clients[0].attempt += 1;
    let request = crate::world::acquire(&calm, rules, 0, 1);
    let granted = |&endpoint: &usize| matches!(calm.serve_last(rules, endpoint, request), Answer::Granted(_));
    (0..ENDPOINTS).filter(granted).count() >= rules.majority()
}

/// Something that a slice must come to: a search that never does proves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// What is seen.
    pub name: &'static str,
    /// Whether it is seen here.
    pub seen: fn(&World, &State) -> bool,
}

/// A client holds the lease.
pub const GRANTED: Sight = Sight {
    name: "a lease is granted",
    seen: |_, state| state.clients.iter().any(|client| client.phase == Phase::Held),
};

/// Somebody acts past its deadline while somebody else holds the lease: Kleppmann's pause.
pub const ACTING_OVERLAP: Sight = Sight {
    name: "two act at once",
    seen: |_, state| state.clients.iter().filter(|client| client.phase == Phase::Held).count() > 1,
};

/// A lease is won by hand-over.
pub const HANDED_OVER: Sight =
    Sight { name: "word of a hand-over decides", seen: |_, state| holds(state, Won::Told) };

/// A lease is won by asking again, where word of a hand-over is lost or late.
pub const UNHEARD: Sight =
    Sight { name: "asking again finds what was given unheard", seen: |_, state| holds(state, Won::Unheard) };

/// A sleeper was handed the lease and acts past its deadline, beside somebody else who holds it.
pub const GIVEN_TO_SLEEPER: Sight = Sight {
    name: "who was given the lock acts beside another",
    seen: |world, state| (ACTING_OVERLAP.seen)(world, state) && holds(state, Won::Told),
};

fn holds(state: &State, won: Won) -> bool {
    state.clients.iter().any(|client| client.phase == Phase::Held && client.won == won)
}

/// A client wins with its last attempt.
pub const RETRIED: Sight = Sight {
    name: "a retry is granted",
    seen: |world, state| {
        let last = world.rules.attempts[0];
        state.clients[0].phase == Phase::Held && state.clients[0].attempt == last
    },
};

/// A client's last renewal has moved its deadline.
pub const RENEWED: Sight = Sight {
    name: "a renewal moves the deadline",
    seen: |world, state| {
        let Rules { renewals, ttls, .. } = world.rules;
        let longest = ttls.iter().copied().max().unwrap_or(0);
        let holder = &state.clients[0];
        holder.believes()
            && holder.renewals == renewals[0]
            && holder.left + 1 >= world.rules.validity(longest)
    },
};

/// A lease lives on shadows alone.
pub const DEGRADED: Sight = Sight {
    name: "a lease lives on shadows",
    seen: |_, state| {
        let unlocked = state.columns.iter().all(|column| column.endpoint.lock.is_none());
        unlocked && state.clients.iter().any(|client| client.believes() && client.degraded)
    },
};

/// A token is handed out after another.
pub const TOKENS: Sight = Sight {
    name: "two tokens are handed out",
    seen: |_, state| state.clients.iter().any(|client| client.phase == Phase::Held && client.floor > 0),
};
