//! Releases arrivals when they are due, on a thread that sends them: one that did nothing else would have to wake that up.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;

use crate::clock::{duration_ns, now_ns};
use crate::run::alarm::Alarm;
use crate::run::schedule::Arrival;

/// Spinning takes a core from the servers, so the last stretch before an arrival stays short.
pub(crate) const SPIN_MAX: Duration = Duration::from_micros(100);

/// Hands each arrival to its node at `start_ns` plus its due time. Whatever has fallen due meanwhile, because this
/// thread was late or the process was stopped, is released at once with its intended time. Arrivals whose node has no
/// room for them go to `not_sent`. What the thread has to do in the last stretch before an arrival, it does.
pub(crate) async fn release(
    arrivals: impl Iterator<Item = Arrival>,
    start_ns: u64,
    spin: Duration,
    alarm: &Alarm,
    nodes: &HashMap<u32, mpsc::Sender<Arrival>>,
    not_sent: impl Fn(Arrival),
) {
    let spin_ns = duration_ns(spin.min(SPIN_MAX));
    for arrival in arrivals {
        let Some(node) = nodes.get(&arrival.node) else { continue };
        let due_ns = start_ns.saturating_add(arrival.due_ns);
        alarm.sleep_until(due_ns.saturating_sub(spin_ns)).await;
        while now_ns() < due_ns {
            yield_now().await;
        }
        if node.try_send(arrival).is_err() {
            not_sent(arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn arrivals(count: u64, gap: Duration) -> impl Iterator<Item = Arrival> {
        (0..count).map(move |index| Arrival { due_ns: index * duration_ns(gap), node: 0, key: 0 })
    }

    /// Releases these on an alarm that rings.
    async fn released(
        arrivals: impl Iterator<Item = Arrival>,
        start_ns: u64,
        nodes: &HashMap<u32, mpsc::Sender<Arrival>>,
        not_sent: impl Fn(Arrival),
    ) {
        let alarm = Alarm::new().unwrap();
        tokio::select! {
            failed = alarm.ring() => failed.unwrap(),
            () = release(arrivals, start_ns, SPIN_MAX, &alarm, nodes, not_sent) => {}
        }
    }

    #[tokio::test]
    async fn no_arrival_is_released_before_its_time() {
        let (queue, mut released_to) = mpsc::channel::<Arrival>(64);
        let gap = Duration::from_micros(700);
        let start_ns = now_ns() + 1_000_000;
        let watcher = tokio::spawn(async move {
            let mut early = 0;
            while let Some(arrival) = released_to.recv().await {
                early += u32::from(now_ns() < start_ns + arrival.due_ns);
            }
            early
        });
        let nodes = HashMap::from([(0, queue)]);
        released(arrivals(50, gap), start_ns, &nodes, |_| panic!("there is room")).await;
        assert!(now_ns() >= start_ns + 49 * duration_ns(gap));
        drop(nodes);
        assert_eq!(watcher.await.expect("the watcher lives"), 0);
    }

    #[tokio::test]
    async fn what_is_overdue_goes_out_at_once_and_what_finds_no_room_is_counted() {
        let (queue, mut released_to) = mpsc::channel(3);
        let nodes = HashMap::from([(0, queue)]);
        let refused = Cell::new(0);
        let an_hour_ago_ns = now_ns().saturating_sub(3_600_000_000_000);
        let count = |_| refused.set(refused.get() + 1);
        released(arrivals(5, Duration::from_secs(1)), an_hour_ago_ns, &nodes, count).await;
        assert_eq!(refused.get(), 2);
        let due: Vec<u64> =
            std::iter::from_fn(|| released_to.try_recv().ok()).map(|arrival| arrival.due_ns).collect();
        assert_eq!(due, [0, 1_000_000_000, 2_000_000_000], "in order, with the times they were meant for");
    }
}
