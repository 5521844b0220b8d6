//! etcd's own lock recipe, over three members or those of a URL each.
//!
//! Contract: one holder while its session lives. A node has one session, a lease of whole seconds that it keeps alive at a
//! third of them; a lock is a key under the name that goes with the session's lease, and of all keys under a name the
//! oldest has it. A holder that sleeps past the TTL has lost the lock, and learns it when it wakes, from its own clock: the
//! deadline is counted from when the keep-alive was sent. The fencing token is the revision that made the key.
//!
//! - `api`: the few calls that this takes, as JSON over HTTP.

mod api;

pub(crate) use api::version;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Acquisition, ConnectError, Failure, Held, Lock, next_poll};
use crate::clock::{duration_ns, now_ns, time_until};
use crate::measure::Phase;
use crate::referee::ReleaseOutcome;
use crate::run::plan::Plan;
use crate::run::probe::Probe;
use api::{Api, ApiError, Lease};

/// Between two tries where a member did not answer.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// One node's way to the members, and its session.
pub(crate) struct Etcd {
    api: Arc<Api>,
    ttl: Duration,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    /// Keys of this node made so far: no two acquisitions ever share one.
    keys: AtomicU64,
    probe: Probe,
}

/// A lease that is kept alive until nobody has a use for it.
struct Session {
    api: Arc<Api>,
    lease: Lease,
    /// When it ends by this node's clock; zero once it has.
    deadline_ns: watch::Sender<u64>,
    /// Under it a key may stand that nobody knows of: it must end as soon as those are done who hold locks under it.
    retired: AtomicBool,
}

impl Session {
    async fn open(api: &Arc<Api>, ttl: Duration, probe: &Probe) -> Result<Arc<Self>, ApiError> {
        let sent_ns = now_ns();
        let lease = api.grant(ttl).await?;
        let deadline_ns = watch::Sender::new(sent_ns.saturating_add(duration_ns(lease.ttl)));
        let session =
            Arc::new(Self { api: Arc::clone(api), lease, deadline_ns, retired: AtomicBool::new(false) });
        tokio::spawn(keep_alive(Arc::downgrade(&session), probe.clone()));
        Ok(session)
    }

    fn is_over(&self) -> bool {
        *self.deadline_ns.borrow() <= now_ns()
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    fn is_of_use(&self) -> bool {
        !self.is_over() && !self.retired.load(Ordering::Relaxed)
    }
}

impl Drop for Session {
    /// The servers need not wait for its end; if they are not told, they do.
    fn drop(&mut self) {
        let (api, id) = (Arc::clone(&self.api), self.lease.id.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(api.revoke(&id).await) });
        }
    }
}

