//! Waiters of one process and of two: each gets its turn, in no more time than that takes, and who goes away is not missed.

use std::time::Duration;

use super::scene::{
    Stopwatch, Successions, all_is_gone, client, dawdle, nothing_is_held, scenes, servers, spawn,
};
use crate::Client;

/// Whoever was given a lock and did not hear of it asks again after nearly half a second.
const LOST: Duration = Duration::from_millis(190);

/// Everybody takes the lease once; those of little patience may be gone before.
async fn queue(clients: &[Client], patience: &'static [Option<usize>]) {
    let successions = Successions::default();
    let took = Stopwatch::start();
    let mut tasks = Vec::new();
    for (index, &patience) in patience.iter().enumerate() {
        let client = clients[index % clients.len()].clone();
        let successions = successions.clone();
        tasks.push(spawn(async move {
            let take = async {
                let lease = client.lease("a").wait(Duration::from_secs(60)).acquire().await.unwrap();
                successions.next(&lease);
                dawdle(2).await;
                lease.release().await.unwrap();
            };
            match patience {
                None => take.await,
                Some(steps) => tokio::select! {
                    biased;
                    () = take => {}
                    () = dawdle(steps) => {}
                },
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    took.assert_below(LOST);
}

scenes! {
    async fn of_one_process() {
        let servers = servers();
        let client = client(&servers).await;
        queue(std::slice::from_ref(&client), &[None, None, None]).await;
        drop(client);
        all_is_gone(&servers).await;
    }

    /// It may be the first in line, after whom the next asks the endpoints, or the one that is given the lock.
    async fn of_one_process_of_which_one_goes_away() {
        let servers = servers();
        let client = client(&servers).await;
        queue(std::slice::from_ref(&client), &[None, Some(6), None]).await;
        drop(client);
        all_is_gone(&servers).await;
    }

    async fn of_two_processes() {
        let servers = servers();
        let clients = [client(&servers).await, client(&servers).await];
        queue(&clients, &[None, None, None]).await;
        drop(clients);
        nothing_is_held(&servers).await;
    }

    /// With it goes its process's place on the endpoints, and a lock that it had been given goes to the next.
    async fn of_two_processes_of_which_one_goes_away() {
        let servers = servers();
        let clients = [client(&servers).await, client(&servers).await];
        queue(&clients, &[None, Some(12), None]).await;
        drop(clients);
        nothing_is_held(&servers).await;
    }
}
