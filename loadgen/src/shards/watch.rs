//! Looks at the endpoints' clocks for as long as a run lasts, on a thread of its own.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand};
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::clock::{Clock, ClockLog, Sample};
use super::start::StartAt;
use crate::clock::{duration_ns, now_ns};
use crate::locked;
use crate::locks::server;
use crate::run::endpoints::without_password;

/// From one look to the next. The quickest answer of each second is kept.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const KEEP_EVERY_NS: u64 = 1_000_000_000;
/// So many looks make a first opinion.
const LOOKS_FIRST: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(5);
/// A server's clock is told in microseconds, rounded down.
const GRAIN_NS: u64 = 1_000;

/// Why the clocks cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClockError {
    #[error("no endpoint told the time within {} s, which machines that share a run need to begin together", PATIENCE.as_secs())]
    Silence,
    #[error("the clocks cannot be watched: {0}")]
    Io(#[from] io::Error),
}

/// What one endpoint's clock showed.
#[derive(Debug, Default)]
struct Seen {
    log: ClockLog,
    looks: u32,
    /// The best of the current second.
    best: Option<Sample>,
}

/// Watches until it is finished.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    seen: Arc<Vec<Mutex<Seen>>>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl ClockWatch {
    pub(crate) fn start(urls: &[String]) -> io::Result<Self> {
        let clocks = urls.iter().map(|url| {
            let log = ClockLog { endpoint: without_password(url), samples: Vec::new() };
            Mutex::new(Seen { log, ..Seen::default() })
        });
        let seen: Arc<Vec<_>> = Arc::new(clocks.collect());
        let (stop, stopped) = oneshot::channel();
        let (inner, urls) = (Arc::clone(&seen), urls.to_vec());
        let thread =
            std::thread::Builder::new().name("clocks".to_owned()).spawn(move || -> io::Result<()> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let watching = urls.iter().zip(inner.iter()).map(|(url, seen)| watch(url, seen));
                    tokio::select! {
                        _ = join_all(watching) => {}
                        _ = stopped => {}
                    }
                });
                Ok(())
            })?;
        Ok(Self { seen, stop, thread })
    }

    /// Where a moment of the endpoints' clocks lies on this machine's, and in words by which of them. All shards ask the
    /// first endpoint that answers, so that they begin together whatever their own clocks show.
    pub(crate) async fn when(&self, start_at: StartAt) -> Result<(u64, String), ClockError> {
        let deadline_ns = now_ns().saturating_add(duration_ns(PATIENCE));
        while now_ns() < deadline_ns {
            sleep(LOOK_EVERY).await;
            for seen in self.seen.iter() {
                let seen = locked(seen);
                let samples: Vec<Sample> = seen.log.samples.iter().copied().chain(seen.best).collect();
                if seen.looks == 0 {
                    continue;
                }
                let Some(clock) = Clock::through(&samples).filter(|_| seen.looks >= LOOKS_FIRST) else {
                    break;
                };
                let error_us = clock.error_ns() as f64 / 1e3;
                let told = format!("{}, known to {error_us:.0} us", seen.log.endpoint);
                return Ok((clock.local_ns(start_at.0), told));
            }
        }
        Err(ClockError::Silence)
    }

    /// Ends the watch: all that was seen.
    pub(crate) fn finish(self) -> Result<Vec<ClockLog>, ClockError> {
        // A thread that has ended needs no word.
        self.stop.send(()).unwrap_or_default();
        self.thread.join().map_err(|_| io::Error::other("the thread that watches clocks panicked"))??;
        let logs = self.seen.iter().map(|seen| {
            let mut seen = locked(seen);
            let best = seen.best.take();
            seen.log.samples.extend(best);
            seen.log.clone()
        });
        Ok(logs.collect())
    }
}

/// One endpoint, for ever. One that is down is asked again and again.
async fn watch(url: &str, seen: &Mutex<Seen>) {
    loop {
        if let Ok(client) = server::connect(url).await {
            loop {
                sleep(LOOK_EVERY).await;
                if let Some(sample) = look(&client).await {
                    locked(seen).add(sample);
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn look(client: &fred::clients::Client) -> Option<Sample> {
    let command = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
    let sent_ns = now_ns();
    let reply = client.custom::<Vec<String>, String>(command, Vec::new()).await;
    let received_ns = now_ns();
    let reply = reply.ok()?;
    let [seconds, micros] = reply.as_slice() else { return None };
    let (seconds, micros): (u64, u64) = (seconds.parse().ok()?, micros.parse().ok()?);
    let shown_ns = seconds.checked_mul(1_000_000_000)?.checked_add(micros.checked_mul(1_000)?)?;
    let local_ns = sent_ns.midpoint(received_ns);
    let offset_ns = i64::try_from(i128::from(shown_ns) - i128::from(local_ns)).ok()?;
    Some(Sample { local_ns, offset_ns, error_ns: (received_ns - sent_ns).div_ceil(2) + GRAIN_NS })
}

impl Seen {
    fn add(&mut self, sample: Sample) {
        self.looks = self.looks.saturating_add(1);
        match self.best {
            Some(best) if best.local_ns / KEEP_EVERY_NS != sample.local_ns / KEEP_EVERY_NS => {
                self.log.samples.push(best);
                self.best = Some(sample);
            }
            Some(best) if best.error_ns <= sample.error_ns => {}
            _ => self.best = Some(sample),
        }
    }
}
