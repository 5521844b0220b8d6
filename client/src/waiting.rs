//! Waits for a lease that is held: in the local line first, then in those on the endpoints.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Ask, Failed, Pursuit, Settled, Terms};
use crate::core::Core;
use crate::endpoint::Wake;
use crate::lease::Lease;
use crate::lines::Place;
use crate::protocol::{AttemptFailure, EndpointId, LeaseName};
use crate::sync::time::{self, Instant};

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
    let mut fresh = seat.as_ref().is_none_or(Seat::is_due);
    // Boxed, as is what an attempt keeps while it is under way: a waiter takes less than 1 KiB.
    let mut last: Option<Box<Failed>> = None;
    let mut pursuit: Option<Box<Pursuit>> = None;
    loop {
        let over = match &seat {
            Some(seat) => !seat.due(give_up, pursuit.as_deref()).await,
            None => false,
        };
        if core.is_closed() {
            return Err(Unheld::Shutdown);
        }
        match &pursuit {
            Some(pursuit) if over => pursuit.end_wait(),
            Some(pursuit) if pursuit.is_decided() => {}
            Some(pursuit) => {
                seat.as_ref().inspect(|seat| seat.place.start());
                pursuit.refresh(core.next_proposal());
            }
            None if over && let Some(failed) = last => return Err(Unheld::Failed(*failed)),
            None => seat.as_ref().map_or((), |seat| seat.place.start()),
        }
        let current = pursuit.get_or_insert_with(|| {
            let proposal = if std::mem::take(&mut fresh) { ticket } else { core.next_proposal() };
            // Who gives up unless it wins now wants no place on the endpoints.
            Box::new(Pursuit::start(core, name, *terms, Ask { proposal, ticket: (!over).then_some(ticket) }))
        });
        match Box::pin(current.settle()).await {
            Settled::Won(lease) => return Ok(lease),
            Settled::InLine => {
                let seat = seat.get_or_insert_with(|| Seat::take(core, name));
                seat.place.in_line(core.clock.now(), &current.replies(), current.ttl_ms());
            }
            Settled::Failed(failed) if over || !is_worth_waiting(failed.failure) => {
                return Err(Unheld::Failed(failed));
            }
            Settled::Failed(failed) => {
                if matches!(failed.failure, AttemptFailure::Held { .. }) {
                    core.listen();
                }
                pursuit = None;
                seat.get_or_insert_with(|| Seat::take(core, name)).place.failed(core.clock.now());
                last = Some(Box::new(failed));
            }
        }
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
}

impl<'a> Seat<'a> {
    fn take(core: &'a Arc<Core>, name: &'a LeaseName) -> Self {
        Self { core, name, place: core.lines.enter(name, core.quorum) }
    }

    fn is_due(&self) -> bool {
        self.place.try_at().is_some_and(|at| at <= self.core.clock.now())
    }

    fn try_at(&self) -> Option<Instant> {
        let at = self.place.try_at()?;
        Some(Instant::now() + Duration::from_nanos(at.ns_since(self.core.clock.now())))
    }

    /// Waits until it should ask, or what it asked is decided. False if the wait is over first.
    async fn due(&self, give_up: Option<Instant>, pursuit: Option<&Pursuit>) -> bool {
        loop {
            if self.is_due() || self.core.is_closed() || pursuit.is_some_and(Pursuit::is_decided) {
                return true;
            }
            if give_up.is_some_and(|end| end <= Instant::now()) {
                return false;
            }
            let until = [self.try_at(), give_up].into_iter().flatten().min();
            match (until, pursuit) {
                (None, None) => self.place.moved().await,
                // When it is time, the next look tells for what.
                (Some(until), None) => drop(time::timeout_at(until, self.place.moved()).await),
                // Boxed: only the first of a line asks.
                (until, Some(pursuit)) => Box::pin(self.moved_or_decided(until, pursuit)).await,
            }
        }
    }

    async fn moved_or_decided(&self, until: Option<Instant>, pursuit: &Pursuit) {
        let elapsed = async {
            match until {
                Some(until) => time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.place.moved() => {}
            () = pursuit.decided() => {}
            () = elapsed => {}
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.core.lines.leave(self.name, &self.place);
    }
}

/// Hands on what an endpoint says to waiters, until the client ends.
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
            Wake::HandedOver(word) => {
                let known = core.vouches_for(endpoint, &word.member);
                core.lines.hand_over(now, endpoint, &word, known);
            }
        }
    }
}
