//! What scenes are made of: what most of them begin and end with.

use std::sync::Arc;
use std::time::Duration;

/// A task of the scene's own.
pub(super) use shuttle::future::spawn;

use crate::memory::MemoryEndpoints;
use crate::sync::time::{Instant, World};
use crate::{Client, Lease, LeaseHandle};

/// Functions that play a scene once, and for each a test in which it is explored.
macro_rules! scenes {
    ($($(#[$attribute:meta])* async fn $name:ident() $body:block)+) => {
        $($(#[$attribute])* pub(super) async fn $name() $body)+

        mod explored {
            $(#[test]
            fn $name() {
                crate::races::explore::explore(super::$name);
            })+
        }
    };
}
pub(super) use scenes;

pub(super) const TTL: Duration = Duration::from_millis(500);

/// Three servers in memory.
pub(super) fn servers() -> MemoryEndpoints {
    MemoryEndpoints::with_seed(3, 1).unwrap()
}

/// A client of them. Nothing hurries while it connects.
pub(super) async fn client(servers: &MemoryEndpoints) -> Client {
    Client::builder().memory(servers).ttl(TTL).connect().await.unwrap()
}

/// Waits until every task of every client has ended, which they do once nobody needs them, and looks for what is left behind.
pub(super) async fn all_is_gone(servers: &MemoryEndpoints) {
    nothing_is_left(servers, &["lh:lock:", "lh:shadow:", "lh:park:", "lh:wait:"]).await;
}

/// The same where a client may leave a place in line on a server whose vote it did not need when it ended:
/// it is passed over.
pub(super) async fn nothing_is_held(servers: &MemoryEndpoints) {
    nothing_is_left(servers, &["lh:lock:", "lh:shadow:"]).await;
}

async fn nothing_is_left(servers: &MemoryEndpoints, kinds: &[&str]) {
    World::hurry(None);
    World::ended().await;
    for server in servers.servers() {
        let mut left = server.keys();
        left.retain(|key| kinds.iter().any(|kind| key.starts_with(kind)));
        assert_eq!(left, Vec::<String>::new(), "left behind on {server:?}");
    }
}

/// Lets others go on, so many times.
pub(super) async fn dawdle(times: usize) {
    for _ in 0..times {
        shuttle::future::yield_now().await;
    }
}

/// How long something takes, in virtual time.
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Fails if it took longer: somebody was not told, and a timer helped.
    pub(super) fn assert_below(&self, bound: Duration) {
        let took = Instant::now().saturating_duration_since(self.0);
        assert!(took < bound, "somebody was not told: it took {took:?}");
    }
}

/// Whoever held one name last.
#[derive(Clone, Default)]
pub(super) struct Successions {
    last: Arc<std::sync::Mutex<Option<LeaseHandle>>>,
}

impl Successions {
    /// A lease has been handed out. If it is valid still, the one that was noted before is over, and its token was smaller.
    pub(super) fn next(&self, lease: &Lease) {
        let before = self.last.lock().unwrap().replace(lease.handle());
        if let Some(before) = before
            && lease.is_valid()
        {
            assert!(!before.is_valid(), "two leases on one name are valid at once");
            assert!(before.fence() < lease.fence(), "{:?} after {:?}", lease.fence(), before.fence());
        }
    }
}
