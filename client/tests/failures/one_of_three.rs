//! One endpoint of three fails, in every way there is: grants go on at once, no lease that is held is lost, and what is wrong
//! with the endpoint can be read.

use std::time::Duration;

use leasehold::{EndpointState, Lease};
use leasehold_trio::{Data, Fault};

use crate::common;
use crate::scene::{GONE, STRUCK, Scene, TTL};

fn is_quarantined(state: &EndpointState) -> bool {
    matches!(state, EndpointState::Quarantined { .. })
}

async fn becomes(scene: &Scene, what: &str, is: impl Fn(&EndpointState) -> bool) {
    let becomes = || {
        let state = scene.state();
        is(&state)
    };
    common::eventually(&format!("{what}: {:?}", scene.client), becomes).await;
}

/// The endpoint votes again: it is ready, and the leases grow onto it.
async fn votes_again(scene: &mut Scene) {
    becomes(scene, "it is ready again", |state| *state == EndpointState::Ready).await;
    let whole = |lease: &Lease| lease.votes() == 3;
    for turn in 0.. {
        if scene.held.iter().all(whole) {
            return;
        }
        assert!(turn < 2_000, "not all three hold {:?}", scene.held);
        scene.cycle().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed() {
    let mut scene = Scene::struck_by(&Fault::Killed).await;
    scene.goes_on().await;
    assert!(matches!(scene.state(), EndpointState::Unreachable { .. }), "{:?}", scene.client);
    scene.trio.server(STRUCK).restart(Data::Keep).unwrap();
    becomes(&scene, "it is admitted again", is_quarantined).await;
    scene.trio.server(STRUCK).kill().unwrap();
    scene.says(&GONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hung() {
    let mut scene = Scene::struck_by(&Fault::Hung).await;
    scene.goes_on().await;
    assert!(scene.state().to_string().contains("no answer in time"), "{:?}", scene.client);
    scene.server().resume().unwrap();
    votes_again(&mut scene).await;
    scene.strike(&Fault::Hung);
    scene.says(&["no answer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hung_and_resumed_in_the_middle_of_batches() {
    let mut scene = Scene::new().await;
    for turn in 0..20 {
        scene.server().pause().unwrap();
        for _ in 0..3 {
            scene.cycle().await;
        }
        // Some turns outlast the requests' timeouts: what was given up then is carried out late, and undone.
        if turn % 5 == 4 {
            tokio::time::sleep(TTL / 2).await;
        }
        scene.server().resume().unwrap();
        scene.cycle().await;
    }
    scene.goes_on().await;
    votes_again(&mut scene).await;
    scene.held.clear();
    common::eventually("no lock is left anywhere", || common::no_locks(scene.trio.servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_empty() {
    let mut scene = Scene::struck_by(&Fault::RestartedEmpty).await;
    scene.goes_on().await;
    assert!(is_quarantined(&scene.state()), "{:?}", scene.client);
    scene.says(&["in quarantine", "forgotten"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_from_an_old_append_only_file() {
    let mut scene = Scene::new().await;
    for _ in 0..20 {
        scene.cycle().await;
    }
    let late = scene.client.lease("late").acquire().await.unwrap();
    common::eventually("it has voted", || common::lock_value(scene.server(), "late").is_some()).await;
    scene.strike(&Fault::RestartedFromOldData);
    scene.goes_on().await;
    assert!(late.is_valid());
    assert!(is_quarantined(&scene.state()), "{:?}", scene.client);
    scene.says(&["in quarantine", "forgotten"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed() {
    let mut scene = Scene::struck_by(&Fault::Flushed).await;
    scene.goes_on().await;
    assert!(is_quarantined(&scene.state()), "{:?}", scene.client);
    scene.says(&["in quarantine", "forgotten"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_by_300_ms() {
    let mut scene = Scene::struck_by(&Fault::Slow(Duration::from_millis(300))).await;
    scene.goes_on().await;
    assert_eq!(scene.state(), EndpointState::Ready, "slow, but there");
    scene.way.set_delay(Duration::ZERO);
    votes_again(&mut scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open() {
    // A connection is given up after twice this time.
    let mut scene = Scene::with(|builder| builder.connect_timeout(Duration::from_secs(2))).await;
    scene.strike(&Fault::HalfOpen);
    scene.goes_on().await;
    // Nobody tells it: the client itself gives the connection up, and makes another.
    votes_again(&mut scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_connections_from_the_start() {
    let mut scene = Scene::struck_by(&Fault::Killed).await;
    let urls = scene.trio.urls();
    scene.client = common::client_of(&scene.trio, 2).await;
    for _ in 0..20 {
        scene.cycle().await;
    }
    let state = scene.state();
    assert!(state.to_string().contains("refused"), "{urls:?}: {state}");
    scene.trio.server(STRUCK).restart(Data::Discard).unwrap();
    becomes(&scene, "it is admitted once it is there", is_quarantined).await;
    scene.nothing_is_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password() {
    let mut scene = Scene::struck_by(&Fault::WrongPassword).await;
    scene.goes_on().await;
    assert!(scene.state().to_string().contains("NOAUTH"), "{:?}", scene.client);
    scene.says(&["NOAUTH"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory() {
    let mut scene = Scene::struck_by(&Fault::OutOfMemory).await;
    scene.goes_on().await;
    scene.server().command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    votes_again(&mut scene).await;
    scene.strike(&Fault::OutOfMemory);
    scene.says(&["OOM"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only() {
    let mut scene = Scene::struck_by(&Fault::ReadOnly).await;
    scene.goes_on().await;
    assert!(scene.state().to_string().contains("replica"), "{:?}", scene.client);
    scene.server().command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    becomes(&scene, "promoted, it is quarantined", is_quarantined).await;
    scene.strike(&Fault::ReadOnly);
    scene.says(&["replica"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_in_a_foreign_script() {
    let mut scene = Scene::struck_by(&Fault::Busy).await;
    scene.goes_on().await;
    assert!(scene.state().to_string().contains("BUSY"), "{:?}", scene.client);
    scene.server().command(&["SCRIPT", "KILL"]).unwrap();
    votes_again(&mut scene).await;
    scene.strike(&Fault::Busy);
    scene.says(&["BUSY"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loading() {
    let mut scene = Scene::struck_by(&Fault::Loading).await;
    scene.goes_on().await;
    assert!(scene.state().to_string().contains("LOADING"), "{:?}", scene.client);
    scene.says(&["LOADING"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_under_the_locks_key() {
    let mut scene = Scene::new().await;
    let name =
        |number: usize| if number < 500 { format!("cycle:{number}") } else { "one:too:many".to_owned() };
    let keys: Vec<String> = (0..=500).map(|number| format!("lh:lock:{}", name(number))).collect();
    let held = scene.held.iter().map(|lease| format!("lh:lock:{}", lease.name()));
    scene.strike(&Fault::ForeignKeys(keys.iter().cloned().chain(held).collect()));
    scene.goes_on().await;
    let kind = scene.server().command(&["TYPE", "lh:lock:held:0"]).unwrap();
    assert_eq!(kind.text(), Some("hash"), "what is no lock is not overwritten");
    scene.says(&["not a lock"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_clock_ten_per_cent_fast() {
    let mut scene = Scene::struck_by(&Fault::ClockFast).await;
    let seen = std::time::Instant::now();
    while !is_quarantined(&scene.state()) {
        assert!(seen.elapsed() < Duration::from_secs(30), "its clock is not seen: {:?}", scene.client);
        scene.cycle().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.goes_on().await;
    scene.says(&["in quarantine"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_clock_ahead_by_an_hour() {
    let mut scene = Scene::struck_by(&Fault::ClockJumped).await;
    scene.goes_on().await;
    assert!(is_quarantined(&scene.state()), "{:?}", scene.client);
    scene.says(&["in quarantine"]).await;
}
