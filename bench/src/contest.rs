//! One hot name: nodes with clients of their own wait for it, hold it for a moment, give it back, and wait again.

mod rivals;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fred::interfaces::ClientLike as _;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

pub use self::rivals::{HotLeasehold, HotNaive, HotRslock, Rival};
use crate::contender::{Driver as _, Failure, Fred};

/// How the contest is held.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Between grant and release.
    pub hold: Duration,
    /// How long it goes on.
    pub duration: Duration,
}

/// What waiting cost, besides time.
#[derive(Debug, Default)]
pub struct Tries {
    /// Attempts, successful or not.
    pub attempts: AtomicU64,
    /// Times that a lock gave up by its own rules.
    pub given_up: AtomicU64,
}

/// What a contest found.
#[derive(Clone, Copy, Debug)]
pub struct ContestSample {
    /// Grants a second.
    pub grants_per_s: f64,
    /// Of the time, how much somebody held the lock.
    pub held_share: f64,
    /// The middle wait.
    pub wait_p50_us: f64,
    /// 99 of 100 waits were as short.
    pub wait_p99_us: f64,
    /// The latter, against a turn of everybody: waiters times hold and hand-over.
    pub wait_p99_turns: f64,
    /// Jain's index of grants per node: 1 if all had as many.
    pub jain: f64,
    /// Attempts after the first, for each grant.
    pub retries_per_grant: f64,
    /// Times that a lock gave up, for each grant.
    pub given_up_per_grant: f64,
    /// From the call of release to the next holder at work.
    pub hand_over_p50_us: f64,
    /// The same in round trips of the time.
    pub hand_over_round_trips: f64,
}

/// One grant, as its holder saw it.
#[derive(Clone, Copy, Debug)]
struct Grant {
    node: usize,
    called: Instant,
    granted: Instant,
    released: Instant,
}

/// Holds a contest. `url` is a server to which round trips are measured meanwhile.
///
/// # Errors
/// When a node fails in another way than by not getting the lock, or hardly anybody gets it.
pub async fn run<R: Rival>(
    nodes: &[Arc<R>],
    tries: &Tries,
    terms: Terms,
    url: &str,
) -> Result<ContestSample, Failure> {
    let driver = Fred::connect(url).await?;
    let grants = Arc::new(Mutex::new(Vec::new()));
    let (attempts_before, given_up_before) =
        (tries.attempts.load(Ordering::Relaxed), tries.given_up.load(Ordering::Relaxed));
    let start = Instant::now();
    let end = start + terms.duration;
    let mut tasks = JoinSet::new();
    for (node, rival) in nodes.iter().enumerate() {
        tasks.spawn(take_turns(node, Arc::clone(rival), terms.hold, end, Arc::clone(&grants)));
    }
    let mut ping_ns: Histogram<u64> = Histogram::new_with_bounds(1_000, 60_000_000_000, 2)?;
    while Instant::now() < end {
        let sent = Instant::now();
        driver.client().ping::<()>(None).await?;
        ping_ns.saturating_record(u64::try_from(sent.elapsed().as_nanos())?);
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let mut grants = std::mem::take(&mut *grants.lock().unwrap_or_else(PoisonError::into_inner));
    grants.sort_by_key(|grant: &Grant| grant.granted);
    let attempts = tries.attempts.load(Ordering::Relaxed) - attempts_before;
    let given_up = tries.given_up.load(Ordering::Relaxed) - given_up_before;
    judge(&grants, nodes.len(), start, ping_ns.value_at_quantile(0.5) as f64 / 1e3, attempts, given_up)
}

async fn take_turns<R: Rival>(
    node: usize,
    rival: Arc<R>,
    hold: Duration,
    end: Instant,
    grants: Arc<Mutex<Vec<Grant>>>,
) -> Result<(), Failure> {
    while Instant::now() < end {
        let called = Instant::now();
        // Whoever still waits at the end goes home.
        let Ok(held) = tokio::time::timeout_at(end.into(), rival.acquire("hot")).await else {
            break;
        };
        let held = held?;
        let granted = Instant::now();
        tokio::time::sleep(hold).await;
        let released = Instant::now();
        grants.lock().unwrap_or_else(PoisonError::into_inner).push(Grant { node, called, granted, released });
        rival.release(held).await?;
    }
    Ok(())
}

fn judge(
    grants: &[Grant],
    nodes: usize,
    start: Instant,
    ping_us: f64,
    attempts: u64,
    given_up: u64,
) -> Result<ContestSample, Failure> {
    let (Some(last), true) = (grants.last(), grants.len() > 1) else {
        return Err("hardly anybody was granted the lock: let it go on for longer".into());
    };
    let elapsed_s = last.released.duration_since(start).as_secs_f64();
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let count = grants.len() as f64;
    let held_us: f64 = grants.iter().map(|grant| us(grant.released.duration_since(grant.granted))).sum();
    let waits = sorted(grants.iter().map(|grant| us(grant.granted.duration_since(grant.called))));
    let gaps = grants.windows(2).map(|pair| us(pair[1].granted.saturating_duration_since(pair[0].released)));
    let hand_over_p50_us = percentile(&sorted(gaps), 50);
    let wait_p99_us = percentile(&waits, 99);
    let turn_us = (nodes - 1) as f64 * (held_us / count + hand_over_p50_us);
    let per_node = (0..nodes).map(|node| grants.iter().filter(|grant| grant.node == node).count() as f64);
    let squares: f64 = per_node.map(|grants| grants * grants).sum();
    Ok(ContestSample {
        grants_per_s: count / elapsed_s,
        held_share: held_us / 1e6 / elapsed_s,
        wait_p50_us: percentile(&waits, 50),
        wait_p99_us,
        wait_p99_turns: wait_p99_us / turn_us,
        jain: count * count / (nodes as f64 * squares),
        // Nodes that went home at the end had tried, too.
        retries_per_grant: (attempts as f64 - count).max(0.0) / count,
        given_up_per_grant: given_up as f64 / count,
        hand_over_p50_us,
        hand_over_round_trips: hand_over_p50_us / ping_us,
    })
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let place = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_contest_is_told_from_a_poor_one() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let grant = |node, called, granted, released| Grant {
            node,
            called: at(called),
            granted: at(granted),
            released: at(released),
        };
        let fair = [grant(0, 0, 0, 5), grant(1, 0, 6, 11), grant(0, 5, 12, 17), grant(1, 11, 18, 23)];
        let sample = judge(&fair, 2, start, 500.0, 6, 0).unwrap();
        assert!((sample.jain - 1.0).abs() < 1e-9);
        assert!((sample.retries_per_grant - 0.5).abs() < 1e-9);
        assert!((sample.hand_over_round_trips - 2.0).abs() < 1e-9);
        assert!((sample.held_share - 20.0 / 23.0).abs() < 1e-9);

        let unfair = [grant(0, 0, 0, 5), grant(0, 5, 6, 11)];
        assert!((judge(&unfair, 2, start, 500.0, 2, 0).unwrap().jain - 0.5).abs() < 1e-9);
        assert!(judge(&unfair[..1], 2, start, 500.0, 1, 0).is_err());
    }
}
