//! The limit: this project's script and arguments through three connections of a driver, and nothing around them. No batch,
//! no queue, no task, no deadline, no token to settle, nothing undone.

mod batches;
mod fred;
mod redis_rs;
mod rung;
mod word;

use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use leasehold::protocol::validity::TTL_MS_MAX;
use leasehold::protocol::wire::{self, AdmitReply, Arguments, BatchReply, Field, WireError};
use leasehold::protocol::{Action, LeaseName, Operation, OwnerId, Reply};
use leasehold::scripts::Settings;

pub use self::batches::Batches;
pub use self::fred::Fred;
pub use self::redis_rs::RedisRs;
pub use self::rung::{Rung, Step};
pub use self::word::Word;
use super::{Contender, Failure, TTL};

const MAJORITY: usize = 2;

/// A client library's connection to one server.
pub trait Driver: Sized + Send + Sync + 'static {
    /// What the server's answer is read into.
    type Reply: Send;

    /// Connects.
    fn connect(url: &str) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// Sends one command and waits for its answer.
    fn call(
        &self,
        command: &'static str,
        arguments: Vec<Bytes>,
    ) -> impl Future<Output = Result<Self::Reply, Failure>> + Send;

    /// The answer's fields, if it is an array.
    fn fields(reply: &Self::Reply) -> Option<Vec<Field<'_>>>;
}

/// Three connections.
#[derive(Debug)]
pub struct Raw<D> {
    servers: Vec<Server<D>>,
}

#[derive(Debug)]
struct Server<D> {
    driver: D,
    script_hash: Bytes,
    /// The record of admission that the script wants to hear with each call.
    member: Bytes,
}

impl<D: Driver> Raw<D> {
    /// Connects to servers that are members of a set.
    ///
    /// # Errors
    /// When a server does not answer or is not admitted.
    pub async fn connect(urls: &[String; 3]) -> Result<Self, Failure> {
        let servers = try_join_all(urls.iter().map(|url| Server::connect(url))).await?;
        Ok(Self { servers })
    }

    /// Sends operations everywhere, all in one call, and waits for the second server that says yes to each.
    async fn run(&self, operations: &[Operation], yes: fn(&Reply) -> bool) -> Result<(), Failure> {
        let (bytes, ends) = Arguments::encode(operations).into_parts();
        let bytes = Bytes::from(bytes);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let arguments: Vec<Bytes> = starts.zip(&ends).map(|(start, &end)| bytes.slice(start..end)).collect();
        self.majority(|server| server.run(&arguments, operations.len()), |replies| replies.iter().all(yes))
            .await
    }

    /// Asks all three and waits for the second yes. The third answer is left to arrive unheard: the command is on its way,
    /// and the next one on that connection follows it.
    async fn majority<'a, F, T>(
        &'a self,
        ask: impl Fn(&'a Server<D>) -> F,
        yes: impl Fn(&T) -> bool,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<T, Failure>>,
        T: std::fmt::Debug,
    {
        let mut replies: FuturesUnordered<F> = self.servers.iter().map(ask).collect();
        let mut count = 0;
        let mut refusal = None;
        while let Some(reply) = replies.next().await {
            let reply = reply?;
            if yes(&reply) {
                count += 1;
            } else {
                refusal = Some(reply);
            }
            if count == MAJORITY {
                return Ok(());
            }
        }
        Err(format!("no majority said yes; one answered {refusal:?}").into())
    }
}

impl<D: Driver> Contender for Raw<D> {
    type Held = (LeaseName, OwnerId);

    async fn acquire(&self, name: &str) -> Result<Self::Held, Failure> {
        let held = (LeaseName::new(name)?, OwnerId::new(rand::random()));
        self.run(&[acquire(&held)?], granted).await?;
        Ok(held)
    }

    async fn release(&self, held: Self::Held) -> Result<(), Failure> {
        self.run(&[release(held)], released).await
    }
}

fn acquire((name, owner): &(LeaseName, OwnerId)) -> Result<Operation, Failure> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let action = Action::Acquire {
        ttl_ms: u32::try_from(TTL.as_millis())?,
        proposal: u64::try_from(since_1970.as_micros())?,
    };
    Ok(Operation { name: name.clone(), owner: *owner, action })
}

fn release((name, owner): (LeaseName, OwnerId)) -> Operation {
    Operation { name, owner, action: Action::Release }
}

const fn granted(reply: &Reply) -> bool {
    matches!(reply, Reply::Granted { .. })
}

const fn released(reply: &Reply) -> bool {
    matches!(reply, Reply::Released)
}

impl<D: Driver> Server<D> {
    /// Connects, and admits the server, which also makes it know the script.
    async fn connect(url: &str) -> Result<Self, Failure> {
        let driver = D::connect(url).await?;
        let script =
            Settings { namespace: "lh".to_owned(), database: 0, endpoints: 3, ttl_ms_max: TTL_MS_MAX }
                .script();
        let script_hash = Bytes::from(::fred::util::sha1_hash(&script));
        let arguments = [Bytes::from(script), b"0"[..].into(), b"admit"[..].into(), b"-"[..].into()];
        let reply = driver.call("EVAL", arguments.to_vec()).await?;
        let fields = D::fields(&reply).ok_or(WireError)?;
        match wire::decode_admit(fields.into_iter())? {
            AdmitReply::Admitted { member, quarantined_ms: 0, .. } => {
                let member = Bytes::copy_from_slice(member.as_bytes());
                Ok(Self { driver, script_hash, member })
            }
            other => Err(format!("{url} gives no votes: {other:?}").into()),
        }
    }

    /// Runs operations, encoded already.
    async fn run(&self, operations: &[Bytes], count: usize) -> Result<Vec<Reply>, Failure> {
        let arguments = self.head().into_iter().chain(operations.iter().cloned()).collect();
        let reply = self.driver.call("EVALSHA", arguments).await?;
        let fields = D::fields(&reply).ok_or(WireError)?;
        match wire::decode_batch(fields.into_iter(), count)? {
            BatchReply::Done { replies, .. } => Ok(replies),
            BatchReply::NotAdmitted(reason) => Err(reason.as_ref().into()),
        }
    }

    /// What each call of the script begins with.
    fn head(&self) -> [Bytes; 4] {
        [self.script_hash.clone(), b"0"[..].into(), b"run"[..].into(), self.member.clone()]
    }
}
