//! One small enum per operation. Messages name the program, the port or the file, and the remedy.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitStatus, time::Duration};

/// Why no usable server program was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// Neither name is in `$PATH`.
    #[error(
        "found no redis-server or valkey-server in $PATH. Install one (Debian, Ubuntu: `apt-get install redis-server`; \
         macOS: `brew install redis`), or name one in $LEASEHOLD_SERVER, or do without: `loadgen run --memory`"
    )]
    NotFound,
    /// `$LEASEHOLD_SERVER` names something that is no file.
    #[error("$LEASEHOLD_SERVER names {}, which is not a file: name a redis-server or valkey-server program, or unset it", path.display())]
    NotAFile {
        /// What the variable names.
        path: PathBuf,
    },
    /// The program could not be run at all.
    #[error("cannot run {} --version: {source}; name another server program in $LEASEHOLD_SERVER", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The program runs, but is something else.
    #[error(
        "{} is not a Redis or Valkey server: it answers --version with {answer:?}; name one in $LEASEHOLD_SERVER",
        path.display()
    )]
    NotAServer {
        /// The program.
        path: PathBuf,
        /// The beginning of its answer.
        answer: String,
    },
    /// The program is older than what the lease scripts need.
    #[error("{} is version {version}, but 7.0 is the oldest that will do; name a newer one in $LEASEHOLD_SERVER", path.display())]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its version.
        version: String,
    },
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no program to start.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A setting that would end its line, or whose name is empty.
    #[error("server setting {name:?} is not one line of a configuration: no line breaks, and a name")]
    Setting {
        /// Name of the setting; the value may be a secret.
        name: String,
    },
    /// A file or directory of the server could not be made.
    #[error("cannot write {}: {source}; the directory for temporary files is taken from $TMPDIR", path.display())]
    Files {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The library that gives a server a clock of its own could not be built.
    #[error("cannot build a clock for the server with `cc`, on Linux: {source}")]
    Clock {
        /// What the compiler or the system says.
        source: io::Error,
    },
    /// Somebody else has the port.
    #[error(
        "port {port} on 127.0.0.1 is in use: end the program that holds it, or choose another port, or none"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The port cannot be had for another reason.
    #[error("cannot reserve port {port} on 127.0.0.1 (0 means any): {source}")]
    Port {
        /// The port asked for.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The process could not be made.
    #[error("cannot start {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The process ended before it answered.
    #[error("{} on port {port} ended at once ({status}); the end of its log:\n{log}", program.display())]
    Exited {
        /// The program.
        program: PathBuf,
        /// The port it was to serve.
        port: u16,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// The process runs, but did not answer in time.
    #[error(
        "{} on port {port} did not answer within {timeout:?} ({reason}); the end of its log:\n{log}",
        program.display()
    )]
    NotReady {
        /// The program.
        program: PathBuf,
        /// The port it was to serve.
        port: u16,
        /// How long it was given.
        timeout: Duration,
        /// What the last try said.
        reason: String,
        /// The last lines of its log.
        log: String,
    },
    /// A restart could not end the process first, or a starting process could not be watched.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Why a process could not be signalled or waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no process: it was killed, or ended by itself.
    #[error("the server on port {port} is not running: restart it first")]
    NotRunning {
        /// The port it served.
        port: u16,
    },
    /// The system refused.
    #[error("cannot {action} the server on port {port} (process {pid}): {source}")]
    Signal {
        /// What was tried.
        action: &'static str,
        /// The port it serves.
        port: u16,
        /// Its process id.
        pid: u32,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a server's clock was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// It runs by this machine's clock.
    #[error("the server on port {port} has no clock of its own: start it with `own_clock` in its options")]
    NotItsOwn {
        /// The port it serves.
        port: u16,
    },
    /// The file it reads could not be written.
    #[error("cannot change the clock of the server on port {port}: {source}")]
    Files {
        /// The port it serves.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a command brought no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Nobody listens there.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// The server's address.
        endpoint: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server took the connection and said nothing: paused, or busy.
    #[error("{endpoint} did not answer {command} within {timeout:?}; is it paused?")]
    Timeout {
        /// The server's address.
        endpoint: SocketAddr,
        /// The command's name, without its arguments.
        command: String,
        /// How long it was given.
        timeout: Duration,
    },
    /// The connection broke.
    #[error("the connection to {endpoint} broke during {command}: {source}")]
    Broken {
        /// The server's address.
        endpoint: SocketAddr,
        /// The command's name, without its arguments.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// The answer is not RESP, or larger than this crate reads.
    #[error("{endpoint} answered {command} with {what}, which is no reply this crate reads")]
    Protocol {
        /// The server's address.
        endpoint: SocketAddr,
        /// The command's name, without its arguments.
        command: String,
        /// What was wrong with it.
        what: &'static str,
    },
    /// The server answered with an error.
    #[error("{endpoint} refused {command}: {message}")]
    Refused {
        /// The server's address.
        endpoint: SocketAddr,
        /// The command's name, without its arguments.
        command: String,
        /// The server's words, beginning with its error code.
        message: String,
    },
}
