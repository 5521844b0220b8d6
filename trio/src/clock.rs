//! A server's own wall clock, which jumps and runs as it is told. Linux only, and a C compiler builds it.
//!
//! A small library, preloaded into the server, stands before the C library's clocks and reads from a file that it shares
//! with this process how far the server's clock is off.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const SOURCE: &str = include_str!("clock.c");
/// Four numbers of eight bytes, as `struct control` has them.
const FIELDS: usize = 4;
const SEQUENCE_BYTES: u64 = 8;

/// The clock of one server.
#[derive(Debug)]
pub(crate) struct OwnClock {
    library: PathBuf,
    control: PathBuf,
}

/// How far the clock was ahead at one moment, and how much faster it runs from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Control {
    sequence: i64,
    offset_ns: i64,
    since_ns: i64,
    rate_ppm: i64,
}

impl OwnClock {
    /// Builds the library in the server's directory, and sets the clock right.
    pub(crate) fn build(dir: &Path) -> io::Result<Self> {
        let (source, library, control) =
            (dir.join("clock.c"), dir.join("clock.so"), dir.join("clock.control"));
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).stdin(Stdio::null());
        let built = compiler.output()?;
        if !built.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&built.stderr).into_owned()));
        }
        fs::write(&control, [0; FIELDS * 8])?;
        Ok(Self { library, control })
    }

    /// What the server's environment must hold.
    pub(crate) fn env(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("LEASEHOLD_CLOCK", &self.control)]
    }

    /// Sets the clock forward, or back.
    pub(crate) fn step(&self, by_ms: i64) -> io::Result<()> {
        self.change(|control| control.offset_ns += by_ms * 1_000_000)
    }

    /// Lets it run faster than true time by so many millionths, or slower.
    pub(crate) fn set_rate(&self, rate_ppm: i64) -> io::Result<()> {
        self.change(|control| control.rate_ppm = rate_ppm)
    }

    fn change(&self, change: impl FnOnce(&mut Control)) -> io::Result<()> {
        let file = File::options().read(true).write(true).open(&self.control)?;
        let mut bytes = [0; FIELDS * 8];
        file.read_exact_at(&mut bytes, 0)?;
        let mut control = Control::from_bytes(&bytes);
        control.settle(now_ns());
        change(&mut control);
        // Odd while it is being written: the server reads again.
        file.write_all_at(&(control.sequence + 1).to_ne_bytes(), 0)?;
        file.write_all_at(&control.to_bytes()[8..], SEQUENCE_BYTES)?;
        file.write_all_at(&(control.sequence + 2).to_ne_bytes(), 0)
    }
}

impl Control {
    fn from_bytes(bytes: &[u8; FIELDS * 8]) -> Self {
        let (fields, _) = bytes.as_chunks::<8>();
        let field = |index: usize| i64::from_ne_bytes(fields[index]);
        Self { sequence: field(0), offset_ns: field(1), since_ns: field(2), rate_ppm: field(3) }
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.sequence, self.offset_ns, self.since_ns, self.rate_ppm]
            .iter()
            .flat_map(|field| field.to_ne_bytes())
            .collect()
    }

    /// What the rate has brought so far goes into the offset, so that another rate counts from now.
    fn settle(&mut self, now_ns: i64) {
        let gained = i128::from(now_ns - self.since_ns) * i128::from(self.rate_ppm) / 1_000_000;
        self.offset_ns = self.offset_ns.saturating_add(i64::try_from(gained).unwrap_or(i64::MAX));
        self.since_ns = now_ns;
    }
}

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_rate_keeps_what_the_old_one_gained() {
        let mut control = Control { offset_ns: 5, since_ns: 1_000_000_000, rate_ppm: 100_000, sequence: 4 };
        control.settle(3_000_000_000);
        assert_eq!(control, Control { offset_ns: 200_000_005, since_ns: 3_000_000_000, ..control });
        assert_eq!(Control::from_bytes(&control.to_bytes().try_into().unwrap()), control);
    }
}
