//! Waits for a lease that is held: in the local line first, then in those on the endpoints.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Ask, Failed, Terms, attempt};
use crate::core::{Core, Subject};
use crate::dispatcher::Party;
use crate::endpoint::Wake;
use crate::lease::Lease;
use crate::lines::Place;
use crate::protocol::operation::{Action, Reply, Request, Round};
use crate::protocol::waiting::PLACE_MS;
use crate::protocol::{AttemptFailure, EndpointId, EndpointSet, LeaseName, OwnerId};

/// Why a wait ended without a lease.
pub(crate) enum Unheld {
    /// The wait is over, or trying again cannot help: how the last attempt failed.
    Failed(Failed),
    /// The client is being shut down.
    Shutdown,
}

/// Acquires a lease, waiting until `give_up` (`None`: for ever) if it is held.
///
/// A future that is dropped leaves the line and lets the next one come.
pub(crate) async fn acquire(
    core: &Arc<Core>,
    name: &LeaseName,
    terms: &Terms,
    give_up: Option<Instant>,
) -> Result<Lease, Unheld> {
    let ticket = core.next_proposal();
    let mut seat = core.lines.is_open().then(|| Seat::take(core, name));
    // Whoever finds nobody before it begins to wait only now: its ticket serves as its proposal.
    let mut proposal = seat.as_ref().is_none_or(Seat::is_due).then_some(ticket);
    // Boxed, as is what an attempt keeps while it is under way: a waiter takes less than 1 KiB.
    let mut last: Option<Box<Failed>> = None;
    loop {
        let over = match &seat {
            Some(seat) => !seat.due(give_up).await,
            None => false,
        };
        if core.is_closed() {
            return Err(Unheld::Shutdown);
        }
        if over && let Some(failed) = last {
            return Err(Unheld::Failed(*failed));
        }
        // Who gives up unless it wins now wants no place on the endpoints.
        let wish = (!over).then_some(ticket);
        if let Some(seat) = &mut seat {
            seat.place.start();
            seat.on_endpoints |= !over;
        }
        let ask = Ask { proposal: proposal.take().unwrap_or_else(|| core.next_proposal()), ticket: wish };
        let failed = match attempt(core, name, *terms, ask).await {
            Ok(lease) => {
                if let Some(seat) = &mut seat {
                    seat.on_endpoints = false;
                }
                return Ok(lease);
            }
            Err(failed) => failed,
        };
        if over || !is_worth_waiting(failed.failure) {
            return Err(Unheld::Failed(failed));
        }
        if matches!(failed.failure, AttemptFailure::Held { .. }) {
            core.listen();
        }
        let seat = seat.get_or_insert_with(|| Seat::take(core, name));
        seat.on_endpoints = true;
        seat.place.refused(core.clock.now(), &failed.replies, core.lines.heard());
        last = Some(Box::new(failed));
    }
}

/// Whether another attempt may fare better.
const fn is_worth_waiting(failure: AttemptFailure) -> bool {
    matches!(
        failure,
        AttemptFailure::Held { .. } | AttemptFailure::NoQuorum | AttemptFailure::ValidityExhausted
    )
}

/// A place in the local line, given up when dropped.
struct Seat<'a> {
    core: &'a Arc<Core>,
    name: &'a LeaseName,
    place: Arc<Place>,
    /// Whether the client may be in line on endpoints on its behalf.
    on_endpoints: bool,
}

impl<'a> Seat<'a> {
    fn take(core: &'a Arc<Core>, name: &'a LeaseName) -> Self {
        Self { core, name, place: core.lines.enter(name, core.quorum), on_endpoints: false }
    }

    fn is_due(&self) -> bool {
        self.place.try_at().is_some_and(|at| at <= self.core.clock.now())
    }

    fn try_at(&self) -> Option<Instant> {
        let at = self.place.try_at()?;
        Some(Instant::now() + Duration::from_nanos(at.ns_since(self.core.clock.now())))
    }

    /// Waits until it should try. False if the wait is over first.
    async fn due(&self, give_up: Option<Instant>) -> bool {
        loop {
            if self.is_due() || self.core.is_closed() {
                return true;
            }
            if give_up.is_some_and(|end| end <= Instant::now()) {
                return false;
            }
            match [self.try_at(), give_up].into_iter().flatten().min() {
                None => self.place.moved().await,
                // When it is time, the next look tells for what.
                Some(until) => drop(tokio::time::timeout_at(until, self.place.moved()).await),
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // Who comes next in this process takes over the place on the endpoints.
        let nobody_left = self.core.lines.leave(self.name, &self.place);
        if nobody_left && self.on_endpoints {
            leave(self.core, self.name, self.core.quorum.all());
        }
    }
}

/// Leaves the line of a name on endpoints, and hands on the turn where it has come.
fn leave(core: &Core, name: &LeaseName, endpoints: EndpointSet) {
    let subject = Subject {
        name: name.clone(),
        owner: OwnerId::of(core.client, 0),
        ttl_ms: PLACE_MS,
        timeout_ms: core.limits.request_timeout_ms,
    };
    let request = |endpoint| Request { endpoint, round: Round::default(), action: Action::Leave };
    core.send(&Arc::new(Nobody), &subject, endpoints.iter().map(request).collect());
}

/// Whoever has left needs no answer.
struct Nobody;

impl Party for Nobody {
    fn wants(&self, _: &Request) -> bool {
        true
    }

    fn deliver(self: Arc<Self>, _: &Request, _: Reply) {}
}

/// Hands on what an endpoint says to waiters, until the client ends. A turn that nobody here wants is given back.
pub(crate) async fn hear(
    core: Weak<Core>,
    endpoint: EndpointId,
    mut wakes: mpsc::Receiver<Wake>,
    ended: CancellationToken,
) {
    while let Some(Some(wake)) = ended.run_until_cancelled(wakes.recv()).await {
        let Some(core) = core.upgrade() else { return };
        let now = core.clock.now();
        match wake {
            Wake::Heard => core.lines.hear(now, endpoint, true),
            Wake::Unheard => core.lines.hear(now, endpoint, false),
            Wake::Turn(name) if core.lines.wake(now, &name, endpoint) => {}
            Wake::Turn(name) => leave(&core, &name, [endpoint].into_iter().collect()),
        }
    }
}