/// At each third of the TTL, until the session is over or dropped.
async fn keep_alive(session: Weak<Session>, probe: Probe) {
    loop {
        let Some(third) = session.upgrade().map(|session| session.lease.ttl / 3) else { return };
        sleep(third).await;
        let Some(session) = session.upgrade() else { return };
        let sent_ns = now_ns();
        while !session.is_over() {
            let old_deadline_ns = *session.deadline_ns.borrow();
            let kept = session.api.keep_alive(&session.lease.id, third).await;
            let done_ns = now_ns();
            probe.renewal(matches!(kept, Ok(true)), false);
            match kept {
                Ok(true) => {
                    probe.record(Phase::Renew, done_ns.saturating_sub(sent_ns));
                    probe.record(Phase::RenewalSlack, old_deadline_ns.saturating_sub(done_ns));
                    session.deadline_ns.send_replace(sent_ns.saturating_add(duration_ns(session.lease.ttl)));
                    break;
                }
                Ok(false) => {
                    session.deadline_ns.send_replace(0);
                }
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
        if session.is_over() {
            session.deadline_ns.send_replace(0);
            return;
        }
    }
}

/// Whether the members answer, each with what it says if it does not.
pub(crate) async fn look(urls: &[String]) -> Vec<Result<(), ConnectError>> {
    let looks = urls.iter().map(|url| async move {
        let api = Api::new(std::slice::from_ref(url), 0);
        api.look().await.map_err(|error| ConnectError(format!("{url}: {error}")))
    });
    futures::future::join_all(looks).await
}

impl Etcd {
    pub(crate) async fn connect(plan: &Plan, node: u32, probe: Probe) -> Result<Self, ConnectError> {
        let api = Arc::new(Api::new(plan.endpoints_of(node), node as usize));
        let ttl = plan.load.ttl;
        // One member may be down: there is a try for each.
        let mut opened = Session::open(&api, ttl, &probe).await;
        for _ in 1..plan.endpoints.len() {
            if opened.is_err() {
                opened = Session::open(&api, ttl, &probe).await;
            }
        }
        let session = opened.map_err(|error| ConnectError(error.to_string()))?;
        let session = tokio::sync::Mutex::new(Some(session));
        Ok(Self { api, ttl, session, keys: AtomicU64::new(0), probe })
    }

    async fn session(&self) -> Result<Arc<Session>, ApiError> {
        let mut session = self.session.lock().await;
        if let Some(standing) = session.as_ref().filter(|session| session.is_of_use()) {
            return Ok(Arc::clone(standing));
        }
        Ok(Arc::clone(session.insert(Session::open(&self.api, self.ttl, &self.probe).await?)))
    }

    async fn acquire(&self, name: &str, wait: Duration) -> Acquisition {
        let wait_end_ns = now_ns().saturating_add(duration_ns(wait));
        loop {
            let sent_ns = now_ns();
            let outcome = self.attempt(name, wait_end_ns).await;
            self.probe.record(Phase::Attempt, now_ns().saturating_sub(sent_ns));
            match outcome {
                Ok(grant) => return Ok(Box::new(grant)),
                // A member that does not answer is passed over the next time.
                Err(Failure::NoQuorum) => sleep(next_poll(wait_end_ns).ok_or(Failure::NoQuorum)?).await,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Stands in line until it is the first, or the wait is over, or something goes wrong.
    async fn attempt(&self, name: &str, wait_end_ns: u64) -> Result<Grant, Failure> {
        let session = self.session().await.map_err(|_| Failure::NoQuorum)?;
        let key = format!("{name}/{}-{}", session.lease.id, self.keys.fetch_add(1, Ordering::Relaxed));
        let failure = match self.api.put(&key, &session.lease.id).await {
            Ok(revision) => {
                let line = self.stand_in_line(name, &key, revision);
                match timeout(time_until(wait_end_ns), line).await {
                    // A session that ended meanwhile took the key with it.
                    Ok(Ok(())) if session.is_over() => return Err(Failure::ValidityExhausted),
                    Ok(Ok(())) => return Ok(Grant { session, key, revision }),
                    Ok(Err(_)) => Failure::NoQuorum,
                    Err(_) => Failure::Held,
                }
            }
            Err(_) => {
                // The key may yet come into being.
                session.retire();
                Failure::NoQuorum
            }
        };
        if self.api.delete(&key).await.is_err() {
            session.retire();
            return Err(Failure::Unknown);
        }
        Err(failure)
    }

    /// Until the key made in `revision` is the oldest under the name.
    async fn stand_in_line(&self, name: &str, key: &str, revision: u64) -> Result<(), ApiError> {
        let mut waited = false;
        while let Some(before) = self.api.last_before(name, revision).await? {
            waited = true;
            self.api.deleted(&before.key, before.seen_revision + 1).await?;
        }
        // Those before are gone; so is this one if the session has ended.
        if waited && !self.api.exists(key).await? {
            return Err(ApiError::Refused("the session has ended".to_owned()));
        }
        Ok(())
    }
}

impl Lock for Etcd {
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition> {
        self.acquire(name, wait).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async { *self.session.lock().await = None }.boxed()
    }
}

struct Grant {
    session: Arc<Session>,
    key: String,
    revision: u64,
}

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        Some(self.revision)
    }

    fn valid_until_ns(&self) -> Option<u64> {
        Some(*self.session.deadline_ns.borrow())
    }

    fn is_valid(&self) -> bool {
        !self.session.is_over()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let mut deadline_ns = self.session.deadline_ns.subscribe();
        async move {
            loop {
                let until_ns = *deadline_ns.borrow_and_update();
                if until_ns <= now_ns() {
                    return;
                }
                tokio::select! {
                    () = sleep(time_until(until_ns)) => {}
                    changed = deadline_ns.changed() => if changed.is_err() { return },
                }
            }
        }
        .boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        async move {
            match self.session.api.delete(&self.key).await {
                Ok(()) => ReleaseOutcome::Clean,
                Err(_) => {
                    self.session.retire();
                    ReleaseOutcome::Unknown
                }
            }
        }
        .boxed()
    }
}
