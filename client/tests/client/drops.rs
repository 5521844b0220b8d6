//! Ten thousand acquisitions and releases, each dropped wherever chance has it, leave no lock, no shadow and no waiter.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use leasehold::memory::{MemoryEndpoints, MemoryServer};
use leasehold::protocol::waiting::PLACE_MS;
use leasehold::{Client, Lease};

use crate::common::{self, Dice};

/// Dropped futures, in memory and on real servers.
const DROPS: u32 = 10_000;
const DROPS_REAL: u32 = 1_000;
/// So many are under way at once.
const AT_ONCE: u32 = 20;

const TTL: Duration = Duration::from_secs(2);

/// When a future is dropped that is not done.
#[derive(Clone, Copy)]
enum Patience {
    Polls(u64),
    Time(Duration),
}

impl Patience {
    fn draw(dice: &mut Dice, longest: Duration) -> Self {
        if dice.percent(30) {
            Self::Polls(dice.up_to(6))
        } else {
            Self::Time(Duration::from_micros(dice.up_to(longest.as_micros().try_into().unwrap())))
        }
    }

    /// Polls a future until it is done or patience ends, and drops it.
    async fn wait<T>(self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        match self {
            Self::Time(time) => tokio::time::timeout(time, future).await.ok(),
            Self::Polls(polls) => {
                let mut left = polls;
                std::future::poll_fn(|context| {
                    if left == 0 {
                        return Poll::Ready(None);
                    }
                    left -= 1;
                    future.as_mut().poll(context).map(Some)
                })
                .await
            }
        }
    }
}

#[derive(Default, Debug)]
struct Counts {
    acquires_dropped: u32,
    releases_dropped: u32,
    finished: u32,
}

/// One acquisition, and one release if it came to that; either may be dropped.
async fn turn(client: Client, name: String, patience: [Patience; 2]) -> Counts {
    let mut counts = Counts::default();
    let acquired: Option<Result<Lease, _>> = patience[0].wait(client.lease(name).ttl(TTL).acquire()).await;
    match acquired {
        None => counts.acquires_dropped = 1,
        Some(Err(_)) => counts.finished = 1,
        Some(Ok(lease)) => match patience[1].wait(lease.release()).await {
            None => counts.releases_dropped = 1,
            Some(_) => counts.finished = 1,
        },
    }
    counts
}

/// Drops so many futures, then some time later looks at what is left.
async fn drop_many(
    client: &Client,
    dice: &mut Dice,
    drops: u32,
    longest: Duration,
    mut shake: impl FnMut(&mut Dice),
) -> Counts {
    let mut total = Counts::default();
    while total.acquires_dropped + total.releases_dropped < drops {
        shake(dice);
        let mut turns = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let patience = [Patience::draw(dice, longest), Patience::draw(dice, longest)];
            turns.spawn(turn(client.clone(), format!("job:{}", dice.up_to(4)), patience));
        }
        while let Some(counts) = turns.join_next().await {
            let counts = counts.unwrap();
            total.acquires_dropped += counts.acquires_dropped;
            total.releases_dropped += counts.releases_dropped;
            total.finished += counts.finished;
        }
    }
    total
}

/// What stands on any of them: of waiting, all but the mark that makes others look for lines.
fn left_behind(endpoints: &MemoryEndpoints) -> Vec<String> {
    let is_left =
        |key: &String| !key.starts_with("lh:fence:") && !["lh:member", "lh:waiters"].contains(&key.as_str());
    endpoints.servers().iter().flat_map(MemoryServer::keys).filter(is_left).collect()
}

/// Drops in virtual time; `lossy` says whether requests and answers get lost as well. What a lost undo leaves lasts for one
/// TTL, or as long as a place in a line; otherwise nothing lasts longer than the answers that are still out.
async fn ten_thousand(seed: u64, lossy: bool) {
    let endpoints = MemoryEndpoints::with_seed(3, seed).unwrap();
    for server in endpoints.servers() {
        server.set_latency(Duration::from_millis(1)..=Duration::from_millis(30));
        if lossy {
            server.lose_requests(5);
            server.lose_answers(5);
        }
    }
    let builder = Client::builder().memory(&endpoints).wait(Duration::from_millis(200));
    let client = common::connect(builder).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    // The first that waits brings one listener an endpoint, which stays with the client.
    let listeners = endpoints.len();
    let mut dice = Dice::new(seed);
    let counts = drop_many(&client, &mut dice, DROPS, Duration::from_millis(80), |dice| {
        // Now and then one of them stands still; what it was sent it carries out later.
        for server in endpoints.servers() {
            server.resume();
        }
        if dice.percent(20) {
            endpoints.servers()[usize::try_from(dice.up_to(2)).unwrap()].hang();
        }
    })
    .await;
    endpoints.servers().iter().for_each(MemoryServer::resume);
    let place = Duration::from_millis(PLACE_MS.into());
    tokio::time::sleep(if lossy { TTL.max(place) } else { TTL / 2 }).await;
    assert_eq!(left_behind(&endpoints), Vec::<String>::new(), "seed {seed}");
    assert_eq!(tasks(), before + listeners, "a task is left, seed {seed}");
    assert_eq!(client.shutdown(Duration::ZERO).await, Vec::<String>::new());
    println!("seed {seed}, lossy {lossy}: {counts:?}, nothing left");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_drops_leave_nothing_before_any_ttl_is_over() {
    ten_thousand(1, false).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_drops_on_a_lossy_network_leave_nothing_after_one_ttl() {
    ten_thousand(2, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_drops_on_real_servers_leave_nothing() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let mut dice = Dice::new(3);
    let counts = drop_many(&client, &mut dice, DROPS_REAL, Duration::from_millis(4), |_| {}).await;
    let keys = || trio.servers().iter().map(|server| server.command(&["KEYS", "*"]).unwrap().to_string());
    let clean = || keys().all(|keys| !keys.contains("lh:lock:") && !keys.contains("lh:shadow"));
    common::eventually("no lock and no shadow is left", clean).await;
    println!("real servers: {counts:?}, nothing left");
}
