//! What is known of a run at one moment.

use std::collections::BTreeMap;

use crate::clock::now_ns;
use crate::referee::SoFar;
use crate::run::archive::Second;
use crate::run::court::Court;
use crate::run::plan::Plan;
use crate::run::waiting::Waiting;
use crate::scenario::Load;

/// Whole seconds that a rate is taken over: the newest may not have been reported by everybody.
const RATE_SECONDS: usize = 5;

/// A run at one moment. Everything but `waiting`, `held`, `faults` and `safety` is about the measured part.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Since the first arrival.
    pub(crate) since_ns: u64,
    /// How long it is to go on after that.
    pub(crate) left_ns: u64,
    pub(crate) phase: RunPhase,
    pub(crate) rates: Option<Rates>,
    pub(crate) sent: u64,
    pub(crate) not_sent: u64,
    pub(crate) granted: u64,
    /// By reason.
    pub(crate) failed: BTreeMap<&'static str, u64>,
    pub(crate) attempts: u64,
    pub(crate) acquire_p99_us: Option<f64>,
    pub(crate) seconds: Vec<Second>,
    pub(crate) waiting: Waiting,
    pub(crate) held: usize,
    /// What is being done, and to whom: `("pause-node", ["node 3", "node 7"])`.
    pub(crate) faults: BTreeMap<&'static str, Vec<String>>,
    pub(crate) safety: SoFar,
}

/// Which part of it the run has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RunPhase {
    #[default]
    WarmUp,
    Measured,
    CoolDown,
    /// The last arrival is past; leases that are out come to their end.
    LastLeases,
}

/// Acquisitions a second over the last whole seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    /// Due, by the plan, to the nodes that are played here.
    pub(crate) offered_per_s: f64,
    pub(crate) sent_per_s: f64,
    pub(crate) granted_per_s: f64,
}

impl Snapshot {
    pub(crate) fn of(plan: &Plan, court: &Court, start_ns: u64) -> Self {
        let since_ns = now_ns().saturating_sub(start_ns);
        let (counts, glance) = (court.counts(), court.glance());
        let mut faults = BTreeMap::<_, Vec<String>>::new();
        for (name, target) in court.faults_active() {
            faults.entry(name).or_default().push(target.to_owned());
        }
        Self {
            since_ns,
            left_ns: plan.load.length_ns().saturating_sub(since_ns),
            phase: RunPhase::at(&plan.load, since_ns),
            rates: Rates::over(plan, &glance.seconds),
            sent: counts.sent(),
            not_sent: counts.not_sent(),
            granted: counts.granted,
            failed: counts.failed.iter().map(|(failure, &count)| (failure.name(), count)).collect(),
            attempts: glance.attempts,
            acquire_p99_us: glance.acquire_p99_us,
            seconds: glance.seconds,
            waiting: court.waiting(),
            held: court.held(),
            faults,
            safety: court.so_far(),
        }
    }

    /// Attempts beyond each acquisition's first, for each grant.
    pub(crate) fn retries_per_grant(&self) -> Option<f64> {
        let retries = self.attempts.saturating_sub(self.sent);
        (self.granted > 0).then(|| retries as f64 / self.granted as f64)
    }
}

impl RunPhase {
    fn at(load: &Load, since_ns: u64) -> Self {
        let (from_ns, to_ns) = load.measured_ns();
        match since_ns {
            since_ns if since_ns < from_ns => Self::WarmUp,
            since_ns if since_ns < to_ns => Self::Measured,
            since_ns if since_ns < load.length_ns() => Self::CoolDown,
            _ => Self::LastLeases,
        }
    }

    /// What there is to say about it; nothing about the usual one.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warming up",
            Self::Measured => "",
            Self::CoolDown => "cooling down",
            Self::LastLeases => "last leases",
        }
    }
}

impl Rates {
    pub(crate) fn over(plan: &Plan, seconds: &[Second]) -> Option<Self> {
        let load = &plan.load;
        let share = plan.nodes().len() as f64 / f64::from(load.nodes);
        let whole = &seconds[..seconds.len().saturating_sub(1)];
        let last = &whole[whole.len().saturating_sub(RATE_SECONDS)..];
        let mean = |of: &dyn Fn(&Second) -> f64| last.iter().map(of).sum::<f64>() / last.len() as f64;
        let offered = |second: &Second| {
            share * load.rate_at(load.warm_up.as_secs_f64() + f64::from(second.number) + 0.5)
        };
        (!last.is_empty()).then(|| Self {
            offered_per_s: mean(&offered),
            sent_per_s: mean(&|second| second.sent as f64),
            granted_per_s: mean(&|second| second.granted as f64),
        })
    }
}
