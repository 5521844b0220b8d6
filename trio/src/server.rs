//! One server process and what can be done to it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

#[cfg(target_os = "linux")]
use crate::clock::OwnClock;
use crate::{
    ClockError, CommandError, ProcessError, Reply, ServerOptions, ServerProgram, StartError, log,
    port::ReservedPort,
    ready::{NotReady, await_ready},
    resp::{Connection, Login},
    spawner,
};

/// How many free ports are tried when somebody else is quicker.
const PORT_TRIES: u32 = 5;
/// A server on loopback answers within microseconds; one on an overloaded machine within this.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// A process stops within microseconds, unless the kernel is busy on its behalf.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_micros(50);
/// What a server prints when its port is somebody else's.
const IN_USE: &str = "Address already in use";

/// What a restarted server still knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// What its [`Persistence`](crate::Persistence) kept, which may be nothing.
    Keep,
    /// Nothing.
    Discard,
}

/// A real server on a loopback port. Dropping it ends the process and removes its directory.
#[derive(Debug)]
pub struct Server {
    program: ServerProgram,
    options: ServerOptions,
    port: ReservedPort,
    tls_port: Option<ReservedPort>,
    dir: TempDir,
    #[cfg(target_os = "linux")]
    clock: Option<OwnClock>,
    /// `None` once the process was seen to have ended: only a process not yet waited for keeps its id to itself.
    process: Option<Child>,
    /// Id of the running process, or of the last one.
    pid: u32,
}

impl Server {
    /// Starts a server, and returns when it answers.
    pub fn start(options: ServerOptions) -> Result<Self, StartError> {
        let program = options.program.clone().map_or_else(ServerProgram::find, Ok)?;
        let tries = if options.port.is_some() { 1 } else { PORT_TRIES };
        let mut tried = 1;
        loop {
            match Self::start_once(&program, &options) {
                Err(StartError::PortInUse { .. }) if tried < tries => tried += 1,
                outcome => return outcome,
            }
        }
    }

    fn start_once(program: &ServerProgram, options: &ServerOptions) -> Result<Self, StartError> {
        let port = ReservedPort::reserve(options.port)?;
        let dir = tempfile::Builder::new()
            .prefix("leasehold-server-")
            .tempdir()
            .map_err(|source| StartError::Files { path: std::env::temp_dir(), source })?;
        let (program, options) = (program.clone(), options.clone());
        let tls_port = options.tls.as_ref().map(|_| ReservedPort::reserve(None)).transpose()?;
        let mut server = Self {
            program,
            #[cfg(target_os = "linux")]
            clock: own_clock(&options, dir.path())?,
            options,
            port,
            tls_port,
            dir,
            process: None,
            pid: 0,
        };
        let config = server.options.config(server.port(), server.tls_port(), &server.data_dir())?;
        write_files(&server.data_dir(), &server.config_path(), &config)?;
        server.launch()?;
        Ok(server)
    }

