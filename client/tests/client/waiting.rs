//! Waiting for a lease that is held.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold::{AcquireError, AttemptOutcome, Client};
use leasehold_trio::{Server, Trio};

use crate::common::{self, Recorder};

/// A client that has met with a held lock before, so that wake-ups reach it, and what it reports from then on.
async fn listener(trio: &Trio) -> (Client, Arc<Recorder>) {
    let recorder = Recorder::new();
    let client = common::connect(common::builder(trio).observer(Arc::clone(&recorder) as _)).await;
    let holder = common::client(trio).await;
    let lease = holder.lease("first-contact").acquire().await.unwrap();
    let channels = || {
        let count = |server: &Server| {
            let reply = server.command(&["PUBSUB", "CHANNELS", "lh:wake:*"]).unwrap();
            reply.to_string().matches("lh:wake:").count()
        };
        trio.servers().iter().map(count).min().unwrap()
    };
    let before = channels();
    let refused = client.lease("first-contact").wait(Duration::from_millis(1)).acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    common::eventually("every endpoint is listened to", || channels() > before).await;
    lease.release().await.unwrap();
    recorder.attempts.lock().unwrap().clear();
    (client, recorder)
}

/// How many stand in line for a name on one server.
fn line_len(server: &Server, name: &str) -> i64 {
    server.command(&["ZCARD", &format!("lh:wait:{name}")]).unwrap().integer().unwrap()
}

