//! Three etcd members of a run's own, started where the program is installed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::locked;
use crate::run::plan::ENDPOINTS;
use crate::run::stage::no_such_endpoint;
use crate::scenario::Data;

const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A tenth of the default's distances, for members that are no network apart; it also lets a lease be as short as a
/// second.
const HEARTBEAT_MS: u32 = 50;
const ELECTION_MS: u32 = 500;
const NO_FSYNC: &str = "--unsafe-no-fsync";
/// etcd takes in a member only when the others have seen each other for five seconds.
const REPLACE_TRIES: u32 = 150;
const START_TRIES: u32 = 4;

/// Why there are no members.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EtcdError {
    #[error(
        "no etcd found; install it (Debian: apt-get install etcd-server), or name members with --endpoints http://host:2379"
    )]
    NotInstalled,
    #[error("etcd did not answer within {} s: {log}", READY_WITHIN.as_secs())]
    NotReady { log: String },
    #[error("etcd took back no member that has lost its data: {0}")]
    Replace(String),
    #[error("etcd could not be started: {0}")]
    Io(#[from] io::Error),
}

/// Three members on free ports; dropping them ends them and removes their directory.
#[derive(Debug)]
pub(crate) struct EtcdServers {
    program: PathBuf,
    version: String,
    /// Whether this version can be told not to wait for the disk.
    fsync: bool,
    dir: TempDir,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    clients: SocketAddr,
    peers: SocketAddr,
    /// Each by itself: what takes its time with one must not hold up what befalls another.
    process: Mutex<Option<Child>>,
}

impl EtcdServers {
    pub(crate) fn start() -> Result<Self, EtcdError> {
        // A port that was free may be somebody's connection by the time that a member has come up.
        for _ in 1..START_TRIES {
            match Self::start_once() {
                Err(EtcdError::NotReady { log }) if log.contains("address already in use") => {}
                outcome => return outcome,
            }
        }
        Self::start_once()
    }

