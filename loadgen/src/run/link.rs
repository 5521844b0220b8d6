//! What a worker and the coordinator say to each other, over one stream of frames per worker.

use std::io;

use futures::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::locks::Failure;
use crate::measure::EncodedInterval;
use crate::referee::{GrantRecord, Write};
use crate::run::plan::Plan;
use crate::run::probe::RenewalCounts;
use crate::run::waiting::Waiting;

/// More than the histograms of all phases ever take.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the coordinator tells a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Play these nodes of the plan, and connect them.
    Assign {
        /// The run.
        plan: Box<Plan>,
        /// This worker's nodes.
        nodes: Vec<u32>,
        /// Whether faults stop this worker: it then reports each sending, for the coordinator to judge.
        paused: bool,
    },
    /// Measure this machine's noise.
    Calibrate,
    /// Begin at `start_ns`, spinning for `spin_ns` before each arrival.
    Begin {
        /// The zero of the schedule on the machine-wide clock.
        start_ns: u64,
        /// How long before an arrival the pacer stops sleeping.
        spin_ns: u64,
    },
    /// Send no more arrivals, finish what is under way.
    Stop,
}

/// What a worker tells the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// All nodes are connected.
    Ready,
    /// A node could not be connected, and why.
    Failed(String),
    /// The machine's noise.
    Noise(Noise),
    /// A lease was granted; its record will follow when it is over.
    Granted {
        /// As far as it is known.
        record: GrantRecord,
        /// When the acquisition was due.
        due_ns: u64,
    },
    /// A holder has written to the protected resource.
    Write(Act),
    /// A lease is over.
    Ended(GrantRecord),
    /// An acquisition won nothing.
    Refused(Refusal),
    /// What was measured since the last of these.
    Progress(Progress),
    /// The last word.
    Done(Closing),
}

/// The noise floor of this machine: what the measuring itself takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Noise {
    /// Half of all sleeps end no later than this after their time.
    pub(crate) oversleep_p50_ns: u64,
    /// 99 of 100 sleeps.
    pub(crate) oversleep_p99_ns: u64,
    /// Nine of ten sleeps; the pacer spins this long before an arrival, within limits.
    pub(crate) oversleep_p90_ns: u64,
    /// An acquisition of no lock at all, from its due time, pacing and hand-over included: the median.
    pub(crate) null_p50_ns: u64,
    /// 99 of 100.
    pub(crate) null_p99_ns: u64,
    /// Whether what sends comes before whatever else the machine has to do.
    pub(crate) real_time: bool,
}

/// A write to the protected resource. It takes effect at the moment in which its holder reads the machine-wide clock:
/// nothing lies between the reading and the effect, so nothing can be stopped there, and all writes have one order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Act {
    pub(crate) at_ns: u64,
    pub(crate) write: Write,
}

/// An acquisition that won nothing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) node: u32,
    pub(crate) key: u32,
    pub(crate) due_ns: u64,
    pub(crate) call_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) failure: Failure,
}

/// What a worker has measured since the last of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The seconds that are over.
    pub(crate) intervals: Vec<EncodedInterval>,
    /// Due and sent times of measured arrivals, from workers that faults stop.
    pub(crate) sendings: Vec<(u64, u64)>,
    /// Measured arrivals that were sent, so far.
    pub(crate) sent: u64,
    /// Measured arrivals whose node had no room for them, so far.
    pub(crate) not_sent: u64,
    /// Nothing still to be reported was called before this.
    pub(crate) low_ns: u64,
    /// Who waits for a lock.
    pub(crate) waiting: Waiting,
}

/// What a worker knows when all its nodes have finished.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Closing {
    /// Processor time since the run began.
    pub(crate) cpu_ns: u64,
    /// The most memory that the process held.
    pub(crate) rss_kib: u64,
    pub(crate) renewals: RenewalCounts,
}

/// A stream of frames.
pub(crate) type Frames = Framed<UnixStream, LengthDelimitedCodec>;

/// Frames over a stream that is connected already.
pub(crate) fn frames(stream: std::os::unix::net::UnixStream) -> io::Result<Frames> {
    stream.set_nonblocking(true)?;
    let codec = LengthDelimitedCodec::builder().max_frame_length(FRAME_BYTES_MAX).new_codec();
    Ok(Framed::new(UnixStream::from_std(stream)?, codec))
}

/// One message as the contents of a frame.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Bytes> {
    postcard::to_stdvec(message).map(Bytes::from).map_err(io::Error::other)
}

/// The message in a frame.
pub(crate) fn decode<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    postcard::from_bytes(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The next message, or nothing once the other side has gone.
pub(crate) async fn receive<T: DeserializeOwned>(frames: &mut Frames) -> io::Result<Option<T>> {
    frames.next().await.transpose()?.map(|frame| decode(&frame)).transpose()
}

/// Sends one message.
pub(crate) async fn send(frames: &mut Frames, message: &impl Serialize) -> io::Result<()> {
    frames.send(encode(message)?).await
}