    /// `redis://127.0.0.1:PORT`, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        match self.options.password() {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port()),
            None => format!("redis://127.0.0.1:{}", self.port()),
        }
    }

    /// The port; the same through every restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The port for TLS, if the server has one ([`ServerOptions::tls`]); the same through every restart.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port.as_ref().map(ReservedPort::number)
    }

    /// The process id: of the running process, or of the last one.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The directory of this server: `server.conf`, `server.log`, and `data/`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The program it runs.
    #[must_use]
    pub fn program(&self) -> &ServerProgram {
        &self.program
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Stops the process where it stands (SIGSTOP), and returns when it has stopped: it keeps its connections and takes
    /// new ones, but answers nothing.
    pub fn pause(&self) -> Result<(), ProcessError> {
        let pid = self.signal("pause", Signal::STOP)?;
        // The signal is only on its way so far. Waiting for the stop alone would wait for ever if somebody else
        // resumed the process meanwhile; NOWAIT leaves the end of the process for `Child` to see.
        let look =
            WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            match waitid(WaitId::Pid(pid), look) {
                Ok(Some(status)) if status.stopped() => return Ok(()),
                Ok(Some(_ended)) => return Err(ProcessError::NotRunning { port: self.port() }),
                Ok(None) | Err(Errno::INTR) if Instant::now() < deadline => thread::sleep(STOP_POLL),
                Ok(None) => return Err(self.signal_error("stop", io::ErrorKind::TimedOut.into())),
                Err(errno) => return Err(self.signal_error("wait for", errno.into())),
            }
        }
    }

    /// Lets a paused process run on (SIGCONT).
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal("resume", Signal::CONT).map(drop)
    }

    /// Kills the process (SIGKILL), paused or not, and waits for its end. Fine if it has ended already.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // No bound needed: SIGKILL can neither be caught nor refused.
        process
            .kill()
            .and_then(|()| process.wait())
            .map(drop)
            .map_err(|source| self.signal_error("kill", source))
    }

    /// Kills the process if it runs, and starts a new one on the same port. Returns when that answers.
    pub fn restart(&mut self, data: Data) -> Result<(), StartError> {
        self.clear(data)?;
        self.launch()
    }

    /// [`restart`](Self::restart), but returns at once: a server that reads back its data refuses to answer meanwhile.
    pub fn begin_restart(&mut self, data: Data) -> Result<(), StartError> {
        self.clear(data)?;
        let log_path = self.log_path();
        self.process = Some(self.spawn(&log_path)?);
        Ok(())
    }

    /// Sends one command, and hangs up before the reply.
    pub(crate) fn send(&self, args: &[&str]) -> Result<(), CommandError> {
        Connection::open(self.login(), COMMAND_TIMEOUT)?.send(args)
    }

    fn clear(&mut self, data: Data) -> Result<(), StartError> {
        self.kill()?;
        if data == Data::Discard {
            let path = self.data_dir();
            fs::remove_dir_all(&path)
                .and_then(|()| fs::create_dir(&path))
                .map_err(|source| StartError::Files { path, source })?;
        }
        Ok(())
    }

    /// Sets the server's clock forward by so many milliseconds, or back, at once. It needs a clock of its own
    /// ([`own_clock`](ServerOptions::own_clock)).
    #[cfg(target_os = "linux")]
    pub fn step_clock(&self, by_ms: i64) -> Result<(), ClockError> {
        self.change_clock(|clock| clock.step(by_ms))
    }

    /// Lets the server's clock run faster than true time by so many millionths from here on, or slower. It needs a clock of
    /// its own.
    #[cfg(target_os = "linux")]
    pub fn set_clock_rate(&self, faster_ppm: i64) -> Result<(), ClockError> {
        self.change_clock(|clock| clock.set_rate(faster_ppm))
    }

    #[cfg(target_os = "linux")]
    fn change_clock(&self, change: impl FnOnce(&OwnClock) -> io::Result<()>) -> Result<(), ClockError> {
        let port = self.port();
        let clock = self.clock.as_ref().ok_or(ClockError::NotItsOwn { port })?;
        change(clock).map_err(|source| ClockError::Files { port, source })
    }

    /// Whether the process runs; a paused one does.
    pub fn is_running(&mut self) -> Result<bool, ProcessError> {
        let Some(process) = &mut self.process else { return Ok(false) };
        let ended = process.try_wait().map_err(|source| self.signal_error("watch", source))?;
        if ended.is_some() {
            self.process = None;
        }
        Ok(self.process.is_some())
    }

    /// Sends one command over a connection of its own, and waits at most 5 s for the reply:
    /// `server.command(&["SET", "key", "value"])`.
    pub fn command(&self, args: &[&str]) -> Result<Reply, CommandError> {
        self.command_within(COMMAND_TIMEOUT, args)
    }

    /// [`command`](Self::command) with another timeout, which must not be zero.
    pub fn command_within(&self, timeout: Duration, args: &[&str]) -> Result<Reply, CommandError> {
        Connection::open(self.login(), timeout)?.command(args)
    }

    fn launch(&mut self) -> Result<(), StartError> {
        let log_path = self.log_path();
        let log_start = log::end(&log_path);
        let mut child = self.spawn(&log_path)?;
        let outcome = await_ready(&mut child, self.login(), self.options.start_timeout);
        self.process = Some(child);
        let Err(not_ready) = outcome else { return Ok(()) };

        self.kill()?;
        let (program, port) = (self.program.path().to_owned(), self.port());
        let log = log::tail(&log_path, log_start, self.options.password());
        Err(match not_ready {
            NotReady::Exited(_) if log.contains(IN_USE) => StartError::PortInUse { port },
            NotReady::Exited(status) => StartError::Exited { program, port, status, log },
            NotReady::TimedOut(reason) => {
                StartError::NotReady { program, port, timeout: self.options.start_timeout, reason, log }
            }
            NotReady::Unwatchable(source) => self.signal_error("watch", source).into(),
        })
    }

    fn spawn(&mut self, log_path: &Path) -> Result<Child, StartError> {
        let log = File::options().create(true).append(true).open(log_path);
        let streams = log.and_then(|log| Ok((log.try_clone()?, log)));
        let (stdout, stderr) =
            streams.map_err(|source| StartError::Files { path: log_path.to_owned(), source })?;

        let mut command = Command::new(self.program.path());
        command
            .arg(self.config_path())
            .envs(self.options.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        #[cfg(target_os = "linux")]
        command.envs(self.clock.iter().flat_map(OwnClock::env));
        let child = spawner::spawn(command)
            .map_err(|source| StartError::Spawn { program: self.program.path().to_owned(), source })?;
        self.pid = child.id();
        Ok(child)
    }

    fn signal(&self, action: &'static str, signal: Signal) -> Result<Pid, ProcessError> {
        let process = self.process.as_ref().ok_or_else(|| ProcessError::NotRunning { port: self.port() })?;
        let pid = Pid::from_child(process);
        kill_process(pid, signal).map_err(|errno| self.signal_error(action, errno.into()))?;
        Ok(pid)
    }

    fn signal_error(&self, action: &'static str, source: io::Error) -> ProcessError {
        ProcessError::Signal { action, port: self.port(), pid: self.pid, source }
    }

    fn login(&self) -> Login<'_> {
        Login { port: self.port(), password: self.options.password() }
    }

    fn log_path(&self) -> PathBuf {
        self.dir().join("server.log")
    }

    fn data_dir(&self) -> PathBuf {
        self.dir().join("data")
    }

    fn config_path(&self) -> PathBuf {
        self.dir().join("server.conf")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            // A destructor has nobody to return this to, and a process left behind must not go unnoticed.
            eprintln!("{error}");
        }
    }
}

#[cfg(target_os = "linux")]
fn own_clock(options: &ServerOptions, dir: &Path) -> Result<Option<OwnClock>, StartError> {
    let build = || OwnClock::build(dir).map_err(|source| StartError::Clock { source });
    options.own_clock.then(build).transpose()
}

fn write_files(data_dir: &Path, config_path: &Path, config: &str) -> Result<(), StartError> {
    let failed = |path: &Path, source| StartError::Files { path: path.to_owned(), source };
    fs::create_dir(data_dir).map_err(|source| failed(data_dir, source))?;
    fs::write(config_path, config).map_err(|source| failed(config_path, source))
}