    fn start_once() -> Result<Self, EtcdError> {
        let program = leasehold_trio::in_path(Path::new("etcd")).ok_or(EtcdError::NotInstalled)?;
        let told = |option| {
            let output = Command::new(&program).arg(option).stdin(Stdio::null()).output()?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        let version = told("--version")?;
        let version = version.lines().find_map(|line| line.strip_prefix("etcd Version: ")).unwrap_or("");
        let version = version.trim().to_owned();
        let fsync = !told("--help")?.contains(NO_FSYNC);
        let dir = tempfile::Builder::new().prefix("leasehold-etcd-").tempdir()?;
        // All are held until all are known: no port is given out twice.
        let ports: Vec<TcpListener> = (0..2 * ENDPOINTS)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<io::Result<_>>()?;
        let addresses = ports.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let members = addresses.chunks_exact(2).zip(0_u32..).map(|(pair, number)| Member {
            name: format!("member-{number}"),
            clients: pair[0],
            peers: pair[1],
            process: Mutex::new(None),
        });
        let servers = Self { program, version, fsync, dir, members: members.collect() };
        drop(ports);
        for at in 0..servers.members.len() {
            servers.launch(at, "new")?;
        }
        for at in 0..servers.members.len() {
            servers.await_ready(at)?;
        }
        Ok(servers)
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("http://{}", member.clients)).collect()
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.members.iter().filter_map(|member| member.process().as_ref().map(Child::id))
    }

    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let settings = [
            ("unsafe-no-fsync", (!self.fsync).to_string()),
            ("heartbeat-interval", HEARTBEAT_MS.to_string()),
            ("election-timeout", ELECTION_MS.to_string()),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// `etcd 3.4.23, each write synced to the disk`.
    pub(crate) fn describe(&self) -> String {
        let disk = if self.fsync { "each write synced to the disk" } else { "without fsync" };
        format!("etcd {}, {disk}", self.version)
    }

    pub(crate) fn pause(&self, endpoint: u32) -> io::Result<()> {
        self.signal(endpoint, Signal::STOP)
    }

    pub(crate) fn resume(&self, endpoint: u32) -> io::Result<()> {
        self.signal(endpoint, Signal::CONT)
    }

    /// Ends a member at once.
    pub(crate) fn kill(&self, endpoint: u32) -> io::Result<()> {
        let member = self.members.get(endpoint as usize).ok_or_else(no_such_endpoint)?;
        let Some(mut process) = member.process().take() else { return Ok(()) };
        process.kill()?;
        process.wait().map(drop)
    }

    /// Starts a member again. One that has lost its data is taken out of the cluster and put in anew, as an operator has
    /// to do it: etcd lets nobody back who has forgotten what it voted for.
    pub(crate) fn restart(&self, endpoint: u32, data: Data) -> Result<(), EtcdError> {
        self.kill(endpoint)?;
        let at = endpoint as usize;
        if data == Data::Discard {
            fs::remove_dir_all(self.data(at))?;
            self.replace(at)?;
        }
        self.launch(at, "existing")?;
        self.await_ready(at)
    }

    fn replace(&self, at: usize) -> Result<(), EtcdError> {
        let mut outcome = Err("no other member".to_owned());
        for _ in 0..REPLACE_TRIES {
            for other in (0..self.members.len()).filter(|&other| other != at) {
                outcome = self.replace_through(other, at);
                if outcome.is_ok() {
                    return Ok(());
                }
            }
            std::thread::sleep(LOOK_EVERY * 5);
        }
        outcome.map_err(EtcdError::Replace)
    }

    fn replace_through(&self, other: usize, at: usize) -> Result<(), String> {
        let post = |path: &str, body: Value| {
            post(self.members[other].clients, path, &body).map_err(|error| error.to_string())
        };
        let peers = format!("http://{}", self.members[at].peers);
        let listed = post("cluster/member/list", json!({}))?;
        let listed = listed["members"].as_array().into_iter().flatten();
        let old = listed.filter(|member| member["peerURLs"][0] == peers.as_str());
        for member in old {
            post("cluster/member/remove", json!({ "ID": member["ID"] }))?;
        }
        post("cluster/member/add", json!({ "peerURLs": [peers] })).map(drop)
    }

    fn launch(&self, at: usize, state: &str) -> Result<(), EtcdError> {
        let log = fs::File::options().create(true).append(true).open(self.log(at))?;
        let cluster = self.members.iter().map(|member| format!("{}=http://{}", member.name, member.peers));
        let cluster = cluster.collect::<Vec<_>>().join(",");
        let member = &self.members[at];
        let (clients, peers) = (format!("http://{}", member.clients), format!("http://{}", member.peers));
        let mut command = Command::new(&self.program);
        command
            .args(["--name", &member.name, "--data-dir"])
            .arg(self.data(at))
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &cluster, "--initial-cluster-state", state])
            .args(["--heartbeat-interval", &HEARTBEAT_MS.to_string()])
            .args(["--election-timeout", &ELECTION_MS.to_string()])
            .args(["--logger", "zap", "--log-level", "warn"])
            .args((!self.fsync).then_some(NO_FSYNC))
            .current_dir(self.dir.path())
            // Settings of the caller's own cluster are not meant for this one.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = leasehold_trio::spawn(command)?;
        *member.process() = Some(process);
        Ok(())
    }

    /// Until it serves what a majority agrees to.
    fn await_ready(&self, at: usize) -> Result<(), EtcdError> {
        let deadline = Instant::now() + READY_WITHIN;
        let asked = json!({ "key": "eA==" });
        while post(self.members[at].clients, "kv/range", &asked).is_err() {
            let ended = match &mut *self.members[at].process() {
                Some(process) => process.try_wait()?.is_some(),
                None => true,
            };
            if ended || Instant::now() >= deadline {
                let log = fs::read_to_string(self.log(at)).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                return Err(EtcdError::NotReady { log: last.join("; ") });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn signal(&self, endpoint: u32, signal: Signal) -> io::Result<()> {
        let member = self.members.get(endpoint as usize).ok_or_else(no_such_endpoint)?;
        let process = member.process();
        let process = process.as_ref().ok_or_else(|| io::Error::other("the member does not run"))?;
        kill_process(Pid::from_child(process), signal).map_err(io::Error::from)
    }

    fn data(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("data-{at}"))
    }

    fn log(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("log-{at}"))
    }
}

impl Member {
    /// What a panic left behind is a process all the same.
    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        locked(&self.process)
    }
}

impl Drop for EtcdServers {
    fn drop(&mut self) {
        for endpoint in 0..ENDPOINTS {
            if let Err(error) = self.kill(endpoint) {
                eprintln!("loadgen: etcd could not be ended: {error}");
            }
        }
    }
}

/// One call of a member's JSON gateway.
fn post(member: SocketAddr, path: &str, body: &Value) -> io::Result<Value> {
    let request =
        ureq::post(format!("http://{member}/v3/{path}")).config().timeout_global(Some(ANSWER_WITHIN));
    // A member says in the body why it refuses.
    let request = request.http_status_as_error(false).build();
    let mut answer = request.send_json(body).map_err(io::Error::other)?;
    let told = answer.body_mut().read_to_string().map_err(io::Error::other)?;
    if answer.status().is_success() { Ok(serde_json::from_str(&told)?) } else { Err(io::Error::other(told)) }
}
