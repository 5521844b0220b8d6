//! A PostgreSQL server of a run's own, started where the programs are installed. It refuses to run as root, so root
//! starts it as another user.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Gid, Uid, chown};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Users that are nobody in particular, the server's own first.
const USERS: [&str; 2] = ["postgres", "nobody"];
const CONNECTIONS_MAX: u32 = 1_100;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostgresError {
    #[error(
        "no initdb and postgres found; install PostgreSQL (Debian: apt-get install postgresql), or name a server with --endpoints postgres://user@host/db"
    )]
    NotInstalled,
    #[error("PostgreSQL does not run as root, and there is neither setpriv nor another user to run it as")]
    Root,
    #[error("{program} failed: {log}")]
    Failed { program: &'static str, log: String },
    #[error("PostgreSQL did not answer within {} s: {log}", READY_WITHIN.as_secs())]
    NotReady { log: String },
    #[error("PostgreSQL could not be started: {0}")]
    Io(#[from] io::Error),
}

/// One server on a free port; dropping it ends it and removes its directory.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    dir: TempDir,
    port: u16,
    process: Option<Child>,
}

impl PostgresServer {
    pub(crate) fn start() -> Result<Self, PostgresError> {
        let programs = programs().ok_or(PostgresError::NotInstalled)?;
        let user = if rustix::process::geteuid().is_root() {
            Some(user().ok_or(PostgresError::Root)?)
        } else {
            None
        };
        let dir = tempfile::Builder::new().prefix("leasehold-postgres-").tempdir()?;
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(io::Error::from)?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = Self { programs, user, dir, port, process: None };
        let data = server.data();
        let made = server
            .command("initdb")
            .args([
                "--username=leasehold",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data)
            .output()?;
        if !made.status.success() {
            let log = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            return Err(PostgresError::Failed { program: "initdb", log });
        }
        server.launch()?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://leasehold@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Stops the server and all its sessions' processes.
    pub(crate) fn pause(&self) -> io::Result<()> {
        self.signal_all(Signal::STOP)
    }

    pub(crate) fn resume(&self) -> io::Result<()> {
        self.signal_all(Signal::CONT)
    }

    /// Ends it at once; its sessions' processes follow by themselves.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.signal_all(Signal::KILL).unwrap_or_default();
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill()?;
        process.wait().map(drop)
    }

    /// Advisory locks live in memory: with or without its data, it has forgotten them.
    pub(crate) fn restart(&mut self) -> Result<(), PostgresError> {
        self.kill()?;
        // A killed server leaves its mark behind, which may name a process that lives again.
        match fs::remove_file(self.data().join("postmaster.pid")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => self.launch(),
        }
    }

    fn launch(&mut self) -> Result<(), PostgresError> {
        let log = self.dir.path().join("server.log");
        let file = fs::File::options().create(true).append(true).open(&log)?;
        let (port, data) = (self.port.to_string(), self.data());
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &port, "-h", "127.0.0.1", "-k", "", "-N", &CONNECTIONS_MAX.to_string()])
            // Nothing of a run is worth a disk's time.
            .args(["-c", "fsync=off", "-c", "shared_buffers=16MB"])
            .stdout(Stdio::from(file.try_clone()?))
            .stderr(Stdio::from(file));
        // A restart is a blocking task's, whose thread does not live long.
        let child = self.process.insert(leasehold_trio::spawn(command)?);
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if child.try_wait()?.is_some() || Instant::now() >= deadline {
                let log = fs::read_to_string(&log)?;
                return Err(PostgresError::NotReady { log: log.trim().to_owned() });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// A program of the server's, as a user that may run it, ended with this process where the system can do that.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if let Some((uid, gid)) = self.user {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
            command.args(["--clear-groups", "--pdeathsig", "KILL", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn signal_all(&self, signal: Signal) -> io::Result<()> {
        let pid = self.pid().ok_or_else(|| io::Error::other("the server does not run"))?;
        let sessions = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let sessions = sessions.split_whitespace().filter_map(|pid| pid.parse().ok());
        // The server first: it must not start another one meanwhile.
        for pid in [i32::try_from(pid).unwrap_or(i32::MAX)].into_iter().chain(sessions) {
            if let Some(pid) = Pid::from_raw(pid) {
                // A session may have ended meanwhile.
                kill_process(pid, signal).unwrap_or_default();
            }
        }
        Ok(())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("loadgen: PostgreSQL could not be ended: {error}");
        }
    }
}

/// The directory of the newest version, or where `$PATH` finds it.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut debian: Vec<PathBuf> = versions.filter(|bin| has_both(bin)).collect();
    debian.sort_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian.pop().or_else(|| std::env::split_paths(&path).find(|bin| has_both(bin)))
}

fn has_both(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// User and group of somebody who is not root.
fn user() -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    USERS.iter().find_map(|user| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
