//! The least that handing a lock over takes: a call to each server, and word of it from a majority by a second connection.

use std::sync::atomic::{AtomicU64, Ordering};

use fred::interfaces::{EventInterface as _, PubsubInterface as _};
use fred::types::Message;
use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Driver as _, Fred, MAJORITY};
use crate::contender::{Contender, Failure};

const CHANNEL: &str = "bench:word";

/// Publishes, and hears it.
#[derive(Debug)]
pub struct Word {
    servers: Vec<Server>,
    last: AtomicU64,
}

#[derive(Debug)]
struct Server {
    says: Fred,
    /// Kept connected for what it hears.
    _listens: Fred,
    heard: Mutex<Receiver<Message>>,
}

impl Word {
    /// Connects twice to each server.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn connect(urls: &[String; 3]) -> Result<Self, Failure> {
        let servers = try_join_all(urls.iter().map(|url| Server::connect(url))).await?;
        Ok(Self { servers, last: AtomicU64::new(0) })
    }

    /// Until word of it came from a majority.
    async fn round(&self) -> Result<(), Failure> {
        let word = self.last.fetch_add(1, Ordering::Relaxed).to_string();
        let mut heard: FuturesUnordered<_> = self.servers.iter().map(|server| server.round(&word)).collect();
        for _ in 0..MAJORITY {
            heard.next().await.ok_or("there are too few servers")??;
        }
        Ok(())
    }
}

impl Server {
    async fn connect(url: &str) -> Result<Self, Failure> {
        let (says, listens) = (Fred::connect(url).await?, Fred::connect(url).await?);
        let heard = Mutex::new(listens.client().message_rx());
        listens.client().subscribe(CHANNEL).await?;
        Ok(Self { says, _listens: listens, heard })
    }

    async fn round(&self, word: &str) -> Result<(), Failure> {
        let _: i64 = self.says.client().publish(CHANNEL, word).await?;
        let mut heard = self.heard.lock().await;
        loop {
            match heard.recv().await {
                // Words of rounds that were over without this server come first, or have been dropped by the driver.
                Err(RecvError::Lagged(_)) => {}
                Ok(message) if message.value.as_bytes() != Some(word.as_bytes()) => {}
                Ok(_) => return Ok(()),
                Err(closed @ RecvError::Closed) => return Err(closed.into()),
            }
        }
    }
}

impl Contender for Word {
    type Held = ();

    async fn acquire(&self, _: &str) -> Result<(), Failure> {
        self.round().await
    }

    async fn release(&self, (): ()) -> Result<(), Failure> {
        self.round().await
    }
}
