//! Where a measurement was made: no number means anything without it.

use std::fmt;
use std::fs;

use leasehold_trio::ServerProgram;
use serde::Serialize;

/// A machine and what runs on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's own name, where the system tells it.
    pub cpu: String,
    /// How many threads can run at once.
    pub cores: usize,
    /// System, release and architecture.
    pub kernel: String,
    /// The server program.
    pub server: String,
    /// Load averages before the measurement began, where the system tells them: others may be at work.
    pub load_before: String,
}

impl Machine {
    /// Looks at this one.
    #[must_use]
    pub fn look(server: &ServerProgram) -> Self {
        let uname = rustix::system::uname();
        let [system, release, architecture] =
            [uname.sysname(), uname.release(), uname.machine()].map(|text| text.to_string_lossy());
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            kernel: format!("{system} {release} {architecture}"),
            server: server.to_string(),
            load_before: load().unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, kernel, server, load_before } = self;
        write!(f, "{cpu}, {cores} cores; {kernel}; {server}; load before: {load_before}")
    }
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn load() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
