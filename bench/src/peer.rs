//! Peers of other languages: each a process of its own, measured over the same servers by its own clock.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use leasehold_trio::Trio;
use serde::{Deserialize, Serialize};

use crate::contender::Failure;
use crate::sample::{Load, Percentiles, Sample, servers_cpu};

/// A peer under measurement. Dropping it ends its process.
#[derive(Debug)]
pub struct Peer {
    /// Its name, as tables have it.
    pub label: &'static str,
    /// What a round trip costs in its language before any lock is made of it, in microseconds.
    pub ping_us: f64,
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What a table says of a peer besides its samples.
#[derive(Clone, Debug, Serialize)]
pub struct PeerNote {
    /// Its name.
    pub label: &'static str,
    /// What a round trip costs in its language.
    pub ping_us: f64,
}

#[derive(Deserialize)]
struct Ready {
    ping_us: f64,
}

#[derive(Deserialize)]
struct Answer {
    cycles: u64,
    elapsed_us: u64,
    cpu_us: u64,
    p50: f64,
    p90: f64,
    p99: f64,
}

/// Name in tables, program below the folder of installed peers, script, name in the script.
const PEERS: [(&str, &str, &str, &str); 4] = [
    ("pottery (Python)", "python/bin/python", "peer.py", "pottery"),
    ("redis-py (Python, one server)", "python/bin/python", "peer.py", "redis-py"),
    ("redlock (Node)", "node", "peer.mjs", "redlock"),
    ("redlock-universal (Node)", "node", "peer.mjs", "redlock-universal"),
];

impl Peer {
    /// Starts all that `bench/peers/install` could install below this folder. Says which are not there.
    ///
    /// # Errors
    /// When one that is installed does not start.
    pub fn start_all(installed: &Path, urls: &[String; 3]) -> Result<Vec<Self>, Failure> {
        let mut peers = Vec::new();
        for (label, program, script, lock) in PEERS {
            let (program, mark) = match program {
                "node" => (PathBuf::from(program), installed.join("node/installed")),
                _ => (installed.join(program), installed.join("python/installed")),
            };
            if mark.exists() {
                peers.push(Self::start(label, &program, script, lock, installed, urls)?);
            } else {
                eprintln!("{label} is not installed: left out");
            }
        }
        Ok(peers)
    }

    fn start(
        label: &'static str,
        program: &Path,
        script: &str,
        lock: &str,
        installed: &Path,
        urls: &[String; 3],
    ) -> Result<Self, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
        let mut process = Command::new(program)
            .arg(script)
            .arg(lock)
            .arg(urls.join(","))
            .env("PEERS_NODE", installed.join("node"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{label}: cannot start {}: {error}", program.display()))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(format!("{label}: no pipe to its process").into());
        };
        let mut peer = Self { label, ping_us: 0.0, process, input, output: BufReader::new(output) };
        let Ready { ping_us } = peer.hear()?;
        peer.ping_us = ping_us;
        Ok(peer)
    }

    /// Measures, as [`sample`](crate::sample::sample) does in this process.
    ///
    /// # Errors
    /// When its process ends or an acquire of it fails.
    pub fn sample(&mut self, load: Load, trio: &Trio) -> Result<Sample, Failure> {
        let servers_before = servers_cpu(trio.servers())?;
        writeln!(self.input, "{} {}", load.tasks, load.duration.as_secs_f64())?;
        self.input.flush()?;
        let Answer { cycles, elapsed_us, cpu_us, p50, p90, p99 } = self.hear()?;
        let servers = servers_cpu(trio.servers())?.saturating_sub(servers_before);
        Ok(Sample {
            cycles,
            elapsed_us,
            cycles_per_s: cycles as f64 * 1e6 / elapsed_us as f64,
            acquire_us: Percentiles { p50, p90, p99 },
            client_cpu_us_per_cycle: cpu_us as f64 / cycles as f64,
            server_cpu_us_per_cycle: servers.as_secs_f64() * 1e6 / cycles as f64,
        })
    }

    /// What a table says of it.
    #[must_use]
    pub const fn note(&self) -> PeerNote {
        PeerNote { label: self.label, ping_us: self.ping_us }
    }

    fn hear<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("{}: its process ended; what it said is above", self.label).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself, and there is nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
