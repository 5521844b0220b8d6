//! Whether some folders are the shards of one run, and all of them.

use std::path::PathBuf;

use super::merge::Part;
use crate::report::workload_differences;

/// Why shards are not put together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("{} and {} are not shards of one run: {}", a.display(), b.display(), differences.join(", "))]
    Different { a: PathBuf, b: PathBuf, differences: Vec<String> },
    #[error("shard {number} of {of} is there twice: {} and {}", a.display(), b.display())]
    Double { number: u32, of: u32, a: PathBuf, b: PathBuf },
    #[error(
        "of {of} shards {} missing: a part of a run shows neither its load nor its overlaps",
        missing_in_words(missing)
    )]
    Missing { missing: Vec<u32>, of: u32 },
}

/// Puts the shards into their order.
pub(super) fn check(parts: &mut [Part]) -> Result<(), CheckError> {
    parts.sort_by_key(|part| part.file.shard.number);
    let Some((first, others)) = parts.split_first() else { return Ok(()) };
    for other in others {
        let differences = differences(first, other);
        if !differences.is_empty() {
            return Err(CheckError::Different {
                a: first.folder.clone(),
                b: other.folder.clone(),
                differences,
            });
        }
    }
    let of = first.file.shard.of;
    if let Some((a, b)) = parts.iter().zip(parts.iter().skip(1)).find(|(a, b)| a.file.shard == b.file.shard) {
        let number = a.file.shard.number;
        return Err(CheckError::Double { number, of, a: a.folder.clone(), b: b.folder.clone() });
    }
    let there = |number: &u32| parts.iter().any(|part| part.file.shard.number == *number);
    let missing: Vec<u32> = (1..=of).filter(|number| !there(number)).collect();
    if missing.is_empty() { Ok(()) } else { Err(CheckError::Missing { missing, of }) }
}

/// What must be the same in all shards and is not, each with both values.
fn differences(a: &Part, b: &Part) -> Vec<String> {
    let mut differences = workload_differences(&a.run, &b.run);
    let mut note = |what: &str, a: &dyn ToString, b: &dyn ToString| {
        let (a, b) = (a.to_string(), b.to_string());
        if a != b {
            differences.push(format!("{what} ({a} against {b})"));
        }
    };
    let commit = |part: &Part| part.run.environment.commit.clone().unwrap_or_else(|| "unknown".to_owned());
    let dirty = |part: &Part| part.run.environment.dirty.unwrap_or(false);
    note("lock", &a.run.lock, &b.run.lock);
    note("seed", &a.run.seed, &b.run.seed);
    note("number of shards", &a.file.shard.of, &b.file.shard.of);
    note("start", &a.file.start_at, &b.file.start_at);
    note("endpoints", &a.file.endpoints.join(" "), &b.file.endpoints.join(" "));
    note("version", &a.file.version, &b.file.version);
    note("schema", &a.file.schema, &b.file.schema);
    note("commit", &commit(a), &commit(b));
    note("changes since the commit", &dirty(a), &dirty(b));
    note("build", &a.run.environment.profile, &b.run.environment.profile);
    differences
}

fn missing_in_words(missing: &[u32]) -> String {
    let numbers: Vec<String> = missing.iter().map(u32::to_string).collect();
    if missing.len() == 1 {
        format!("number {} is", numbers.join(""))
    } else {
        format!("numbers {} are", numbers.join(", "))
    }
}
