//! The task that wakes held leases when they have something to do: renew, give up on a round, or tell of a loss.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::protocol::Moment;
use crate::{clock, lock};

/// Whoever wants to be woken.
pub(crate) trait Sleeper: Send + Sync {
    /// It is time. It sets its next alarm itself.
    fn wake(self: Arc<Self>);
}

/// Where a sleeper stands in the order of waking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alarm {
    at: Moment,
    /// Tells alarms of the same moment apart.
    serial: u64,
}

impl Alarm {
    /// When it rings.
    pub(crate) const fn at(self) -> Moment {
        self.at
    }
}

/// Wakes sleepers in order, by one timer.
pub(crate) struct Keeper {
    table: Mutex<Table>,
    /// Told when an alarm is set before the one being waited for, and at the end.
    earlier: Notify,
}

struct Table {
    alarms: BTreeMap<Alarm, Weak<dyn Sleeper>>,
    serial: u64,
    /// Until when the task sleeps.
    next: Moment,
    closed: bool,
}

/// The task looks at the clock at least this often: a timer does not count the time a machine is suspended.
const SLEEP_MS_MAX: u64 = 1_000;

impl Keeper {
    /// Starts the task.
    pub(crate) fn spawn() -> Arc<Self> {
        let table = Table { alarms: BTreeMap::new(), serial: 0, next: Moment::default(), closed: false };
        let keeper = Arc::new(Self { table: Mutex::new(table), earlier: Notify::new() });
        tokio::spawn(Arc::clone(&keeper).run());
        keeper
    }

    /// Sets an alarm. It does not keep the sleeper alive.
    pub(crate) fn set(&self, at: Moment, sleeper: Weak<dyn Sleeper>) -> Alarm {
        let mut table = lock(&self.table);
        table.serial += 1;
        let alarm = Alarm { at, serial: table.serial };
        table.alarms.insert(alarm, sleeper);
        if at < table.next {
            table.next = at;
            drop(table);
            self.earlier.notify_one();
        }
        alarm
    }

    /// Takes an alarm back.
    pub(crate) fn cancel(&self, alarm: Alarm) {
        lock(&self.table).alarms.remove(&alarm);
    }

    /// Ends the task.
    pub(crate) fn close(&self) {
        lock(&self.table).closed = true;
        self.earlier.notify_one();
    }

    async fn run(self: Arc<Self>) {
        loop {
            while let Some(sleeper) = self.pop_due(clock::now()) {
                if let Some(sleeper) = sleeper.upgrade() {
                    sleeper.wake();
                }
            }
            let Some(pause) = self.pause() else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    fn pop_due(&self, now: Moment) -> Option<Weak<dyn Sleeper>> {
        let mut table = lock(&self.table);
        let first = table.alarms.first_entry().filter(|entry| entry.key().at <= now)?;
        Some(first.remove())
    }

    /// How long to sleep; `None` at the end.
    fn pause(&self) -> Option<Duration> {
        let mut table = lock(&self.table);
        if table.closed {
            return None;
        }
        let now = clock::now();
        let latest = now.plus_ms(SLEEP_MS_MAX);
        table.next = table.alarms.first_key_value().map_or(latest, |(alarm, _)| alarm.at.min(latest));
        Some(Duration::from_nanos(table.next.ns_since(now)))
    }
}
