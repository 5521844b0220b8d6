//! The explorer's side: everything here is a point at which another task may go on, and time is virtual.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

use self::time::World;

/// Another task may go on here.
fn step() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}

pub(crate) const fn has_timers() -> bool {
    true
}

/// Starts a task that nobody waits for, and counts it as long as it lives.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    World::with(|world| world.tasks += 1);
    drop(shuttle::future::spawn(async {
        task.await;
        World::task_ends();
    }));
}

/// A rule of what is shared, broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// A notification that nobody waits for yet is lost.
    PermitLost,
    /// Who looks and then waits is not told of what came between.
    WaitsLate,
}

/// tokio's, whose operations are one step each.
#[derive(Debug, Default)]
pub(crate) struct Notify(tokio::sync::Notify);

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_one(&self) {
        step();
        if World::breaks(Control::PermitLost) {
            self.0.notify_waiters();
        } else {
            self.0.notify_one();
        }
    }

    pub(crate) fn notify_waiters(&self) {
        step();
        self.0.notify_waiters();
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        step();
        let late = World::breaks(Control::WaitsLate);
        Notified { notify: &self.0, waiting: (!late).then(|| Box::pin(self.0.notified())) }
    }
}

pub(crate) struct Notified<'a> {
    notify: &'a tokio::sync::Notify,
    waiting: Option<Pin<Box<tokio::sync::futures::Notified<'a>>>>,
}

impl Notified<'_> {
    pub(crate) fn enable(mut self: Pin<&mut Self>) -> bool {
        step();
        self.waiting.as_mut().is_some_and(|waiting| waiting.as_mut().enable())
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        step();
        let notify = self.notify;
        self.waiting.get_or_insert_with(|| Box::pin(notify.notified())).as_mut().poll(cx)
    }
}

/// std's, whose operations are one step each.
#[derive(Debug, Default)]
pub(crate) struct OnceLock<T>(std::sync::OnceLock<T>);

impl<T> OnceLock<T> {
    pub(crate) const fn new() -> Self {
        Self(std::sync::OnceLock::new())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        step();
        self.0.get()
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        step();
        self.0.get_or_init(make)
    }
}

/// tokio's time, as far as it is used here, but virtual.
pub(crate) mod time {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::future::poll_fn;
    use std::ops::Add;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::Control;

    /// Later than this no timer rings: it stands for one that is not set.
    const NEVER_NS: u64 = u64::MAX / 2;

    /// Times that time passes though there is something else to do.
    const HASTY_MAX: u32 = 200;

    /// What one explored run consists of beside its tasks. Runs of one thread come one after the other.
    #[derive(Default)]
    pub(crate) struct World {
        now_ns: u64,
        serial: u64,
        sleepers: BTreeMap<(u64, u64), Waker>,
        /// The task that lets time pass, while nobody sleeps.
        idle: Option<Waker>,
        /// Tasks that live.
        pub(super) tasks: usize,
        /// Whoever waits until there are none.
        ended: Option<Waker>,
        broken: Option<Control>,
        /// In so many steps time passes once, however much else there is to do; never if nothing is said.
        haste: Option<u64>,
        /// How often it may do so: a schedule that is unfair would renew leases for ever and let nobody else go on.
        hasty: u32,
    }

    thread_local! {
        static WORLD: RefCell<World> = RefCell::default();
    }

    impl World {
        pub(super) fn with<T>(act: impl FnOnce(&mut Self) -> T) -> T {
            WORLD.with_borrow_mut(act)
        }

        /// A new one.
        pub(crate) fn begin(broken: Option<Control>) {
            // What an abandoned run has left is dropped outside: it may look at the world.
            drop(WORLD.replace(Self { broken, ..Self::default() }));
        }

        pub(super) fn breaks(control: Control) -> bool {
            Self::with(|world| world.broken == Some(control))
        }

        /// From here on time passes once in so many steps, or only where nothing else can happen.
        pub(crate) fn hurry(haste: Option<u64>) {
            Self::with(|world| (world.haste, world.hasty) = (haste, HASTY_MAX));
        }

        pub(crate) fn haste() -> Option<u64> {
            Self::with(|world| world.haste.filter(|_| world.hasty > 0))
        }

        pub(super) fn task_ends() {
            let ended = Self::with(|world| {
                world.tasks -= 1;
                if world.tasks == 0 { world.ended.take() } else { None }
            });
            ended.into_iter().for_each(Waker::wake);
        }

        /// Waits until no task lives.
        pub(crate) async fn ended() {
            let none_lives = |cx: &mut Context<'_>| {
                Self::with(|world| {
                    if world.tasks == 0 {
                        return Poll::Ready(());
                    }
                    world.ended = Some(cx.waker().clone());
                    Poll::Pending
                })
            };
            poll_fn(none_lives).await;
        }

        /// Lets time pass, from one sleeper to the next, whenever this task is the one to go on.
        pub(crate) async fn pass() {
            loop {
                let somebody_sleeps = |cx: &mut Context<'_>| {
                    Self::with(|world| {
                        if world.sleepers.is_empty() {
                            world.idle = Some(cx.waker().clone());
                            return Poll::Pending;
                        }
                        Poll::Ready(())
                    })
                };
                poll_fn(somebody_sleeps).await;
                let due = Self::with(|world| {
                    let ((at_ns, _), waker) = world.sleepers.pop_first()?;
                    world.now_ns = world.now_ns.max(at_ns);
                    world.hasty = world.hasty.saturating_sub(1);
                    Some(waker)
                });
                due.into_iter().for_each(Waker::wake);
                shuttle::future::yield_now().await;
            }
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(u64);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(World::with(|world| world.now_ns))
        }

        pub(crate) fn checked_add(self, time: Duration) -> Option<Self> {
            Some(self + time)
        }

        pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
            Duration::from_nanos(self.0.saturating_sub(earlier.0))
        }

        /// Some moment of std's clock: no explored run asks which.
        pub(crate) fn into_std(self) -> std::time::Instant {
            std::time::Instant::now()
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;

        fn add(self, time: Duration) -> Self {
            Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
        }
    }

    pub(crate) fn sleep(time: Duration) -> Sleep {
        sleep_until(Instant::now() + time)
    }

    pub(crate) fn sleep_until(at: Instant) -> Sleep {
        Sleep { at_ns: at.0, key: None }
    }

    #[derive(Debug)]
    pub(crate) struct Sleep {
        at_ns: u64,
        key: Option<(u64, u64)>,
    }

    impl Future for Sleep {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            super::step();
            let idle = World::with(|world| {
                if world.now_ns >= self.at_ns {
                    return Err(());
                }
                if self.at_ns >= NEVER_NS {
                    return Ok(None);
                }
                world.serial += 1;
                let new = (self.at_ns, world.serial);
                let key = *self.key.get_or_insert(new);
                world.sleepers.insert(key, cx.waker().clone());
                Ok(world.idle.take())
            });
            match idle {
                Err(()) => Poll::Ready(()),
                Ok(idle) => {
                    idle.into_iter().for_each(Waker::wake);
                    Poll::Pending
                }
            }
        }
    }

    impl Drop for Sleep {
        fn drop(&mut self) {
            if let Some(key) = self.key.take() {
                drop(World::with(|world| world.sleepers.remove(&key)));
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct Elapsed;

    pub(crate) async fn timeout_at<T>(at: Instant, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::select! {
            biased;
            value = future => Ok(value),
            () = sleep_until(at) => Err(Elapsed),
        }
    }

    pub(crate) async fn timeout<T>(time: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        timeout_at(Instant::now() + time, future).await
    }
}
