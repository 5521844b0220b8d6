//! One direction of one connection: reads, holds back as long as the link says, writes.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::conditions::{Conditions, Lane};
use super::replies::Replies;

/// Bytes held back at most; more wait at their sender, as behind a full TCP window.
const HELD_MAX: usize = 64 * 1024;
const CHUNK: usize = 16 * 1024;

/// Which way a pump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToEndpoint,
    ToNode,
}

/// How a pump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its sender has closed, and everything has arrived.
    Closed,
    /// The connection is to be broken.
    Broken,
}

pub(super) struct Pump<'c> {
    pub(super) direction: Direction,
    pub(super) from: ReadHalf<'c>,
    pub(super) to: WriteHalf<'c>,
    /// Whether replies can be told apart.
    pub(super) resp: bool,
    pub(super) conditions: watch::Receiver<Conditions>,
    pub(super) random: ChaCha8Rng,
}

/// What is on its way.
#[derive(Default)]
struct Held {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// Nothing overtakes what was read before it.
    last_due: Option<Instant>,
}

impl Pump<'_> {
    pub(super) async fn run(mut self) -> End {
        self.pass().await.unwrap_or(End::Broken)
    }

    async fn pass(&mut self) -> io::Result<End> {
        let (mut lane, mut lost_share) = self.look();
        let (mut held, mut replies) = (Held::default(), Replies::default());
        let mut buffer = vec![0; CHUNK];
        let mut open = true;
        loop {
            let due = held.chunks.front().map(|(due, _)| *due).filter(|_| !lane.held);
            tokio::select! {
                biased;
                changed = self.conditions.changed() => {
                    if changed.is_err() {
                        return Ok(End::Broken);
                    }
                    (lane, lost_share) = self.look();
                }
                () = at(due) => {
                    if let Some(bytes) = held.take() {
                        self.to.write_all(&bytes).await?;
                    }
                }
                read = self.from.read(&mut buffer), if open && held.bytes < HELD_MAX => {
                    let read = read?;
                    open = read > 0;
                    if self.conditions.has_changed().unwrap_or(true) {
                        // What began before these bytes came is seen to first; it may be the end of the connection.
                        yield_now().await;
                        (lane, lost_share) = self.look();
                    }
                    let (kept, lost) = self.lose(&buffer[..read], &mut replies, lost_share);
                    if held.chunks.is_empty() && lane.is_clear() {
                        self.to.write_all(kept).await?;
                    } else {
                        held.put(kept, &lane, &mut self.random);
                    }
                    if lost {
                        return Ok(End::Broken);
                    }
                }
            }
            if !open && held.chunks.is_empty() {
                self.to.shutdown().await?;
                return Ok(End::Closed);
            }
        }
    }

    fn look(&mut self) -> (Lane, f64) {
        let now = self.conditions.borrow_and_update();
        match self.direction {
            Direction::ToEndpoint => (now.to_endpoint.clone(), 0.0),
            Direction::ToNode => (now.to_node.clone(), now.lost_share),
        }
    }

    /// What is left of what was read, and whether a reply was lost behind it.
    fn lose<'b>(&mut self, read: &'b [u8], replies: &mut Replies, share: f64) -> (&'b [u8], bool) {
        if self.direction == Direction::ToEndpoint {
            return (read, false);
        }
        let mut first_lost = None;
        let random = &mut self.random;
        if !self.resp {
            let lost = share > 0.0 && random.random::<f64>() < share;
            return if lost { (&[], true) } else { (read, false) };
        }
        replies.follow(read, |at| {
            if share > 0.0 && first_lost.is_none() && random.random::<f64>() < share {
                first_lost = Some(at);
            }
        });
        first_lost.map_or((read, false), |at| (&read[..at], true))
    }
}

impl Held {
    fn put(&mut self, bytes: &[u8], lane: &Lane, random: &mut ChaCha8Rng) {
        if bytes.is_empty() {
            return;
        }
        let now = Instant::now();
        let delay: Duration = lane.delays.iter().map(|delay| delay.draw(random)).sum();
        let passing = lane
            .bytes_per_s
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes.len() as f64 / rate as f64));
        let due = self.last_due.map_or(now + delay, |last| last.max(now + delay)) + passing;
        self.last_due = Some(due);
        self.bytes += bytes.len();
        self.chunks.push_back((due, bytes.to_vec()));
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (_, bytes) = self.chunks.pop_front()?;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

/// Never, without a time.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
