//! The rows: what befalls one endpoint, and what two.

use std::time::{Duration, Instant};

use leasehold::AcquireError;
use leasehold_bench::contender::Failure;
use leasehold_trio::{Data, Fault};

use crate::scene::{STRUCK, Sample, Scene, Times, until};
use crate::table::{OneSample, TwoSample};

/// Attempts while two endpoints are gone.
const ATTEMPTS: u32 = 20;

/// What befalls one endpoint of three.
pub(crate) enum One {
    Fault(&'static str, Fault),
    /// It stands still and goes on, by turns.
    Stutters,
    /// It was never there.
    NeverThere,
    /// Something that is no lock stands under every lock's key.
    KeysAreTaken,
}

impl One {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::Fault("killed", Fault::Killed),
            Self::Fault("hung", Fault::Hung),
            Self::Stutters,
            Self::Fault("restarted empty", Fault::RestartedEmpty),
            Self::Fault("restarted from an old append-only file", Fault::RestartedFromOldData),
            Self::Fault("flushed", Fault::Flushed),
            Self::Fault("slow by 300 ms", Fault::Slow(Duration::from_millis(300))),
            Self::Fault("half-open connection", Fault::HalfOpen),
            Self::NeverThere,
            Self::Fault("wrong password", Fault::WrongPassword),
            Self::Fault("out of memory", Fault::OutOfMemory),
            Self::Fault("read-only", Fault::ReadOnly),
            Self::Fault("BUSY in a foreign script", Fault::Busy),
            Self::Fault("LOADING", Fault::Loading),
            Self::KeysAreTaken,
            Self::Fault("its clock 10 % fast", Fault::ClockFast),
            Self::Fault("its clock ahead by an hour", Fault::ClockJumped),
        ]
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Fault(name, _) => name,
            Self::Stutters => "hung and resumed in the middle of batches",
            Self::NeverThere => "refusing connections from the start",
            Self::KeysAreTaken => "a hash under the lock's key",
        }
    }

    /// One sample healthy, and one while it lasts.
    pub(crate) async fn measure(&self, times: Times) -> Result<OneSample, Failure> {
        let mut scene = Scene::open().await?;
        // What is done for the first time is slow.
        scene.sample(times.sample / 5).await?;
        let healthy = scene.sample(times.sample).await?;
        let failing = match self {
            Self::Fault(_, fault) => {
                scene.strike(fault)?;
                settled(&scene, times).await?
            }
            Self::KeysAreTaken => {
                scene.strike(&Fault::ForeignKeys(Scene::keys()))?;
                settled(&scene, times).await?
            }
            Self::NeverThere => {
                scene.strike(&Fault::Killed)?;
                scene.reconnect().await?;
                settled(&scene, times).await?
            }
            Self::Stutters => stuttering(&scene, times).await?,
        };
        Ok(OneSample { healthy, failing, held: scene.held.len(), lost: scene.losses.all().len() })
    }
}

/// Once the client has noticed.
async fn settled(scene: &Scene, times: Times) -> Result<Sample, Failure> {
    scene.sample(times.settle).await?;
    scene.sample(times.sample).await
}

async fn stuttering(scene: &Scene, times: Times) -> Result<Sample, Failure> {
    let server = &scene.trio.servers()[STRUCK];
    let stutter = async {
        loop {
            server.pause()?;
            tokio::time::sleep(Duration::from_millis(150)).await;
            server.resume()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        sample = settled(scene, times) => sample,
        never = stutter => never,
    }
}

/// An operator who knows that nothing was forgotten ends the quarantines; otherwise they take half a minute.
async fn end_quarantines(scene: &Scene) -> Result<(), Failure> {
    for server in &scene.trio.servers()[STRUCK..] {
        let ended =
            || server.command(&["DEL", "lh:quarantine"]).is_ok_and(|count| count.integer() == Some(1));
        until(ended).await?;
    }
    Ok(())
}

/// What befalls two endpoints of three.
pub(crate) enum Two {
    Killed,
    Hung,
}

impl Two {
    pub(crate) const ALL: [Self; 2] = [Self::Killed, Self::Hung];

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Killed => "two of three killed",
            Self::Hung => "two of three hung",
        }
    }

    /// How soon it is said, how late the leases' ends are told, and how soon grants go on afterwards.
    pub(crate) async fn measure(&self) -> Result<TwoSample, Failure> {
        let mut scene = Scene::open().await?;
        let held = scene.held.len();
        for index in [STRUCK, 2] {
            match self {
                Self::Killed => scene.trio.server(index).kill()?,
                Self::Hung => scene.trio.servers()[index].pause()?,
            }
        }
        let mut refused_ms = Vec::new();
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            match scene.client.lease("job").try_acquire().await {
                Err(AcquireError::NoQuorum { .. }) => refused_ms.push(begun.elapsed().as_secs_f64() * 1e3),
                other => return Err(format!("not refused for want of a quorum: {other:?}").into()),
            }
        }
        until(|| scene.losses.all().len() == held).await?;
        let late = scene.losses.all().iter().map(|loss| loss.after_deadline).max().unwrap_or_default();
        for index in [STRUCK, 2] {
            match self {
                Self::Killed => scene.trio.server(index).restart(Data::Keep)?,
                Self::Hung => scene.trio.servers()[index].resume()?,
            }
        }
        if matches!(self, Self::Killed) {
            end_quarantines(&scene).await?;
        }
        let back = Instant::now();
        let lease = scene.client.lease("job").wait(Duration::from_secs(60)).acquire().await?;
        let recovered_ms = back.elapsed().as_secs_f64() * 1e3;
        lease.release().await?;
        Ok(TwoSample { refused_ms, held, told_late_us: late.as_secs_f64() * 1e6, recovered_ms })
    }
}
