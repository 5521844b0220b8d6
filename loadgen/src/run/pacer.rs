//! Releases arrivals when they are due. A thread of its own: tokio's timer is a millisecond off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::mpsc;

use crate::clock::{duration_ns, now_ns, time_until};
use crate::measure::new_histogram;
use crate::run::schedule::Arrival;

/// The pacer looks up from its sleep at least this often to see whether the run was stopped.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// Spinning takes a core from the servers, so the last stretch before an arrival stays short.
pub(crate) const SPIN_MAX: Duration = Duration::from_micros(100);

/// Ends a pacer's work early.
#[derive(Debug, Default)]
pub(crate) struct Brake(AtomicBool);

impl Brake {
    pub(crate) fn pull(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_pulled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Hands each arrival to its node at `start_ns` plus its due time. Whatever has fallen due meanwhile, because this
/// thread was late or the process was stopped, is released at once with its intended time. Arrivals whose node has no
/// room for them go to `not_sent`.
pub(crate) fn release(
    arrivals: impl Iterator<Item = Arrival>,
    start_ns: u64,
    spin: Duration,
    nodes: &HashMap<u32, mpsc::Sender<Arrival>>,
    brake: &Brake,
    not_sent: impl Fn(Arrival),
) {
    sharpen_timers();
    for arrival in arrivals {
        let Some(node) = nodes.get(&arrival.node) else { continue };
        if !wait_until(start_ns.saturating_add(arrival.due_ns), spin.min(SPIN_MAX), brake) {
            return;
        }
        if node.try_send(arrival).is_err() {
            not_sent(arrival);
        }
    }
}

/// How far off this machine's sleep is, in nanoseconds, over a quarter of a second.
pub(crate) fn oversleep() -> Histogram<u64> {
    const PERIOD: Duration = Duration::from_micros(1_237);
    const SLEEPS: u32 = 200;
    sharpen_timers();
    let mut late_ns = new_histogram();
    for _ in 0..SLEEPS {
        let due_ns = now_ns() + duration_ns(PERIOD);
        std::thread::sleep(PERIOD);
        late_ns.saturating_record(now_ns().saturating_sub(due_ns));
    }
    late_ns
}

/// False when the run was stopped meanwhile.
fn wait_until(due_ns: u64, spin: Duration, brake: &Brake) -> bool {
    loop {
        if brake.is_pulled() {
            return false;
        }
        let left = time_until(due_ns);
        if left.is_zero() {
            return true;
        }
        match left.checked_sub(spin) {
            Some(sleep) if !sleep.is_zero() => std::thread::sleep(sleep.min(SLEEP_MAX)),
            _ => std::hint::spin_loop(),
        }
    }
}

/// Linux rounds a thread's sleeps up by 50 us unless it asks for better; elsewhere there is nothing to ask.
fn sharpen_timers() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        eprintln!("loadgen: timer slack stays at its default, arrivals may be 50 us late: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(count: u64, gap: Duration) -> impl Iterator<Item = Arrival> {
        (0..count).map(move |index| Arrival { due_ns: index * duration_ns(gap), node: 0, key: 0 })
    }

    #[test]
    fn nothing_is_released_before_it_is_due() {
        let (queue, mut released) = mpsc::channel::<Arrival>(100);
        let start_ns = now_ns() + 1_000_000;
        let watcher = std::thread::spawn(move || {
            let mut early = 0;
            while let Some(arrival) = released.blocking_recv() {
                early += u32::from(now_ns() < start_ns + arrival.due_ns);
            }
            early
        });
        let nodes = HashMap::from([(0, queue)]);
        let gap = Duration::from_micros(300);
        release(arrivals(50, gap), start_ns, SPIN_MAX, &nodes, &Brake::default(), |_| {
            panic!("there is room")
        });
        assert!(now_ns() >= start_ns + 49 * duration_ns(gap));
        drop(nodes);
        assert_eq!(watcher.join().expect("the watcher lives"), 0);
    }

    #[test]
    fn what_is_overdue_goes_out_at_once_and_what_finds_no_room_is_counted() {
        let (queue, mut released) = mpsc::channel(3);
        let nodes = HashMap::from([(0, queue)]);
        let refused = std::cell::Cell::new(0);
        let an_hour_ago_ns = now_ns().saturating_sub(3_600_000_000_000);
        let count = |_| refused.set(refused.get() + 1);
        release(
            arrivals(5, Duration::from_secs(1)),
            an_hour_ago_ns,
            SPIN_MAX,
            &nodes,
            &Brake::default(),
            count,
        );
        assert_eq!(refused.get(), 2);
        let due: Vec<u64> =
            std::iter::from_fn(|| released.try_recv().ok()).map(|arrival| arrival.due_ns).collect();
        assert_eq!(due, [0, 1_000_000_000, 2_000_000_000], "in order, with the times they were meant for");
    }

    #[test]
    fn the_brake_ends_the_work() {
        let brake = Brake::default();
        brake.pull();
        let (queue, mut released) = mpsc::channel(3);
        let nodes = HashMap::from([(0, queue)]);
        let in_an_hour_ns = now_ns() + 3_600_000_000_000;
        release(arrivals(1, Duration::ZERO), in_an_hour_ns, SPIN_MAX, &nodes, &brake, |_| ());
        assert!(released.try_recv().is_err());
    }
}
