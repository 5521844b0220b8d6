//! A look at the endpoints before a run, so that nobody waits in silence or fails in the middle.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use leasehold::admin::{self, AdminError};
use leasehold::{Client, ConnectError, EndpointState, EndpointStatus};
use tokio::time::{Instant, sleep};

use crate::locks::control::Control;
use crate::locks::{self, etcd, postgres, quorum, server};
use crate::run::plan::{LockKind, Plan};
use crate::run::stage::Stage;

/// An endpoint that is up says so within this.
const SETTLE: Duration = Duration::from_secs(2);
/// Longer than any quarantine.
const QUARANTINE_MAX: Duration = Duration::from_secs(45);
const REMEDY: &str =
    "start the servers that are down, or leave --endpoints out to have three started for the run";
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a run cannot begin on these endpoints.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreflightError {
    /// The library found no majority, or nothing to connect to.
    #[error("{0}\n  {REMEDY}")]
    Connect(#[from] ConnectError),
    /// Servers that were started a moment ago could not be declared new.
    #[error("the new servers could not be admitted: {0}")]
    Fresh(#[from] AdminError),
    /// Too few servers for this lock.
    #[error("{lock} needs {needed} of {of} endpoints and {up} answer: {reasons}\n  {REMEDY}")]
    TooFew {
        /// Which lock.
        lock: LockKind,
        /// How many it needs.
        needed: usize,
        /// How many it was given.
        of: usize,
        /// How many answer.
        up: usize,
        /// Each of the others, and why.
        reasons: String,
    },
    /// A quarantine that does not end.
    #[error("too few endpoints vote after {} s of waiting: {states}", QUARANTINE_MAX.as_secs())]
    NeverReady {
        /// Each endpoint's.
        states: String,
    },
}

/// Makes sure that the lock can be had, and waits until it can.
pub(crate) async fn check(plan: &Plan, stage: &Stage) -> Result<(), PreflightError> {
    match (stage, plan.lock) {
        (Stage::Empty | Stage::Memory(_), _) | (_, LockKind::None) => Ok(()),
        (_, LockKind::Control(Control::MajorityOfOne)) => {
            for url in &plan.endpoints {
                admin::fresh(quorum::builder(std::slice::from_ref(url), None, plan.load.ttl)).await?;
            }
            Ok(())
        }
        (Stage::Spawned(_), LockKind::Quorum | LockKind::Control(_)) => {
            // They were started for this run: nobody knows better that they are new.
            let builder = quorum::builder(&plan.endpoints, None, plan.load.ttl);
            admin::fresh(builder).await.map(drop).map_err(PreflightError::from)
        }
        (_, LockKind::Quorum | LockKind::Control(_)) => await_votes(plan).await,
        (_, LockKind::Setnx | LockKind::Lease) => {
            await_servers(plan, &plan.endpoints[..plan.endpoints.len().min(1)]).await
        }
        (_, LockKind::Postgres) => {
            let url = plan.endpoints.first().map_or("", String::as_str);
            postgres::look(url).await.map_err(|error| PreflightError::TooFew {
                lock: plan.lock,
                needed: 1,
                of: 1,
                up: 0,
                reasons: error.to_string(),
            })
        }
        (_, LockKind::Etcd) => enough(plan, etcd::look(&plan.endpoints).await),
        (_, LockKind::Redlock) => await_servers(plan, &plan.endpoints).await,
    }
}

async fn await_servers(plan: &Plan, urls: &[String]) -> Result<(), PreflightError> {
    let looks = urls.iter().map(|url| server::connect(url));
    enough(plan, futures::future::join_all(looks).await)
}

/// Whether so many answer that the lock can be had.
fn enough<T>(plan: &Plan, outcomes: Vec<Result<T, locks::ConnectError>>) -> Result<(), PreflightError> {
    let of = outcomes.len();
    let missing: Vec<locks::ConnectError> = outcomes.into_iter().filter_map(Result::err).collect();
    let (needed, up) = (plan.lock.endpoints_needed(of), of - missing.len());
    if up < needed {
        let reasons = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(PreflightError::TooFew { lock: plan.lock, needed, of, up, reasons });
    }
    for reason in missing {
        eprintln!("warning: an endpoint is down, going on without it: {reason}");
    }
    Ok(())
}

/// Connects as a node would, and sits out a quarantine in plain sight.
async fn await_votes(plan: &Plan) -> Result<(), PreflightError> {
    let client = quorum::builder(&plan.endpoints, None, plan.load.ttl).connect().await?;
    let settled = Instant::now() + SETTLE;
    while count(&client, |state| matches!(state, EndpointState::Connecting)) > 0 && Instant::now() < settled {
        sleep(LOOK_EVERY).await;
    }
    announce(&client.endpoints());
    let outcome = count_down(&client, plan).await;
    client.shutdown(Duration::ZERO).await;
    outcome
}

fn announce(endpoints: &[EndpointStatus]) {
    for EndpointStatus { label, state } in endpoints {
        match state {
            EndpointState::Ready => {}
            EndpointState::Quarantined { .. } => eprintln!("endpoint {label} is {state}"),
            _ => eprintln!("warning: endpoint {label} is {state}; going on without it"),
        }
    }
    if endpoints.iter().any(|endpoint| is_quarantined(&endpoint.state)) {
        eprintln!(
            "waiting until it is over. Next time, an operator can declare a brand-new set before its first client \
             comes: loadgen trio admit --fresh --endpoints URL,URL,URL"
        );
    }
}

async fn count_down(client: &Client, plan: &Plan) -> Result<(), PreflightError> {
    let terminal = stderr().is_terminal();
    let say_every = if terminal { Duration::from_secs(1) } else { Duration::from_secs(5) };
    let deadline = Instant::now() + QUARANTINE_MAX;
    let mut say_at = Instant::now() + say_every;
    while let Some(left) = quarantine_left(&client.endpoints()) {
        if Instant::now() >= deadline {
            break;
        }
        if Instant::now() >= say_at {
            say_at += say_every;
            let (start, end) = if terminal { ("\r", "\x1b[K") } else { ("", "\n") };
            eprint!("{start}quarantine: {:.0} s left{end}", left.as_secs_f64().ceil());
            // What a terminal does not show is no reason to give up.
            stderr().flush().unwrap_or_default();
        }
        sleep(LOOK_EVERY.min(left)).await;
    }
    if terminal {
        eprintln!();
    }
    let needed = plan.lock.endpoints_needed(plan.endpoints.len());
    if count(client, |state| matches!(state, EndpointState::Ready)) >= needed {
        return Ok(());
    }
    let states = client.endpoints();
    let states = states.iter().map(|EndpointStatus { label, state }| format!("{label} is {state}"));
    Err(PreflightError::NeverReady { states: states.collect::<Vec<_>>().join("; ") })
}

fn count(client: &Client, matches: impl Fn(&EndpointState) -> bool) -> usize {
    client.endpoints().iter().filter(|endpoint| matches(&endpoint.state)).count()
}

fn is_quarantined(state: &EndpointState) -> bool {
    matches!(state, EndpointState::Quarantined { .. })
}

fn quarantine_left(endpoints: &[EndpointStatus]) -> Option<Duration> {
    let left = |endpoint: &EndpointStatus| match endpoint.state {
        EndpointState::Quarantined { left } => Some(left),
        _ => None,
    };
    endpoints.iter().filter_map(left).max()
}
