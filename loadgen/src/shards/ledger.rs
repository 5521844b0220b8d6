//! What the referee needs of a shard, in the order in which the shard heard it.

use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempPath};

use crate::referee::{Failure, GrantRecord};

/// No entry is longer.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// One thing that a shard's coordinator took down. Times are those of its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A grant that is over, and when its holder wrote.
    Grant {
        record: GrantRecord,
        writes: Vec<u64>,
    },
    /// An acquisition that won nothing.
    Failure(Failure),
    /// A fault began, for these nodes of the shard.
    FaultBegun {
        fault: u32,
        nodes: Vec<u32>,
        at_ns: u64,
    },
    FaultEnded {
        fault: u32,
        at_ns: u64,
    },
    /// Nothing that follows was called before this.
    Horizon(u64),
    /// The ledger is whole.
    End,
}

/// Writes a ledger into a file that is gone unless it is kept. An error on the way is told at the end.
#[derive(Debug)]
pub(crate) struct Ledger {
    out: BufWriter<NamedTempFile>,
    /// Writes of grants that are not over.
    writes: HashMap<u64, Vec<u64>>,
    failed: Option<io::Error>,
}

impl Ledger {
    /// Beside the results, so that it can be moved to them.
    pub(crate) fn create(results: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(".ledger-")
            .permissions(Permissions::from_mode(0o666)) // less what the umask takes: the folder is to be shared
            .tempfile_in(results)?;
        Ok(Self { out: BufWriter::new(file), writes: HashMap::new(), failed: None })
    }

    /// The holder of a grant wrote.
    pub(crate) fn wrote(&mut self, grant_id: u64, at_ns: u64) {
        self.writes.entry(grant_id).or_default().push(at_ns);
    }

    /// A grant is over.
    pub(crate) fn ended(&mut self, record: GrantRecord) {
        let writes = self.writes.remove(&record.grant_id).unwrap_or_default();
        self.note(&Entry::Grant { record, writes });
    }

    pub(crate) fn note(&mut self, entry: &Entry) {
        if self.failed.is_none()
            && let Err(error) = self.write(entry)
        {
            self.failed = Some(error);
        }
    }

    /// The whole ledger, or why there is none.
    pub(crate) fn finish(mut self) -> io::Result<TempPath> {
        self.note(&Entry::End);
        match self.failed {
            Some(error) => Err(error),
            None => self
                .out
                .into_inner()
                .map(NamedTempFile::into_temp_path)
                .map_err(io::IntoInnerError::into_error),
        }
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let bytes = postcard::to_stdvec(entry).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&bytes)
    }
}

/// Reads a ledger, entry by entry.
#[derive(Debug)]
pub(crate) struct Reading {
    input: BufReader<File>,
}

impl Reading {
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        Ok(Self { input: BufReader::new(File::open(file)?) })
    }

    /// The next entry. A ledger that is cut off fails, because its last entry says that it is whole.
    pub(crate) fn next(&mut self) -> io::Result<Entry> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > ENTRY_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an entry is too long"));
        }
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes)?;
        postcard::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::referee::ReleaseOutcome;

    #[test]
    fn a_ledger_is_read_as_it_was_written_and_a_part_of_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let record = GrantRecord {
            grant_id: 7,
            node: 1,
            key: 3,
            token: Some(1 << 52),
            call_ns: 10,
            granted_ns: 20,
            valid_until_ns: Some(90),
            told_lost_ns: None,
            release_call_ns: Some(60),
            release_done_ns: Some(70),
            last_act_ns: 55,
            release: ReleaseOutcome::Clean,
            lost_false: false,
        };
        let mut ledger = Ledger::create(folder.path()).unwrap();
        ledger.note(&Entry::FaultBegun { fault: 0, nodes: vec![1], at_ns: 15 });
        ledger.wrote(7, 25);
        ledger.wrote(7, 55);
        ledger.ended(record);
        ledger.note(&Entry::Horizon(30));
        let file = ledger.finish().unwrap();
        let mut reading = Reading::open(&file).unwrap();
        assert_eq!(reading.next().unwrap(), Entry::FaultBegun { fault: 0, nodes: vec![1], at_ns: 15 });
        assert_eq!(reading.next().unwrap(), Entry::Grant { record, writes: vec![25, 55] });
        assert_eq!(reading.next().unwrap(), Entry::Horizon(30));
        assert_eq!(reading.next().unwrap(), Entry::End);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let mut cut = Reading::open(&file).unwrap();
        let error = std::iter::repeat_with(|| cut.next()).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
