//! Sleeps that end when they should. Tokio's own timer rounds up to the next millisecond, half of what a hold lasts.
//!
//! One timer of the system for all sleepers of a worker, set to the earliest of them: a wake-up costs no thread and no
//! lock that anybody else wants.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::{duration_ns, now_ns};
use crate::locked;
use crate::measure::new_histogram;

/// Wakes many sleepers, each in its time, as long as somebody awaits [`Alarm::ring`].
pub(crate) struct Alarm {
    timer: Timer,
    sleepers: Mutex<Sleepers>,
}

#[derive(Default)]
struct Sleepers {
    /// By the end of their sleep, and by number where that is the same.
    by_end: BTreeMap<(u64, u64), Waker>,
    next: u64,
}

impl Alarm {
    /// Must be called within a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { timer: Timer::new()?, sleepers: Mutex::default() })
    }

    /// Wakes whose time has come, until the timer fails.
    pub(crate) async fn ring(&self) -> io::Result<()> {
        loop {
            self.timer.rang().await?;
            for waker in self.take_due()? {
                waker.wake();
            }
        }
    }

    /// Sleeps for so long.
    pub(crate) fn sleep(&self, length: Duration) -> Sleep<'_> {
        self.sleep_until(now_ns().saturating_add(duration_ns(length)))
    }

    /// Sleeps until that time on the machine-wide clock.
    pub(crate) fn sleep_until(&self, end_ns: u64) -> Sleep<'_> {
        Sleep { alarm: self, end_ns, number: None }
    }

    fn take_due(&self) -> io::Result<Vec<Waker>> {
        let mut sleepers = self.sleepers();
        let later = sleepers.by_end.split_off(&(now_ns().saturating_add(1), 0));
        let due = std::mem::replace(&mut sleepers.by_end, later);
        if let Some((&(end_ns, _), _)) = sleepers.by_end.first_key_value() {
            self.timer.set(end_ns)?;
        }
        Ok(due.into_values().collect())
    }

    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        locked(&self.sleepers)
    }
}

/// Ends once its time has come; may be dropped before.
pub(crate) struct Sleep<'a> {
    alarm: &'a Alarm,
    end_ns: u64,
    number: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now_ns() >= self.end_ns {
            return Poll::Ready(());
        }
        let mut sleepers = self.alarm.sleepers();
        let number = self.number.unwrap_or(sleepers.next);
        sleepers.next = sleepers.next.max(number + 1);
        sleepers.by_end.insert((self.end_ns, number), context.waker().clone());
        let is_first =
            sleepers.by_end.first_key_value().is_some_and(|(key, _)| *key == (self.end_ns, number));
        // A timer that cannot be set ends `ring` as well, and with it the worker.
        let set = if is_first { self.alarm.timer.set(self.end_ns) } else { Ok(()) };
        drop(sleepers);
        self.number = Some(number);
        if set.is_ok() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.alarm.sleepers().by_end.remove(&(self.end_ns, number));
        }
    }
}

/// How far off this machine's sleep is, in nanoseconds, over a quarter of a second.
pub(crate) async fn oversleep(alarm: &Alarm) -> Histogram<u64> {
    const PERIOD: Duration = Duration::from_micros(1_237);
    const SLEEPS: u32 = 200;
    let mut late_ns = new_histogram();
    for _ in 0..SLEEPS {
        let due_ns = now_ns() + duration_ns(PERIOD);
        alarm.sleep_until(due_ns).await;
        late_ns.saturating_record(now_ns().saturating_sub(due_ns));
    }
    late_ns
}

