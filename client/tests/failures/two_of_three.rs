//! Two endpoints of three fail: a clear error with each one's reason, leases that run to their deadline and are reported lost
//! on time, and a recovery that needs nobody.

use std::time::{Duration, Instant};

use leasehold::{AcquireError, LeaseState, LossReason};
use leasehold_trio::{Data, Fault};

use crate::common;
use crate::scene::{GONE, Scene, is_healthy};

/// What a machine that is busy with other things may be late.
const LATE: Duration = Duration::from_secs(1);

/// Leases are valid to their deadlines, and over then.
async fn leases_run_out_in_time(scene: &mut Scene) {
    for lease in std::mem::take(&mut scene.held) {
        let deadline = lease.valid_until();
        if Instant::now() + LATE < deadline {
            assert!(lease.is_valid(), "lost before its time: {lease:?}");
        }
        assert_eq!(common::soon("the loss", lease.lost()).await, LossReason::Expired);
        assert!(Instant::now() < lease.valid_until() + LATE, "told too late");
        assert_eq!(lease.state(), LeaseState::Over(LossReason::Expired));
    }
    let losses = scene.recorder.losses.lock().unwrap();
    let late = losses.iter().map(|loss| loss.after_deadline).max().unwrap();
    assert!(late < LATE, "told too late: {late:?}");
}

/// What each of the endpoints is said to suffer from.
async fn reasons(scene: &Scene) -> [String; 3] {
    let error = scene.client.lease("job").try_acquire().await.unwrap_err();
    let AcquireError::NoQuorum { endpoints, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains(&endpoints.0[0].reason), "{error}");
    [0, 1, 2].map(|index| endpoints.0[index].reason.clone())
}

/// Grants go on without any help.
async fn recovers(scene: &mut Scene) {
    let lease = scene.client.lease("job").wait(Duration::from_secs(60)).acquire().await.unwrap();
    lease.release().await.unwrap();
    for _ in 0..10 {
        scene.cycle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed() {
    let mut scene = Scene::new().await;
    scene.strike(&Fault::Killed);
    scene.trio.server(2).kill().unwrap();
    let [first, second, third] = reasons(&scene).await;
    assert!(is_healthy(&first), "{first}");
    for reason in [second, third] {
        assert!(GONE.iter().any(|word| reason.contains(word)), "{reason}");
    }
    leases_run_out_in_time(&mut scene).await;
    for index in [1, 2] {
        scene.trio.server(index).restart(Data::Keep).unwrap();
        // An operator who knows that nothing was forgotten ends the quarantine; otherwise it takes half a minute.
        let server = &scene.trio.servers()[index];
        let quarantined = || server.command(&["DEL", "lh:quarantine"]).unwrap().integer() == Some(1);
        common::eventually("it is admitted, into quarantine", quarantined).await;
    }
    recovers(&mut scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hung() {
    let mut scene = Scene::new().await;
    scene.strike(&Fault::Hung);
    scene.trio.servers()[2].pause().unwrap();
    let [first, second, third] = reasons(&scene).await;
    assert!(is_healthy(&first), "{first}");
    for reason in [second, third] {
        assert!(reason.contains("no answer"), "{reason}");
    }
    leases_run_out_in_time(&mut scene).await;
    scene.server().resume().unwrap();
    scene.trio.servers()[2].resume().unwrap();
    recovers(&mut scene).await;
    let locks = || common::no_locks(scene.trio.servers());
    common::eventually("what the dead leases left has been removed", locks).await;
}
