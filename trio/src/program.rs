//! Finds the server program and its version.

use std::{
    env, fmt, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::ProgramError;

const VARIABLE: &str = "LEASEHOLD_SERVER";
const NAMES: [&str; 2] = ["redis-server", "valkey-server"];
/// Oldest (major, minor) whose scripts can do what the lease scripts do.
const OLDEST: (u32, u32) = (7, 0);
/// A program that is no server may do anything when asked for its version, also nothing.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// A `redis-server` or `valkey-server` that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProgram {
    path: PathBuf,
    kind: ServerKind,
    version: String,
}

impl ServerProgram {
    /// Takes `$LEASEHOLD_SERVER` (a path, or a name to look up in `$PATH`) if it is set and not empty, otherwise the
    /// first `redis-server`, then `valkey-server`, in `$PATH`.
    pub fn find() -> Result<Self, ProgramError> {
        let path = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            Some(value) => {
                let named = PathBuf::from(value);
                let is_name = named.components().count() == 1;
                let found = is_name.then(|| in_path(&named)).flatten();
                found.unwrap_or(named)
            }
            None => NAMES.iter().find_map(|name| in_path(Path::new(name))).ok_or(ProgramError::NotFound)?,
        };
        if !path.is_file() {
            return Err(ProgramError::NotAFile { path });
        }
        Self::at(path)
    }

    /// Takes the program at `path`, and asks it for its version.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, ProgramError> {
        let path = path.into();
        let answer = match ask_version(&path) {
            Ok(answer) => answer,
            Err(source) => return Err(ProgramError::Run { path, source }),
        };
        let Some((kind, version)) = parse_version(&answer) else {
            let answer = answer.lines().next().unwrap_or_default().chars().take(80).collect();
            return Err(ProgramError::NotAServer { path, answer });
        };
        let version = version.to_owned();
        if major_minor(&version).is_none_or(|found| found < OLDEST) {
            return Err(ProgramError::TooOld { path, version });
        }
        Ok(Self { path, kind, version })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Redis or Valkey.
    #[must_use]
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// Its version, such as `7.0.15`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// `Redis 7.0.15`.
impl fmt::Display for ServerProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.version)
    }
}

/// Where `$PATH` has a program of this name, if anywhere.
#[must_use]
pub fn in_path(name: &Path) -> Option<PathBuf> {
    let dirs = env::var_os("PATH")?;
    env::split_paths(&dirs).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn ask_version(path: &Path) -> io::Result<String> {
    // Into a file, so that nothing has to be read while waiting.
    let out = tempfile::tempfile()?;
    let mut child = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out.try_clone()?)
        .spawn()?;
    let deadline = Instant::now() + VERSION_TIMEOUT;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {VERSION_TIMEOUT:?}"),
            ));
        }
        // Waiting for a child with a deadline has no event on every system this runs on.
        thread::sleep(Duration::from_millis(1));
    }
    read_start(out)
}

/// What the child wrote through its copies of the file, up to a size no version has.
fn read_start(mut file: std::fs::File) -> io::Result<String> {
    use std::io::{Read, Seek};
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `Redis server v=7.0.15 sha=...`, `Valkey server v=8.1.3 sha=...`; a line of warning may come first.
fn parse_version(answer: &str) -> Option<(ServerKind, &str)> {
    answer.lines().find_map(|line| {
        let (kind, rest) = if let Some(rest) = line.strip_prefix("Redis server v=") {
            (ServerKind::Redis, rest)
        } else {
            (ServerKind::Valkey, line.strip_prefix("Valkey server v=")?)
        };
        rest.split_whitespace().next().map(|version| (kind, version))
    })
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_of_both_kinds() {
        let redis =
            "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0\n";
        assert_eq!(parse_version(redis), Some((ServerKind::Redis, "7.0.15")));
        let valkey = "some warning\nValkey server v=9.0.0 sha=00000000:0 malloc=jemalloc-5.3.0\n";
        assert_eq!(parse_version(valkey), Some((ServerKind::Valkey, "9.0.0")));
        assert_eq!(parse_version("cat (GNU coreutils) 9.1\n"), None);
        assert_eq!(parse_version("Redis server v="), None);
    }

    #[test]
    fn compares_versions_as_numbers() {
        assert_eq!(major_minor("10.2.1"), Some((10, 2)));
        assert!(major_minor("6.2.14").unwrap() < OLDEST);
        assert!(major_minor("10.0.0").unwrap() > OLDEST);
        assert_eq!(major_minor("unstable"), None);
    }
}
