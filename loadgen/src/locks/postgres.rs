//! PostgreSQL session advisory locks, on one server.
//!
//! Contract: one holder while the server remembers it, and it remembers for as long as the holder's connection stands:
//! there is no TTL. A holder that sleeps keeps everybody out; one whose connection breaks has lost the lock and learns it
//! from the connection, as soon as the system says that it broke. There is no fencing token.

use std::collections::HashMap;
use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

use super::{Acquisition, ConnectError, Failure, Held, Lock, next_poll};
use crate::clock::{duration_ns, now_ns, time_until};
use crate::locked;
use crate::measure::Phase;
use crate::referee::ReleaseOutcome;
use crate::run::endpoints::without_password;
use crate::run::plan::Plan;
use crate::run::probe::Probe;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const START_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);

/// One node's connection, made anew when it broke.
pub(crate) struct Postgres {
    config: Config,
    session: tokio::sync::Mutex<Option<Session>>,
    /// A session may take its own lock again: among the tasks of one node, this decides.
    names: Mutex<HashMap<i64, Arc<tokio::sync::Mutex<()>>>>,
    probe: Probe,
}

/// A connection, and whether it stands.
#[derive(Clone)]
struct Session {
    client: Arc<Client>,
    broken: watch::Receiver<bool>,
}

/// Whether a server answers there; one that is only starting up is given some time.
pub(crate) async fn look(url: &str) -> Result<(), ConnectError> {
    let config = config(url)?;
    let patience = Instant::now() + START_TIMEOUT;
    loop {
        match Session::open(&config).await {
            Ok(_) => return Ok(()),
            Err(reason) if !reason.contains("starting up") || Instant::now() >= patience => {
                return Err(unreachable(url, &reason));
            }
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

fn config(url: &str) -> Result<Config, ConnectError> {
    let mut config: Config =
        url.parse().map_err(|error: tokio_postgres::Error| unreachable(url, &error.to_string()))?;
    config.connect_timeout(CONNECT_TIMEOUT);
    Ok(config)
}

fn unreachable(url: &str, reason: &str) -> ConnectError {
    ConnectError(format!("{}: {reason}", without_password(url)))
}

impl Session {
    async fn open(config: &Config) -> Result<Self, String> {
        let connecting = timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await;
        let (client, connection) =
            connecting.map_err(|_| "no connection in time".to_owned())?.map_err(|error| reasons(&error))?;
        let (breaks, broken) = watch::channel(false);
        tokio::spawn(async move {
            // Whatever ended it: the server has forgotten what this session held.
            drop(connection.await);
            breaks.send_replace(true);
        });
        Ok(Self { client: Arc::new(client), broken })
    }

    async fn ask(&self, query: &str, key: i64) -> Result<bool, Failure> {
        let asked = timeout(QUERY_TIMEOUT, self.client.query_one(query, &[&key])).await;
        let row = asked.map_err(|_| Failure::Unknown)?.map_err(|_| Failure::Unknown)?;
        row.try_get(0).map_err(|_| Failure::Refused)
    }
}

/// The crate keeps the reason behind a general word.
fn reasons(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    text
}

impl Postgres {
    pub(crate) async fn connect(plan: &Plan, node: u32, probe: Probe) -> Result<Self, ConnectError> {
        let url = plan.endpoints_of(node).first().ok_or_else(|| ConnectError("no endpoint".to_owned()))?;
        let config = config(url)?;
        let session = Session::open(&config).await.map_err(|reason| unreachable(url, &reason))?;
        Ok(Self { config, session: tokio::sync::Mutex::new(Some(session)), names: Mutex::default(), probe })
    }

    async fn session(&self) -> Result<Session, Failure> {
        let mut session = self.session.lock().await;
        if let Some(standing) = session.as_ref().filter(|session| !*session.broken.borrow()) {
            return Ok(standing.clone());
        }
        let new = Session::open(&self.config).await.map_err(|_| Failure::NoQuorum)?;
        Ok(session.insert(new).clone())
    }

    async fn acquire(&self, name: &str, wait: Duration) -> Acquisition {
        let wait_end_ns = now_ns().saturating_add(duration_ns(wait));
        let key = key(name);
        let own = Arc::clone(locked(&self.names).entry(key).or_default());
        let own = timeout(time_until(wait_end_ns), own.lock_owned()).await.map_err(|_| Failure::Held)?;
        loop {
            let session = self.session().await?;
            let sent_ns = now_ns();
            let granted = session.ask("SELECT pg_try_advisory_lock($1)", key).await;
            self.probe.record(Phase::Attempt, now_ns().saturating_sub(sent_ns));
            match granted {
                Ok(true) => return Ok(Box::new(Grant { session, key, _own: own })),
                Ok(false) => sleep(next_poll(wait_end_ns).ok_or(Failure::Held)?).await,
                Err(failure) => {
                    // A session that may hold the lock unknown to us must not go on.
                    *self.session.lock().await = None;
                    return Err(failure);
                }
            }
        }
    }
}

/// Advisory locks are numbers.
fn key(name: &str) -> i64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish().cast_signed()
}

impl Lock for Postgres {
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition> {
        self.acquire(name, wait).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async { *self.session.lock().await = None }.boxed()
    }
}

struct Grant {
    session: Session,
    key: i64,
    _own: OwnedMutexGuard<()>,
}

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        None
    }

    /// Until it is released or the connection breaks.
    fn valid_until_ns(&self) -> Option<u64> {
        None
    }

    fn is_valid(&self) -> bool {
        !*self.session.broken.borrow()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let mut broken = self.session.broken.clone();
        async move {
            // A sender that has gone without a word has ended with its runtime.
            if broken.wait_for(|broken| *broken).await.is_err() {
                pending::<()>().await;
            }
        }
        .boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        async move {
            match self.session.ask("SELECT pg_advisory_unlock($1)", self.key).await {
                Ok(_) => ReleaseOutcome::Clean,
                Err(_) => ReleaseOutcome::Unknown,
            }
        }
        .boxed()
    }
}
