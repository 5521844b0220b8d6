//! The library: quorum leases with fencing tokens, renewal and loss notice.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use leasehold::memory::MemoryEndpoints;
use leasehold::{
    AcquireError, AttemptReport, Client, ClientBuilder, Lease, LossReport, Observer, ReleaseError,
    RenewalReport,
};

use super::{Acquisition, ConnectError, Failure, Held, Lock};
use crate::clock::{duration_ns, ns_of};
use crate::measure::Phase;
use crate::referee::ReleaseOutcome;
use crate::run::plan::Plan;
use crate::run::probe::Probe;

/// The library's default, which never may be more than 40 % of the TTL.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

/// One node's client of the set.
pub(crate) struct Quorum {
    client: Client,
}

impl Quorum {
    pub(crate) async fn connect(
        plan: &Plan,
        node: u32,
        memory: Option<&MemoryEndpoints>,
        probe: Probe,
    ) -> Result<Self, ConnectError> {
        let builder = builder(plan.endpoints_of(node), memory, plan.load.ttl).observer(Arc::new(Feed(probe)));
        let client = builder.connect().await.map_err(|error| ConnectError(error.to_string()))?;
        Ok(Self { client })
    }

    /// A client of these endpoints, which need not be all.
    pub(super) async fn connect_to(
        endpoints: &[String],
        plan: &Plan,
        probe: Probe,
    ) -> Result<Self, ConnectError> {
        let builder = builder(endpoints, None, plan.load.ttl).observer(Arc::new(Feed(probe)));
        let client = builder.connect().await.map_err(|error| ConnectError(error.to_string()))?;
        Ok(Self { client })
    }

    pub(super) async fn acquire(&self, name: &str, wait: Duration) -> Acquisition {
        match self.client.lease(name).wait(wait).acquire().await {
            Ok(lease) => Ok(Box::new(Grant(lease))),
            Err(AcquireError::Held { .. }) => Err(Failure::Held),
            Err(AcquireError::NoQuorum { .. }) => Err(Failure::NoQuorum),
            Err(AcquireError::ValidityExhausted { .. }) => Err(Failure::ValidityExhausted),
            Err(_) => Err(Failure::Refused),
        }
    }
}

/// The settings that every client of a run has in common.
pub(crate) fn builder(
    endpoints: &[String],
    memory: Option<&MemoryEndpoints>,
    ttl: Duration,
) -> ClientBuilder {
    let builder = Client::builder().ttl(ttl).request_timeout(REQUEST_TIMEOUT.min(ttl * 2 / 5));
    match memory {
        Some(memory) => builder.memory(memory),
        None => builder.endpoints(endpoints),
    }
}

impl Lock for Quorum {
    fn acquire<'a>(&'a self, name: &'a str, wait: Duration) -> BoxFuture<'a, Acquisition> {
        self.acquire(name, wait).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // Nothing is held any more, so there is nothing to wait for.
        self.client.shutdown(Duration::ZERO).map(drop).boxed()
    }
}

struct Grant(Lease);

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        Some(self.0.fence().get())
    }

    fn valid_until_ns(&self) -> Option<u64> {
        Some(ns_of(self.0.valid_until()))
    }

    fn is_valid(&self) -> bool {
        self.0.is_valid()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        self.0.lost().map(drop).boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        async move {
            match self.0.release().await {
                // Over before: there was nothing left to remove, and the library removes by owner only.
                Ok(()) | Err(ReleaseError::Lost { .. }) => ReleaseOutcome::Clean,
                Err(_) => ReleaseOutcome::Unknown,
            }
        }
        .boxed()
    }
}

/// What the library tells its observer goes into the histograms.
struct Feed(Probe);

impl Observer for Feed {
    fn on_attempt(&self, report: &AttemptReport) {
        self.0.record(Phase::Attempt, duration_ns(report.latency));
        if let Some(skew) = report.first_to_deciding {
            self.0.record(Phase::FirstToDeciding, duration_ns(skew));
        }
    }

    fn on_renewal(&self, report: &RenewalReport) {
        self.0.record(Phase::Renew, duration_ns(report.latency));
        self.0.renewal(report.succeeded, report.shadow);
        if report.succeeded {
            self.0.record(Phase::RenewalSlack, duration_ns(report.slack));
        }
    }

    fn on_loss(&self, report: &LossReport) {
        self.0.record(Phase::LossNotice, duration_ns(report.after_deadline));
    }
}
