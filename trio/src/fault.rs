//! What can befall one server, each brought about as it befalls real ones.

use std::{
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    ClockError, CommandError, Data, Forwarder, Fsync, Persistence, ProcessError, Server, ServerOptions,
    StartError,
};

/// How long a server may take until it shows what it was made to do.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// A script that runs longer is answered for with BUSY. Longer than a busy machine makes any script of ours run.
const BUSY_MS: &str = "1000";
/// The pause between keys while data is read back, in microseconds, and how many keys make that last for some ten seconds.
const LOAD_DELAY_US: &str = "100";
const LOAD_KEYS: &str = "60000";
/// Ten per cent and an hour.
const FAST_PPM: i64 = 100_000;
const JUMP_MS: i64 = 3_600_000;

/// What befalls a server that was started with [`Fault::options`] and is reached by a [`Forwarder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its process is gone; connections are refused.
    Killed,
    /// Its process stands still (SIGSTOP).
    Hung,
    /// It was killed, and restarted without its data.
    RestartedEmpty,
    /// It was killed, and restarted with what the first half of its append-only file had.
    RestartedFromOldData,
    /// All of its keys were deleted (FLUSHALL).
    Flushed,
    /// Each round trip to it takes so much longer.
    Slow(Duration),
    /// Its connections are dead, and nobody was told.
    HalfOpen,
    /// Its password was changed, and its connections were closed.
    WrongPassword,
    /// It has no memory left for writes.
    OutOfMemory,
    /// It became a replica, and takes no writes.
    ReadOnly,
    /// It answers BUSY: somebody's script runs for ever.
    Busy,
    /// It answers LOADING: it was restarted, and reads back its data.
    Loading,
    /// These keys hold a hash.
    ForeignKeys(Vec<String>),
    /// Its clock runs ten per cent fast.
    ClockFast,
    /// Its clock has jumped ahead by an hour.
    ClockJumped,
}

/// Why a fault could not be brought about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The server could not be restarted.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its process could not be signalled.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It refused a command, or did not answer.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Its clock could not be changed.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Its files or a thread could not be had.
    #[error("cannot make the server on port {port} fail: {source}")]
    Io {
        /// The port it serves.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// It did not begin to answer as it was made to.
    #[error("the server on port {port} does not answer {word} within {PATIENCE:?}")]
    NoSuchAnswer {
        /// The port it serves.
        port: u16,
        /// The error code that was to come.
        word: &'static str,
    },
}

impl Fault {
    /// Options for a server that any of these can befall.
    #[must_use]
    pub fn options() -> ServerOptions {
        let persistence = Persistence::AppendOnly(Fsync::EverySecond);
        ServerOptions { persistence, own_clock: cfg!(target_os = "linux"), ..ServerOptions::default() }
            .setting("busy-reply-threshold", BUSY_MS)
            .setting("key-load-delay", LOAD_DELAY_US)
    }

    /// Makes it happen, and returns when it has.
    pub fn strike(&self, server: &mut Server, way: &Forwarder) -> Result<(), FaultError> {
        match self {
            Self::Killed => server.kill()?,
            Self::Hung => server.pause()?,
            Self::RestartedEmpty => server.restart(Data::Discard)?,
            Self::RestartedFromOldData => {
                server.kill()?;
                halve_append_only_files(&server.dir().join("data"))
                    .map_err(|source| FaultError::Io { port: server.port(), source })?;
                server.restart(Data::Keep)?;
            }
            Self::Flushed => drop(server.command(&["FLUSHALL"])?),
            Self::Slow(delay) => way.set_delay(*delay),
            Self::HalfOpen => way.lose_connections(),
            Self::WrongPassword => {
                server.command(&["CONFIG", "SET", "requirepass", "changed"])?;
                way.close_connections();
            }
            Self::OutOfMemory => drop(server.command(&["CONFIG", "SET", "maxmemory", "1"])?),
            Self::ReadOnly => drop(server.command(&["REPLICAOF", "127.0.0.1", "1"])?),
            Self::Busy => be_busy(server)?,
            Self::Loading => {
                let fill = "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'filler:' .. i, i) end";
                server.command(&["EVAL", fill, "0", LOAD_KEYS])?;
                server.begin_restart(Data::Keep)?;
                await_answer(server, "LOADING")?;
            }
            Self::ForeignKeys(keys) => {
                for key in keys {
                    server.command(&["DEL", key])?;
                    server.command(&["HSET", key, "not", "a lock"])?;
                }
            }
            #[cfg(target_os = "linux")]
            Self::ClockFast => server.set_clock_rate(FAST_PPM)?,
            #[cfg(target_os = "linux")]
            Self::ClockJumped => server.step_clock(JUMP_MS)?,
            #[cfg(not(target_os = "linux"))]
            Self::ClockFast | Self::ClockJumped => {
                return Err(ClockError::NotItsOwn { port: server.port() }.into());
            }
        }
        Ok(())
    }
}

/// Leaves of each file what was written first. What the cut leaves of a command is passed over when it is read back.
fn halve_append_only_files(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data.join("appendonlydir"))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".incr.aof") {
            let file = File::options().write(true).open(&path)?;
            file.set_len(file.metadata()?.len() / 2)?;
        }
    }
    Ok(())
}

fn be_busy(server: &Server) -> Result<(), FaultError> {
    // The script goes on without its caller.
    server.send(&["EVAL", "while true do end", "0"])?;
    await_answer(server, "BUSY")
}

/// Waits until the server answers with this error.
fn await_answer(server: &Server, word: &'static str) -> Result<(), FaultError> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match server.command_within(PATIENCE, &["GET", "any"]) {
            Err(CommandError::Refused { message, .. }) if message.starts_with(word) => return Ok(()),
            // A process that was just started takes no connections yet.
            _ => thread::sleep(POLL_INTERVAL),
        }
    }
    Err(FaultError::NoSuchAnswer { port: server.port(), word })
}
