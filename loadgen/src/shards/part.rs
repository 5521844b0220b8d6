//! What a shard's folder holds beside a run's.

use serde::{Deserialize, Serialize};

use super::clock::ClockLog;
use super::shard::Shard;

/// The part's description.
pub(crate) const PART_FILE: &str = "shard.json";
/// Its ledger.
pub(crate) const RECORDS_FILE: &str = "grants.bin";
/// The version of both that this program writes and reads.
const SCHEMA: u32 = 1;

/// `shard.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartFile {
    pub(crate) schema: u32,
    /// The program's own.
    pub(crate) version: String,
    pub(crate) shard: Shard,
    /// When all were to begin, as RFC 3339.
    pub(crate) start_at: String,
    /// Without passwords, in their order.
    pub(crate) endpoints: Vec<String>,
    /// From the first arrival's zero to the last report, on this machine's clock.
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// This machine's calendar clock less its machine-wide one.
    pub(crate) calendar_ns: i64,
    pub(crate) clocks: Vec<ClockLog>,
}

impl PartFile {
    /// What every part says of this program.
    pub(crate) fn version() -> (u32, String) {
        (SCHEMA, env!("CARGO_PKG_VERSION").to_owned())
    }
}
