//! The noise floor: what this machine and this program add to every figure, measured before each run.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::{duration_ns, now_ns};
use crate::locks::{Lock, NoLock};
use crate::measure::new_histogram;
use crate::run::alarm::{Alarm, oversleep};
use crate::run::link::Noise;
use crate::run::pacer::{SPIN_MAX, release};
use crate::run::schedule::Arrival;

const NULL_ACQUISITIONS: u64 = 250;
const NULL_PERIOD: Duration = Duration::from_micros(1_013);
/// Until the first of them is due.
const LEAD: Duration = Duration::from_millis(5);

/// Half a second of sleeping and of acquiring nothing, at `real_time` priority or at the usual one.
pub(crate) async fn noise(real_time: bool) -> io::Result<Noise> {
    let alarm = Alarm::new()?;
    tokio::select! {
        failed = alarm.ring() => Err(failed.err().unwrap_or_else(|| io::Error::other("the timer has ended"))),
        noise = measure(&alarm, real_time) => Ok(noise),
    }
}

async fn measure(alarm: &Alarm, real_time: bool) -> Noise {
    let oversleep_ns = oversleep(alarm).await;
    let spin = spin(oversleep_ns.value_at_quantile(0.9));

    let (queue, mut arrivals) = mpsc::channel(usize::try_from(NULL_ACQUISITIONS).unwrap_or(usize::MAX));
    let start_ns = now_ns() + duration_ns(LEAD);
    let pacing = async move {
        let due = |index| Arrival { due_ns: index * duration_ns(NULL_PERIOD), node: 0, key: 0 };
        let nodes = HashMap::from([(0, queue)]);
        release((0..NULL_ACQUISITIONS).map(due), start_ns, spin, alarm, &nodes, |_| ()).await;
    };
    let acquiring = async {
        let mut null_ns = new_histogram();
        while let Some(arrival) = arrivals.recv().await {
            let held = NoLock.acquire("", Duration::ZERO).await;
            null_ns.saturating_record(now_ns().saturating_sub(start_ns + arrival.due_ns));
            drop(held);
        }
        null_ns
    };
    let ((), null_ns) = futures::join!(pacing, acquiring);
    Noise {
        oversleep_p50_ns: oversleep_ns.value_at_quantile(0.5),
        oversleep_p90_ns: oversleep_ns.value_at_quantile(0.9),
        oversleep_p99_ns: oversleep_ns.value_at_quantile(0.99),
        null_p50_ns: null_ns.value_at_quantile(0.5),
        null_p99_ns: null_ns.value_at_quantile(0.99),
        real_time,
    }
}

/// How long to spin before an arrival: as long as nine of ten sleeps would oversleep it, and never long.
pub(crate) fn spin(oversleep_p90_ns: u64) -> Duration {
    Duration::from_nanos(oversleep_p90_ns).min(SPIN_MAX)
}
