//! Tokens grow from holder to holder, whoever they are and whatever the endpoints drew before.

use std::time::Duration;

use leasehold::{Fence, LeaseName};
use leasehold_trio::Server;

use crate::common;

fn stripe_key(name: &str) -> String {
    format!("lh:fence:{}", LeaseName::new(name).unwrap().stripe())
}

fn draw_until(server: &Server, name: &str, token: u64) {
    server.command(&["SET", &stripe_key(name), &token.to_string()]).unwrap();
}

/// How many servers hold a lock with exactly this token.
fn holding(servers: &[Server], name: &str, fence: Fence) -> usize {
    let ends = format!(":{fence}");
    let value =
        |server: &&Server| common::lock_value(server, name).is_some_and(|value| value.ends_with(&ends));
    servers.iter().filter(value).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_grow_from_holder_to_holder_across_clients() {
    let trio = common::trio().await;
    let clients = [common::client(&trio).await, common::client(&trio).await, common::client(&trio).await];
    let mut last = Fence::new(0);
    for turn in 0..60 {
        let lease = clients[turn % 3].lease("job").acquire().await.unwrap();
        assert!(lease.fence() > last, "{} after {last}", lease.fence());
        last = lease.fence();
        lease.release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_grow_in_the_order_of_the_grants_of_rivals() {
    let trio = common::trio().await;
    let grants = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (client, grants) = (common::client(&trio).await, std::sync::Arc::clone(&grants));
        tasks.spawn(async move {
            for _ in 0..10 {
                let lease = client.lease("job").wait(Duration::from_secs(30)).acquire().await.unwrap();
                grants.lock().unwrap().push(lease.fence());
                lease.release().await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let grants = grants.lock().unwrap();
    assert_eq!(grants.len(), 40);
    assert!(grants.is_sorted_by(|earlier, later| earlier < later), "{grants:?}");
}

/// Endpoints whose stripes differ draw different tokens: the voters must be raised to one.
#[tokio::test(flavor = "multi_thread")]
async fn a_majority_holds_exactly_the_token_that_is_handed_out() {
    let trio = common::trio().await;
    let (one, other) = (common::client(&trio).await, common::client(&trio).await);
    // A thousand seconds ahead of any clock, each server by another step.
    let far = 1_000_000_000 + one.lease("probe").acquire().await.unwrap().fence().get();
    let mut last = Fence::new(0);
    for turn in 0..30 {
        for (index, server) in trio.servers().iter().enumerate() {
            let token = far + 1_000 * turn + 100 * ((turn + index as u64) % 3);
            if last.get() < token {
                draw_until(server, "job", token);
            }
        }
        let client = if turn % 2 == 0 { &one } else { &other };
        let lease = client.lease("job").acquire().await.unwrap();
        assert!(lease.fence() > last, "{} after {last}", lease.fence());
        assert!(holding(trio.servers(), "job", lease.fence()) >= 2, "turn {turn}");
        last = lease.fence();
        lease.release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_about_the_time_in_microseconds() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let lease = client.lease("job").acquire().await.unwrap();
    let fence = u128::from(lease.fence().get());
    assert!((before..before + 60_000_000).contains(&fence), "{fence}, at {before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_grow_on_while_endpoints_come_and_go_with_their_data() {
    let mut trio = common::lasting_trio().await;
    let client = common::client(&trio).await;
    let mut last = Fence::new(0);
    for turn in 0..3 {
        trio.servers()[turn].pause().unwrap();
        for _ in 0..5 {
            let lease = client.lease("job").acquire().await.unwrap();
            assert!(lease.fence() > last, "{} after {last}", lease.fence());
            last = lease.fence();
            lease.release().await.unwrap();
        }
        trio.server(turn).resume().unwrap();
    }
}