#[cfg(target_os = "linux")]
use linux::Timer;
#[cfg(not(target_os = "linux"))]
use portable::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    /// A timer that rings once for each time it was set to; the kernel wakes the runtime without any slack.
    pub(super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        #[expect(
            deprecated,
            reason = "unsound for a descriptor that others may close; this one is owned, and its successor is unsafe"
        )]
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
        }

        /// In place of whatever it was set to. What has passed rings at once.
        pub(super) fn set(&self, at_ns: u64) -> io::Result<()> {
            let seconds = i64::try_from(at_ns / 1_000_000_000).unwrap_or(i64::MAX);
            let fraction = i64::try_from(at_ns % 1_000_000_000).unwrap_or(0);
            // Zero would stop the timer.
            let it_value = Timespec { tv_sec: seconds, tv_nsec: fraction.max(1) };
            let setting = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &setting)?;
            Ok(())
        }

        pub(super) async fn rang(&self) -> io::Result<()> {
            loop {
                let mut ready = self.0.readable().await?;
                let read = ready.try_io(|timer| {
                    let mut expirations = [0; 8];
                    rustix::io::read(timer, &mut expirations).map_err(io::Error::from)
                });
                // It may have been set anew after it rang, and then there is nothing to read.
                if let Ok(read) = read {
                    return read.map(drop);
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::sleep;

    use crate::clock::{now_ns, time_until};

    /// What tokio's timer may be off.
    const COARSE: Duration = Duration::from_millis(2);

    /// Tokio's timer for the most of it, and for the rest of it a core that does nothing else.
    pub(super) struct Timer {
        at_ns: AtomicU64,
        set: Notify,
    }

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self { at_ns: AtomicU64::new(u64::MAX), set: Notify::new() })
        }

        pub(super) fn set(&self, at_ns: u64) -> io::Result<()> {
            self.at_ns.store(at_ns, Ordering::SeqCst);
            self.set.notify_one();
            Ok(())
        }

        pub(super) async fn rang(&self) -> io::Result<()> {
            loop {
                let left = time_until(self.at_ns.load(Ordering::SeqCst));
                if left > COARSE {
                    tokio::select! {
                        () = sleep(left - COARSE) => {}
                        () = self.set.notified() => {}
                    }
                } else if left.is_zero() {
                    self.at_ns.store(u64::MAX, Ordering::SeqCst);
                    return Ok(());
                } else {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    use super::*;

    /// An alarm that rings in the background of the current runtime.
    fn ringing() -> Arc<Alarm> {
        let alarm = Arc::new(Alarm::new().unwrap());
        let inner = Arc::clone(&alarm);
        tokio::spawn(async move { inner.ring().await });
        alarm
    }

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_times_and_none_before() {
        let alarm = ringing();
        let start_ns = now_ns();
        let lengths_us = [3_000_u64, 500, 1_700, 500, 0];
        let sleeping: FuturesUnordered<_> = lengths_us
            .iter()
            .map(|&us| {
                let alarm = &alarm;
                async move {
                    alarm.sleep_until(start_ns + us * 1_000).await;
                    assert!(now_ns() >= start_ns + us * 1_000);
                    us
                }
            })
            .collect();
        assert_eq!(sleeping.collect::<Vec<_>>().await.len(), lengths_us.len());
        assert!(alarm.sleepers().by_end.is_empty());
    }

    #[tokio::test]
    async fn a_sleep_that_was_dropped_wakes_nobody_and_holds_nobody_up() {
        let alarm = ringing();
        let first_ns = now_ns() + 1_000_000;
        let mut given_up = Box::pin(alarm.sleep_until(first_ns));
        assert!(futures::poll!(&mut given_up).is_pending());
        let second = alarm.sleep_until(first_ns + 1_000_000);
        drop(given_up);
        second.await;
        assert!(now_ns() >= first_ns + 1_000_000);
        assert!(alarm.sleepers().by_end.is_empty());
    }

    #[tokio::test]
    async fn a_time_that_has_passed_is_no_reason_to_sleep() {
        let alarm = Alarm::new().unwrap();
        assert!(futures::poll!(Box::pin(alarm.sleep_until(1))).is_ready(), "though nobody rings");
        assert!(futures::poll!(Box::pin(alarm.sleep(Duration::ZERO))).is_ready());
    }
}
