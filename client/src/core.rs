//! What all handles of one client share.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::courier::Courier;
use crate::dispatcher::{Dispatcher, Entry, Party};
use crate::endpoint::Endpoint;
use crate::error::{self, EndpointReason, EndpointReasons};
use crate::keeper::Keeper;
use crate::lines::Lines;
use crate::observer::Observer;
use crate::peers::Peers;
use crate::protocol::gate::Standing;
use crate::protocol::operation::{Operation, Reply, Request};
use crate::protocol::{ClientId, EndpointId, LeaseName, OwnerId, Quorum};
use crate::rtt::RoundTimes;
use crate::status::{EndpointState, EndpointStatus};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Notify, spawn};
use crate::waiting::hear;

/// The inside of a client. Its tasks end when the last handle and the last lease are gone.
pub(crate) struct Core {
    pub(crate) quorum: Quorum,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) observer: Arc<dyn Observer>,
    /// In whose name attempts are made and waited.
    pub(crate) client: ClientId,
    pub(crate) lines: Arc<Lines>,
    /// Cancelled with the client: ends what listens for wake-ups.
    ended: DropGuard,
    namespace: String,
    links: Vec<Link>,
    /// The last proposal for a token. Each attempt's is larger than the one before.
    proposal: AtomicU64,
    /// How long rounds take.
    pub(crate) rounds: RoundTimes,
    closed: AtomicBool,
    /// How many leases are held.
    held: AtomicUsize,
    /// Told when none is held any more.
    idle: Notify,
}

/// What the core keeps of one endpoint.
struct Link {
    endpoint: Arc<dyn Endpoint>,
    dispatcher: Arc<Dispatcher>,
    standing: watch::Receiver<Standing>,
}

/// On whose behalf requests are made.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: LeaseName,
    pub(crate) owner: OwnerId,
    pub(crate) ttl_ms: u32,
    /// How long each answer may take.
    pub(crate) timeout_ms: u32,
}

impl Core {
    /// Starts the tasks. Must be called on a runtime.
    pub(crate) fn start(
        config: &Config,
        observer: Arc<dyn Observer>,
        endpoints: Vec<Arc<dyn Endpoint>>,
    ) -> Self {
        let peers = Arc::new(Peers::new(config.quorum));
        let keeper = Keeper::spawn(&config.clock);
        let link = |(id, endpoint): (_, Arc<dyn Endpoint>)| {
            let dispatcher = Arc::new(Dispatcher::new(id, &config.clock));
            let (courier, standing) = Courier::new(
                Arc::clone(&dispatcher),
                Arc::clone(&endpoint),
                Arc::clone(&peers),
                config,
                Arc::clone(&keeper),
            );
            spawn(courier.run());
            Link { endpoint, dispatcher, standing }
        };
        let links = config.quorum.ids().zip(endpoints).map(link).collect();
        Self {
            keeper,
            quorum: config.quorum,
            limits: config.limits,
            clock: config.clock.clone(),
            chance: config.chance.clone(),
            observer,
            client: ClientId::new(config.chance.bits()),
            lines: Arc::new(Lines::new(&config.chance)),
            ended: CancellationToken::new().drop_guard(),
            namespace: config.settings.namespace.clone(),
            links,
            proposal: AtomicU64::new(0),
            rounds: RoundTimes::new(&config.clock),
            closed: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            idle: Notify::new(),
        }
    }

    /// Puts requests before their endpoints.
    pub(crate) fn send(&self, party: &Arc<impl Party + 'static>, subject: &Subject, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        // After one TTL what a request is about has expired by itself.
        let expires = self.clock.now().plus_ms(subject.ttl_ms.into());
        for Request { endpoint, round, action } in requests {
            let operation = Operation { name: subject.name.clone(), owner: subject.owner, action };
            let party: Arc<dyn Party> = Arc::clone(party) as _;
            let entry = Entry { party, round, operation, expires, timeout_ms: subject.timeout_ms };
            self.links[endpoint.index()].dispatcher.push(entry);
        }
    }

