//! A client that is shut down, or finds its own clock off, while leases are taken, renewed, waited for and given back.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::scene::{Stopwatch, TTL, all_is_gone, client, nothing_is_held, scenes, servers, spawn};
use crate::AcquireError;
use crate::sync::time::{self, World};

scenes! {
    /// Whatever was asked for before or after, nothing is held when a shutdown without grace is over.
    async fn shut_down_while_leases_are_taken_and_renewed() {
        let servers = servers();
        let client = client(&servers).await;
        let held = client.lease("held").try_acquire().await.unwrap();
        let asking = spawn({
            let client = client.clone();
            async move { client.lease("asked").try_acquire().await }
        });
        let renewing = spawn({
            let handle = held.handle();
            async move { drop(handle.renew().await) }
        });
        let told = client.shutdown(Duration::ZERO).await;
        assert!(!held.is_valid(), "a lease outlives its client: {held:?}");
        assert!(told.contains(&"held".to_owned()), "{told:?}");
        match asking.await.unwrap() {
            Ok(lease) => assert!(!lease.is_valid(), "a lease outlives its client: {lease:?}"),
            Err(error) => assert!(matches!(error, AcquireError::Shutdown), "{error}"),
        }
        renewing.await.unwrap();
        drop((held, client));
        all_is_gone(&servers).await;
    }

    /// Whoever waits is told of the end at once, wherever it stands: before its first attempt, in line, or as it is given the lock.
    async fn shut_down_while_somebody_waits() {
        let servers = servers();
        let client = client(&servers).await;
        let held = client.lease("a").try_acquire().await.unwrap();
        let wait = || {
            let client = client.clone();
            spawn(async move { client.lease("a").wait(Duration::from_secs(60)).acquire().await })
        };
        let waiting = [wait(), wait()];
        let took = Stopwatch::start();
        drop(client.shutdown(Duration::ZERO).await);
        drop(held);
        for waits in waiting {
            match waits.await.unwrap() {
                Ok(lease) => assert!(!lease.is_valid(), "a lease outlives its client: {lease:?}"),
                Err(error) => assert!(matches!(error, AcquireError::Shutdown), "{error}"),
            }
        }
        took.assert_below(Duration::from_millis(100));
        drop(client);
        nothing_is_held(&servers).await;
    }

    /// A timer rings as the client ends.
    async fn shut_down_while_timers_ring() {
        let servers = servers();
        let client = client(&servers).await;
        let held = client.lease("held").try_acquire().await.unwrap();
        World::hurry(Some(6));
        time::sleep(TTL / 3).await;
        drop(client.shutdown(Duration::ZERO).await);
        assert!(!held.is_valid(), "a lease outlives its client: {held:?}");
        drop((held, client));
        all_is_gone(&servers).await;
    }

    /// A shutdown with grace ends as soon as the last lease has been given back.
    async fn shut_down_with_grace() {
        let servers = servers();
        let client = client(&servers).await;
        let mut giving = Vec::new();
        for name in ["a", "b"] {
            let lease = client.lease(name).try_acquire().await.unwrap();
            giving.push(spawn(async move { lease.release().await.unwrap() }));
        }
        let took = Stopwatch::start();
        assert_eq!(client.shutdown(Duration::from_secs(3_600)).await, Vec::<String>::new());
        took.assert_below(Duration::from_secs(1));
        for task in giving {
            task.await.unwrap();
        }
        drop(client);
        all_is_gone(&servers).await;
    }

    /// Once the clock was found off, no lease that was held then goes on, whatever was done with it at that moment.
    async fn distrusted_while_timers_ring() {
        let servers = servers();
        let client = client(&servers).await;
        let held = client.lease("held").try_acquire().await.unwrap();
        World::hurry(Some(6));
        time::sleep(TTL / 3).await;
        let core = Arc::clone(client.core());
        core.keeper.distrust_clock();
        assert!(!held.is_valid(), "a lease goes on by a clock that is off: {held:?}");
        drop((held, core, client));
        all_is_gone(&servers).await;
    }

    /// The same for a lease that was asked for before and is had after.
    async fn distrusted_while_a_lease_is_taken() {
        let servers = servers();
        let client = client(&servers).await;
        let core = Arc::clone(client.core());
        let mut asking = Box::pin(client.lease("asked").try_acquire());
        // It has begun by this poll.
        let begun = futures::poll!(asking.as_mut());
        let distrusting = spawn(async move { core.keeper.distrust_clock() });
        let lease = match begun {
            Poll::Ready(outcome) => outcome.unwrap(),
            Poll::Pending => asking.await.unwrap(),
        };
        distrusting.await.unwrap();
        assert!(!lease.is_valid(), "a lease was won by a clock that is off: {lease:?}");
        drop((lease, client));
        all_is_gone(&servers).await;
    }
}
