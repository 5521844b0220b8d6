//! Renewal, release, drop and loss of one lease, all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::scene::{
    Stopwatch, Successions, TTL, all_is_gone, client, dawdle, nothing_is_held, scenes, servers, spawn,
};
use crate::sync::time::{self, World};
use crate::{Client, LeaseHandle, LeaseState, LossReason, LossReport, Observer, ReleaseError};

/// What a holder sees of its lease: once over, it stays over, for the same reason, and whoever waits for it is told.
async fn watch(handle: LeaseHandle) -> LossReason {
    let token = handle.cancellation_token();
    let mut seen = None;
    for _ in 0..3 {
        match (handle.state(), seen) {
            (LeaseState::Over(reason), None) => seen = Some(reason),
            (LeaseState::Over(reason), Some(before)) => assert_eq!(reason, before),
            (state, Some(_)) => panic!("{state:?} after it was over"),
            (_, None) => {}
        }
        dawdle(2).await;
    }
    let reason = handle.lost().await;
    assert!(seen.is_none_or(|seen| seen == reason));
    assert!(!handle.is_valid() && handle.remaining().is_zero());
    token.cancelled().await;
    handle.expiring_soon().await;
    reason
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Release,
    Drop,
}

/// A renewal finds the lock missing on one server and sets it anew there, while the lease is given back: nothing may be left.
async fn renewed_and_given_back(ending: Ending) {
    let servers = servers();
    let client = client(&servers).await;
    let lease = client.lease("a").try_acquire().await.unwrap();
    servers.server(0).unwrap().del("lh:lock:a");
    let took = Stopwatch::start();
    let watching = spawn(watch(lease.handle()));
    let renewing = spawn({
        let handle = lease.handle();
        async move { drop(handle.renew().await) }
    });
    let ended = spawn(async move {
        match ending {
            Ending::Release => lease.release().await.unwrap(),
            Ending::Drop => drop(lease),
        }
    });
    ended.await.unwrap();
    renewing.await.unwrap();
    assert_eq!(watching.await.unwrap(), LossReason::Released);
    took.assert_below(TTL / 5);
    drop(client);
    all_is_gone(&servers).await;
}

/// Counts losses.
#[derive(Default)]
struct Losses(AtomicU32);

impl Observer for Losses {
    fn on_loss(&self, _: &LossReport) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

scenes! {
    async fn renewed_and_released() {
        renewed_and_given_back(Ending::Release).await;
    }

    async fn renewed_and_dropped() {
        renewed_and_given_back(Ending::Drop).await;
    }

    /// The deadline comes while the lease is renewed, looked at and released.
    async fn lost_renewed_and_released() {
        let servers = servers();
        let losses = Arc::new(Losses::default());
        let observer: Arc<dyn Observer> = Arc::clone(&losses) as _;
        let client = Client::builder().memory(&servers).ttl(TTL).observer(observer).connect().await.unwrap();
        let lease = client.lease("a").try_acquire().await.unwrap();
        World::hurry(Some(8));
        let watching = [spawn(watch(lease.handle())), spawn(watch(lease.handle()))];
        let renewing = spawn({
            let handle = lease.handle();
            async move { drop(handle.renew().await) }
        });
        let releasing = spawn(async move {
            dawdle(20).await;
            lease.release().await
        });
        let released = releasing.await.unwrap();
        renewing.await.unwrap();
        let [one, other] = watching;
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!(one, other);
        drop(client);
        all_is_gone(&servers).await;
        let told = losses.0.load(Ordering::SeqCst);
        match released {
            Ok(()) | Err(ReleaseError::Unconfirmed { .. }) => {
                assert_eq!((one, told), (LossReason::Released, 0));
            }
            Err(ReleaseError::Lost { reason, .. }) => assert_eq!((one, told), (reason, 1)),
        }
    }

    /// Renewed by its own timers and by hand, a lease on healthy servers is never lost.
    async fn held_for_long() {
        let servers = servers();
        let client = client(&servers).await;
        let hold = |name: &'static str| {
            let client = client.clone();
            spawn(async move {
                let lease = client.lease(name).try_acquire().await.unwrap();
                for _ in 0..3 {
                    time::sleep(TTL / 2 + Duration::from_millis(7)).await;
                    assert!(lease.is_valid(), "{:?} of {name}", lease.state());
                    lease.renew().await.unwrap();
                }
                lease.release().await.unwrap();
            })
        };
        for task in [hold("a"), hold("b"), hold("c")] {
            task.await.unwrap();
        }
        drop(client);
        all_is_gone(&servers).await;
    }

    /// A holder that has lost its lease and one that takes the lock over: by contract never both.
    async fn one_after_the_other() {
        let servers = servers();
        let clients = [client(&servers).await, client(&servers).await];
        let successions = Successions::default();
        World::hurry(Some(12));
        let takes = clients.map(|client| {
            let successions = successions.clone();
            spawn(async move {
                for _ in 0..2 {
                    let Ok(lease) = client.lease("a").wait(TTL * 4).acquire().await else { continue };
                    successions.next(&lease);
                    drop(lease.renew().await);
                    dawdle(3).await;
                }
            })
        });
        for task in takes {
            task.await.unwrap();
        }
        drop(successions);
        nothing_is_held(&servers).await;
    }
}