    /// The wall clock in microseconds, moved on where needed so that no two attempts of this client propose one token.
    pub(crate) fn next_proposal(&self) -> u64 {
        let wall_us = self.clock.wall_us();
        let next = |last: u64| Some(wall_us.max(last.saturating_add(1)));
        let last = self.proposal.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        wall_us.max(last.unwrap_or_default().saturating_add(1))
    }

    /// Listens for wake-ups from here on, if that has not begun.
    pub(crate) fn listen(self: &Arc<Self>) {
        if !self.lines.open() {
            return;
        }
        for (id, link) in self.quorum.ids().zip(&self.links) {
            let wakes = link.endpoint.listen(self.client);
            spawn(hear(Arc::downgrade(self), id, wakes, self.ended.token().clone()));
        }
    }

    /// The key of a lock.
    pub(crate) fn lock_key(&self, name: &LeaseName) -> String {
        format!("{}:lock:{name}", self.namespace)
    }

    /// What each endpoint answered, in words; of one that has not answered, what is known to be wrong with it.
    pub(crate) fn reasons(&self, replies: &[Option<Reply>]) -> EndpointReasons {
        let reason = |(link, reply): (&Link, &Option<Reply>)| {
            let reason = match (reply, link.standing.borrow().state(self.clock.now())) {
                (Some(reply), _) => error::describe(reply),
                (None, EndpointState::Ready | EndpointState::Connecting) => "no answer yet".to_owned(),
                (None, state) => format!("no answer yet; {state}"),
            };
            EndpointReason { endpoint: link.endpoint.label().to_owned(), reason }
        };
        EndpointReasons(self.links.iter().zip(replies).map(reason).collect())
    }

    /// The endpoints that are not admitted, and why.
    pub(crate) fn missing(&self) -> EndpointReasons {
        let missing = self.links.iter().filter(|link| !link.standing.borrow().is_admitted());
        let reason = |link: &Link| EndpointReason {
            endpoint: link.endpoint.label().to_owned(),
            reason: link.standing.borrow().state(self.clock.now()).to_string(),
        };
        EndpointReasons(missing.map(reason).collect())
    }

    /// Whether word with this record of admission comes from the endpoint as it was admitted.
    pub(crate) fn vouches_for(&self, endpoint: EndpointId, member: &str) -> bool {
        self.links[endpoint.index()].standing.borrow().vouches_for(member)
    }

    /// Each endpoint's standing, now and from now on.
    pub(crate) fn standings(&self) -> impl Iterator<Item = watch::Receiver<Standing>> {
        self.links.iter().map(|link| link.standing.clone())
    }

    pub(crate) fn status(&self) -> Vec<EndpointStatus> {
        let status = |link: &Link| EndpointStatus {
            label: link.endpoint.label().to_owned(),
            state: link.standing.borrow().state(self.clock.now()),
        };
        self.links.iter().map(status).collect()
    }

    /// Authenticates all connections anew; gives the endpoints where that failed.
    pub(crate) async fn reauthenticate(&self) -> EndpointReasons {
        let outcomes = join_all(self.links.iter().map(|link| link.endpoint.reauthenticate())).await;
        let failed = self.links.iter().zip(outcomes).filter_map(|(link, outcome)| {
            let reason = outcome.err()?.to_string();
            Some(EndpointReason { endpoint: link.endpoint.label().to_owned(), reason })
        });
        EndpointReasons(failed.collect())
    }

    /// No attempt begins from here on.
    pub(crate) fn close(&self) {
        // In one order with the count of leases: one is held before it is asked whether this has happened.
        self.closed.store(true, Ordering::SeqCst);
        self.lines.disturb();
    }

    /// A lease is held.
    pub(crate) fn enter(&self) {
        self.held.fetch_add(1, Ordering::SeqCst);
    }

    /// A lease is over.
    pub(crate) fn leave(&self) {
        if self.held.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
    }

    /// Waits until no lease is held.
    pub(crate) async fn idle(&self) {
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.held.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        for link in &self.links {
            link.dispatcher.close();
        }
        self.keeper.close();
    }
}
