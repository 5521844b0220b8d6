//! The end of a server's log, for error messages.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// A reader of an error message wants the last words, not the banner.
const LINES_MAX: usize = 12;
const BYTES_MAX: u64 = 4 * 1024;

/// Where the log of a process that is about to start will begin: restarts append to one file.
pub(crate) fn end(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// The last lines written after `start`, without `secret`. A log that cannot be read is said to be so in its place:
/// this goes into the message of an error that matters more.
pub(crate) fn tail(path: &Path, start: u64, secret: Option<&str>) -> String {
    let text = match read_tail(path, start) {
        Ok(text) => text,
        Err(error) => return format!("  ({} cannot be read: {error})", path.display()),
    };
    let text = match secret {
        Some(secret) if !secret.is_empty() => text.replace(secret, "***"),
        _ => text,
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "  (it wrote nothing)".to_owned();
    }
    let skipped = lines.len().saturating_sub(LINES_MAX);
    lines[skipped..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn read_tail(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = start.max(file.metadata()?.len().saturating_sub(BYTES_MAX));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_last_lines_of_this_start_without_the_password() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        fs::write(&path, "earlier\n").unwrap();
        let start = end(&path);
        let lines: String = (0..40).map(|i| format!("line {i} s3cret\n")).collect();
        fs::write(&path, format!("earlier\n{lines}")).unwrap();

        let tail = tail(&path, start, Some("s3cret"));
        assert_eq!(tail.lines().count(), LINES_MAX);
        assert!(tail.ends_with("line 39 ***"), "{tail}");
        assert!(!tail.contains("s3cret"));
    }

    #[test]
    fn says_when_there_is_nothing_of_this_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        fs::write(&path, "earlier\n").unwrap();
        assert_eq!(tail(&path, end(&path), None), "  (it wrote nothing)");
        assert!(tail(&dir.path().join("none"), 0, None).contains("cannot be read"));
    }
}