fn lines_are(trio: &Trio, name: &str, len: i64) -> bool {
    trio.servers().iter().all(|server| line_len(server, name) == len)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_is_given_the_lock_by_the_release_and_asks_once_in_all() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let (waiter, recorder) = listener(&trio).await;

    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let fence = lease.fence();
    let waiting = tokio::spawn(waiter.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("the waiter is in line everywhere", || lines_are(&trio, "job", 1)).await;
    assert!(!waiting.is_finished());
    lease.release().await.unwrap();

    let lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
    assert!(lease.fence() > fence);
    let outcomes: Vec<_> = recorder.attempts.lock().unwrap().iter().map(|attempt| attempt.outcome).collect();
    let (last, earlier) = outcomes.split_last().unwrap();
    assert_eq!(*last, AttemptOutcome::Won);
    assert!(earlier.iter().all(|outcome| *outcome == AttemptOutcome::Held), "{outcomes:?}");
    // It asks again each half second that this machine takes.
    assert!(outcomes.len() <= 3, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_of_many_clients_are_served_in_the_order_in_which_they_came() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let (mut waiters, mut clients) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let ((client, _), served) = (listener(&trio).await, Arc::clone(&served));
        clients.push(client.clone());
        waiters.push(tokio::spawn(async move {
            let lease = client.lease("job").wait(Duration::from_secs(60)).acquire().await.unwrap();
            served.lock().unwrap().push(number);
            lease.release().await.unwrap();
        }));
        common::eventually("it is in line everywhere", || lines_are(&trio, "job", number + 1)).await;
    }
    lease.release().await.unwrap();
    for waiter in waiters {
        common::soon("everybody's turn", waiter).await.unwrap();
    }
    assert_eq!(*served.lock().unwrap(), (0..8).collect::<Vec<_>>());
    common::eventually("nobody is in line", || lines_are(&trio, "job", 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_of_one_client_are_served_in_order_and_stand_on_the_endpoints_as_one() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let (client, _) = listener(&trio).await;
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = Vec::new();
    for number in 0..20 {
        let (request, served) = (client.lease("job").wait(Duration::from_secs(60)), Arc::clone(&served));
        let mut waiter = Box::pin(async move {
            let lease = request.acquire().await.unwrap();
            served.lock().unwrap().push(number);
            lease.release().await.unwrap();
        });
        // Polled once, so that it stands in the local line before the next one comes.
        assert!(futures::poll!(waiter.as_mut()).is_pending());
        waiters.push(tokio::spawn(waiter));
    }
    common::eventually("they are in line everywhere", || lines_are(&trio, "job", 1)).await;
    lease.release().await.unwrap();
    for waiter in waiters {
        common::soon("everybody's turn", waiter).await.unwrap();
    }
    assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_that_gives_up_leaves_nothing_behind_and_the_next_one_is_given_the_lock() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let ((first, _), (second, _)) = (listener(&trio).await, listener(&trio).await);
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let gives_up = tokio::spawn(first.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("the first is in line", || lines_are(&trio, "job", 1)).await;
    let stays = tokio::spawn(second.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("so is the second", || lines_are(&trio, "job", 2)).await;
    gives_up.abort();
    common::eventually("the first has left", || lines_are(&trio, "job", 1)).await;
    let parked = |server: &Server| {
        server.command(&["KEYS", "lh:park:*"]).unwrap().to_string().matches("lh:park:").count()
    };
    common::eventually("and has nothing parked", || trio.servers().iter().all(|server| parked(server) <= 1))
        .await;
    lease.release().await.unwrap();
    let lease = common::soon("the hand-over", stays).await.unwrap().unwrap();
    lease.release().await.unwrap();
    common::eventually("nothing is left", || common::no_locks(trio.servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_that_died_are_passed_over_at_once() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let (waiter, _) = listener(&trio).await;
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    for server in trio.servers() {
        // Ten clients whose processes are gone: nobody listens on their channels.
        for client in 0..10 {
            server.command(&["ZADD", "lh:wait:job", &client.to_string(), &format!("{client:016x}")]).unwrap();
        }
    }
    let waiting = tokio::spawn(waiter.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("it is behind them", || lines_are(&trio, "job", 11)).await;
    lease.release().await.unwrap();
    let _lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
    assert!(lines_are(&trio, "job", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_that_is_given_the_lock_and_does_not_know_it_costs_its_ttl() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let (waiter, _) = listener(&trio).await;
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    // Where it is free, whoever asks first gives it to the stopped client.
    common::eventually("all three hold it", || lease.votes() == 3).await;
    // A client that hears and does nothing, as one does that is stopped.
    let (client, parked) = ("0000000000000009", "00000000000000090000000000000001 1 1 700");
    let stopped: Vec<TcpStream> = trio
        .servers()
        .iter()
        .map(|server| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
            stream.write_all(format!("SUBSCRIBE lh:wake:{client}\r\n").as_bytes()).unwrap();
            assert_ne!(stream.read(&mut [0; 64]).unwrap(), 0);
            server.command(&["ZADD", "lh:wait:job", "1", client]).unwrap();
            server.command(&["SET", &format!("lh:park:{client}:job"), parked, "PX", "20000"]).unwrap();
            stream
        })
        .collect();
    let waiting = tokio::spawn(waiter.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("it is behind the other", || lines_are(&trio, "job", 2)).await;
    let begun = Instant::now();
    lease.release().await.unwrap();
    let _lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(690), "{:?}", begun.elapsed());
    drop(stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn word_that_is_lost_on_one_endpoint_while_another_is_down_is_made_up_for_by_asking() {
    let mut trio = common::trio().await;
    let holder = common::client(&trio).await;
    let (waiter, _) = listener(&trio).await;
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    common::eventually("all three hold it", || lease.votes() == 3).await;
    let waiting = tokio::spawn(
        waiter.lease("job").ttl(Duration::from_secs(10)).wait(Duration::from_secs(60)).acquire(),
    );
    common::eventually("it is in line everywhere", || lines_are(&trio, "job", 1)).await;
    trio.server(2).kill().unwrap();
    // What the first server does and says when it hands over, but for the word of it.
    let given = "local key = redis.call('KEYS', 'lh:park:*')[1]
        local owner = string.sub(redis.call('GET', key), 1, 32)
        redis.call('DEL', key, 'lh:wait:job')
        redis.call('SET', 'lh:lock:job', owner .. ':4102444800000000', 'PX', 10000)
        return owner";
    trio.servers()[0].command(&["EVAL", given, "0"]).unwrap();
    drop(lease.release().await);
    let lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
    assert_eq!(lease.fence().get(), 4_102_444_800_000_000, "the larger token is raised where it is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_that_is_down_holds_no_waiter_up() {
    let mut trio = common::trio().await;
    let holder = common::client(&trio).await;
    let (waiter, recorder) = listener(&trio).await;
    trio.server(2).kill().unwrap();
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let waiting = tokio::spawn(waiter.lease("job").wait(Duration::from_secs(60)).acquire());
    let in_line = || trio.servers()[..2].iter().all(|server| line_len(server, "job") == 1);
    common::eventually("it is in line at the two others", in_line).await;
    lease.release().await.unwrap();
    let _lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
    assert!(recorder.attempts() <= 4, "{} attempts", recorder.attempts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_connections_break_listens_again() {
    let trio = common::trio().await;
    let holder = common::client(&trio).await;
    let (waiter, _) = listener(&trio).await;
    let lease = holder.lease("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let waiting = tokio::spawn(waiter.lease("job").wait(Duration::from_secs(60)).acquire());
    common::eventually("it is in line everywhere", || lines_are(&trio, "job", 1)).await;
    let listeners =
        |server: &Server| server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap().integer();
    for server in trio.servers() {
        assert!(listeners(server) >= Some(1));
    }
    let subscribed = |server: &Server| {
        let reply = server.command(&["PUBSUB", "CHANNELS", "lh:wake:*"]).unwrap();
        reply.to_string().contains("lh:wake:")
    };
    common::eventually("it listens again", || trio.servers().iter().all(subscribed)).await;
    lease.release().await.unwrap();
    let _lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_gets_the_lease_of_a_crashed_holder_when_its_ttl_is_over_and_not_before() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let begun = Instant::now();
    for server in trio.servers() {
        common::set_nx_px(server, "job", Duration::from_millis(500));
    }
    let lease = client.lease("job").acquire().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(499), "{:?}", begun.elapsed());
    assert!(lease.is_valid());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_asks_once() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let _lease = client.lease("job").acquire().await.unwrap();
    let refused = client.lease("job").try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    let refused = client.lease("job").wait(Duration::ZERO).acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    assert_eq!(recorder.attempts(), 3, "the one that won, and one each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_ends_with_the_last_refusal() {
    let trio = common::trio().await;
    let recorder = Recorder::new();
    let client = common::connect(common::builder(&trio).observer(Arc::clone(&recorder) as _)).await;
    let _lease = client.lease("job").acquire().await.unwrap();
    let begun = Instant::now();
    let request = client.lease("job").wait(Duration::from_millis(300));
    let refused = common::soon("the end of the wait", request.acquire()).await.unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    assert!(begun.elapsed() >= Duration::from_millis(200), "given up after {:?}", begun.elapsed());
    assert!(recorder.attempts() >= 2, "{} attempts", recorder.attempts());
    common::eventually("no line is left", || lines_are(&trio, "job", 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_ever_is_a_wait() {
    let trio = common::trio().await;
    let client = common::client(&trio).await;
    let lease = client.lease("job").wait(Duration::MAX).acquire().await.unwrap();
    let waiting = tokio::spawn(client.lease("job").wait(Duration::MAX).acquire());
    lease.release().await.unwrap();
    let _lease = common::soon("the hand-over", waiting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_the_client_is_shut_down() {
    let trio = common::trio().await;
    let (client, other) = (common::client(&trio).await, common::client(&trio).await);
    let _lease = other.lease("job").acquire().await.unwrap();
    let waiting = tokio::spawn(client.lease("job").wait(Duration::MAX).acquire());
    assert_eq!(client.shutdown(Duration::ZERO).await, Vec::<String>::new());
    let refused = common::soon("the end of the wait", waiting).await.unwrap().unwrap_err();
    assert!(matches!(refused, AcquireError::Shutdown), "{refused}");
}
