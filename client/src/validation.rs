//! Runs one validation: do a majority of endpoints confirm a lease now?

use std::sync::Arc;
use std::time::Duration;

use crate::core::{Core, Subject};
use crate::dispatcher::Party;
use crate::protocol::Validation;
use crate::protocol::operation::{Reply, Request};
use crate::sync::{Mutex, Notify, lock, time};

struct Run {
    machine: Mutex<Validation>,
    decided: Notify,
}

/// Asks every endpoint. `Err` holds the answers if no majority confirmed.
pub(crate) async fn validate(core: &Arc<Core>, subject: &Subject) -> Result<(), Vec<Option<Reply>>> {
    let mut machine = Validation::new(core.quorum, core.clock.now(), subject.timeout_ms.saturating_mul(2));
    let requests = std::iter::from_fn(|| machine.poll_request()).collect();
    let run = Arc::new(Run { machine: Mutex::new(machine), decided: Notify::new() });
    core.send(&run, subject, requests);
    loop {
        let timeout = {
            let machine = lock(&run.machine);
            match machine.outcome() {
                Some(true) => return Ok(()),
                Some(false) => return Err(machine.replies().to_vec()),
                None => machine.poll_timeout(),
            }
        };
        let pause = Duration::from_nanos(timeout.map_or(0, |at| at.ns_since(core.clock.now())));
        if time::timeout(pause, run.decided.notified()).await.is_err() {
            lock(&run.machine).handle_timeout(core.clock.now());
        }
    }
}

impl Party for Run {
    fn wants(&self, _: &Request) -> bool {
        lock(&self.machine).outcome().is_none()
    }

    fn deliver(self: Arc<Self>, request: &Request, reply: Reply) {
        lock(&self.machine).handle_reply(request.endpoint, reply);
        self.decided.notify_one();
    }
}
