//! The task that wakes held leases when they have something to do, and admits their renewals at a bounded rate.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::clock::Clock;
use crate::protocol::Moment;
use crate::protocol::limiter::{Limiter, Ticket};
use crate::sync::{Mutex, Notify, lock, spawn, time};

/// Whoever wants to be woken.
pub(crate) trait Sleeper: Send + Sync {
    /// It is time, says this alarm. It sets its next one itself.
    fn wake(self: Arc<Self>, alarm: Alarm);

    /// Its renewal may begin.
    fn admit(self: Arc<Self>);

    /// This process's clock cannot be trusted: what it holds is over.
    fn distrust_clock(self: Arc<Self>);

    /// The client ends: what it holds is released. Gives its name if it was still held.
    fn give_up(self: Arc<Self>) -> Option<String>;
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
    clock: Clock,
    table: Mutex<Table>,
    /// Told when an alarm is set before the one being waited for, and at the end.
    earlier: Notify,
}

struct Table {
    /// Every lease that is held. Not to be told from the alarms: while a lease is woken it has none.
    held: BTreeMap<u64, Weak<dyn Sleeper>>,
    alarms: BTreeMap<Alarm, Weak<dyn Sleeper>>,
    limiter: Limiter<Weak<dyn Sleeper>>,
    serial: u64,
    /// How often this process's clock was found off.
    doubts: u64,
    /// Until when the task sleeps.
    next: Moment,
    closed: bool,
}

impl Table {
    fn sleepers(&self) -> Vec<Arc<dyn Sleeper>> {
        self.held.values().filter_map(Weak::upgrade).collect()
    }
}

impl Keeper {
    /// Starts the task.
    pub(crate) fn spawn(clock: &Clock) -> Arc<Self> {
        let limiter = Limiter::new(clock.now());
        let table = Table {
            held: BTreeMap::new(),
            alarms: BTreeMap::new(),
            limiter,
            serial: 0,
            doubts: 0,
            next: Moment::default(),
            closed: false,
        };
        let keeper =
            Arc::new(Self { clock: clock.clone(), table: Mutex::new(table), earlier: Notify::new() });
        spawn(Arc::clone(&keeper).run());
        keeper
    }

    /// A place for a lease among those that are held.
    pub(crate) fn place(&self) -> u64 {
        let mut table = lock(&self.table);
        table.serial += 1;
        table.serial
    }

    /// A lease is held from here on, which does not keep it alive. Says how often the clock had been found off until now.
    pub(crate) fn enter(&self, place: u64, sleeper: Weak<dyn Sleeper>) -> u64 {
        let mut table = lock(&self.table);
        table.held.insert(place, sleeper);
        table.doubts
    }

    /// It is over.
    pub(crate) fn leave(&self, place: u64) {
        lock(&self.table).held.remove(&place);
    }

    /// How often this process's clock was found off: what was begun before the last time is not to be relied on.
    pub(crate) fn doubts(&self) -> u64 {
        lock(&self.table).doubts
    }

    /// This process's clock is off: every lease that is held ends, and so does what is about to be.
    pub(crate) fn distrust_clock(&self) {
        let held = {
            let mut table = lock(&self.table);
            table.doubts += 1;
            table.sleepers()
        };
        held.into_iter().for_each(Sleeper::distrust_clock);
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

    /// A lease renews at the pace of this TTL from here on, instead of that of the one before.
    pub(crate) fn pace(&self, old_ttl_ms: Option<u32>, new_ttl_ms: Option<u32>) {
        let now = self.clock.now();
        let mut table = lock(&self.table);
        if let Some(ttl_ms) = new_ttl_ms {
            table.limiter.handle_join(now, ttl_ms);
        }
        if let Some(ttl_ms) = old_ttl_ms {
            table.limiter.handle_leave(now, ttl_ms);
        }
    }

    /// A renewal is due. It is admitted when its turn comes.
    pub(crate) fn queue(&self, deadline: Moment, urgent_at: Moment, sleeper: Weak<dyn Sleeper>) -> Ticket {
        let ticket = lock(&self.table).limiter.handle_due(deadline, urgent_at, sleeper);
        self.earlier.notify_one();
        ticket
    }

    /// A renewal is not wanted any more.
    pub(crate) fn unqueue(&self, ticket: Ticket) {
        lock(&self.table).limiter.handle_cancel(ticket);
    }

    /// Every lease that is held.
    pub(crate) fn sleepers(&self) -> Vec<Arc<dyn Sleeper>> {
        lock(&self.table).sleepers()
    }

    /// Ends the task.
    pub(crate) fn close(&self) {
        lock(&self.table).closed = true;
        self.earlier.notify_one();
    }

    async fn run(self: Arc<Self>) {
        loop {
            while let Some((alarm, sleeper)) = self.pop_due(self.clock.now()) {
                if let Some(sleeper) = sleeper.upgrade() {
                    sleeper.wake(alarm);
                }
            }
            while let Some(sleeper) = self.pop_admitted(self.clock.now()) {
                if let Some(sleeper) = sleeper.upgrade() {
                    sleeper.admit();
                }
            }
            let Some(pause) = self.pause() else {
                return;
            };
            tokio::select! {
                biased;
                () = time::sleep(pause) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    fn pop_due(&self, now: Moment) -> Option<(Alarm, Weak<dyn Sleeper>)> {
        let mut table = lock(&self.table);
        let first = table.alarms.first_entry().filter(|entry| entry.key().at <= now)?;
        Some(first.remove_entry())
    }

    fn pop_admitted(&self, now: Moment) -> Option<Weak<dyn Sleeper>> {
        lock(&self.table).limiter.poll_admitted(now)
    }

    /// How long to sleep; `None` at the end.
    fn pause(&self) -> Option<Duration> {
        let mut table = lock(&self.table);
        if table.closed {
            return None;
        }
        let now = self.clock.now();
        let latest = self.clock.timer_end();
        let alarm = table.alarms.first_key_value().map(|(alarm, _)| alarm.at);
        table.next = [alarm, table.limiter.poll_timeout()].into_iter().flatten().fold(latest, Moment::min);
        Some(Duration::from_nanos(table.next.ns_since(now)))
    }
}
