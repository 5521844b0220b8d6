//! `loadgen trio`: three local servers that outlive the command, kept by a process in the background.
//!
//! The keeper owns the servers and ends them when it ends. It holds a lock on the state file for as long as it lives, so
//! a file that can be locked is left over from a keeper that has gone, whatever its process id now belongs to.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leasehold::{Client, admin};
use leasehold_trio::{Server, ServerOptions, StartError, Trio};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::cli::{AdmitArgs, TrioCommand};
use crate::report::Exit;

/// Ending three servers takes milliseconds; a loaded machine gets this long.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a command about the trio failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrioError {
    #[error("the trio runs already, at {urls}; `loadgen trio down` ends it")]
    RunsAlready { urls: String },
    #[error("no trio runs; `loadgen trio up` starts one, or name servers with --endpoints")]
    NotRunning,
    #[error("{0}")]
    Start(String),
    #[error("the trio's keeper, process {pid}, did not end within {} s", END_TIMEOUT.as_secs())]
    StillThere { pid: i32 },
    #[error("{path}: {source}; it tells where the trio runs", path = path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Fresh(#[from] admin::AdminError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the keeper writes down.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    keeper: i32,
    urls: Vec<String>,
}

/// Runs one of the commands.
pub(crate) fn run(command: &TrioCommand) -> Result<Exit, TrioError> {
    match command {
        TrioCommand::Up { port } => up(*port),
        TrioCommand::Down => down(),
        TrioCommand::Status => status(),
        TrioCommand::Admit(args) => admit(args),
        TrioCommand::Keep { port } => keep(*port),
    }
}

fn up(port: Option<u16>) -> Result<Exit, TrioError> {
    if let Some(state) = running()? {
        return Err(TrioError::RunsAlready { urls: state.urls.join(",") });
    }
    let mut keeper = Command::new(std::env::current_exe()?);
    keeper.args(["trio", "keep"]);
    if let Some(port) = port {
        keeper.args(["--port", &port.to_string()]);
    }
    let mut keeper = keeper.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let answer = keeper.stdout.take().map(BufReader::new).map(|mut pipe| {
        let mut line = String::new();
        pipe.read_line(&mut line).map(|_| line)
    });
    let answer = answer.transpose()?.unwrap_or_default();
    match answer.trim_end().split_once(' ') {
        Some(("up", urls)) => {
            println!("{urls}");
            eprintln!("three servers run until `loadgen trio down`; they are new and not yet admitted:");
            eprintln!("  loadgen trio admit --fresh");
            eprintln!("  loadgen run --endpoints {urls}");
            Ok(Exit::Fine)
        }
        Some(("failed", reason)) => Err(TrioError::Start(reason.replace('\u{1f}', "\n"))),
        _ => Err(TrioError::Start("the trio's keeper ended without a word".to_owned())),
    }
}

/// The keeper itself: says in one line how it went, and then keeps the servers until it is told to end.
fn keep(port: Option<u16>) -> Result<Exit, TrioError> {
    // Out of the terminal's session: neither its ctrl-C nor its end is meant for the servers.
    rustix::process::setsid().map_err(io::Error::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    let mut interrupts = crate::run::interrupt::Interrupts::new()?;
    let kept = Trio::start_with(ServerOptions { port, ..ServerOptions::default() })
        .map_err(|error: StartError| error.to_string())
        .and_then(|trio| write_state(&trio).map(|file| (trio, file)).map_err(|error| error.to_string()));
    let answer = match &kept {
        Ok((trio, _)) => format!("up {}", trio.urls().join(",")),
        Err(reason) => format!("failed {}", reason.replace('\n', "\u{1f}")),
    };
    writeln!(io::stdout(), "{answer}")?;
    let Ok((trio, _locked)) = kept else { return Ok(Exit::Usage) };
    runtime.block_on(interrupts.next());
    drop(trio);
    let path = state_path();
    std::fs::remove_file(&path).map_err(|source| TrioError::State { path, source })?;
    Ok(Exit::Fine)
}

fn down() -> Result<Exit, TrioError> {
    let Some(state) = running()? else {
        println!("no trio runs");
        return Ok(Exit::Fine);
    };
    let pid = Pid::from_raw(state.keeper).ok_or(TrioError::NotRunning)?;
    kill_process(pid, Signal::TERM).map_err(io::Error::from)?;
    let deadline = Instant::now() + END_TIMEOUT;
    // Another program's child cannot be waited for; the lock on its file goes when it does.
    while running()?.is_some() {
        if Instant::now() >= deadline {
            return Err(TrioError::StillThere { pid: state.keeper });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("ended {}", state.urls.join(","));
    Ok(Exit::Fine)
}

fn status() -> Result<Exit, TrioError> {
    match running()? {
        Some(state) => println!("{}", state.urls.join(",")),
        None => println!("no trio runs"),
    }
    Ok(Exit::Fine)
}

fn admit(args: &AdmitArgs) -> Result<Exit, TrioError> {
    let urls = match args.endpoints.as_slice() {
        [] => running()?.ok_or(TrioError::NotRunning)?.urls,
        given => given.to_vec(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let set = runtime.block_on(admin::fresh(Client::builder().endpoints(urls)))?;
    println!("admitted as set {set}: clients can begin at once");
    Ok(Exit::Fine)
}

/// What the keeper wrote down, if it lives.
fn running() -> Result<Option<State>, TrioError> {
    let path = state_path();
    let wrong = |source| TrioError::State { path: path.clone(), source };
    let mut file = match open(&path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(wrong)?;
    serde_json::from_str(&text).map(Some).map_err(|error| wrong(error.into()))
}

/// Writes the state, and returns the file whose lock says that this process lives.
fn write_state(trio: &Trio) -> io::Result<File> {
    let mut file = open(&state_path(), true)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let keeper = rustix::process::getpid().as_raw_nonzero().get();
    let state = State { keeper, urls: trio.servers().iter().map(Server::url).collect() };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(&state)?.as_bytes())?;
    Ok(file)
}

/// Only a file of this user's own is believed, and no link is followed: the directory may be everybody's.
fn open(path: &PathBuf, create: bool) -> io::Result<File> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_link)
        .open(path)?;
    if file.metadata()?.uid() == rustix::process::getuid().as_raw() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"))
    }
}

fn state_path() -> PathBuf {
    let dir = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    dir.join(format!("leasehold-trio-{}.json", rustix::process::getuid().as_raw()))
}
