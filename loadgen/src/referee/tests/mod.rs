//! The referee against hand-written histories and against brute force.

mod bounds;
mod exclusion;
mod fencing;
mod honesty;
mod machines;
mod oracle;
mod tokens;
mod writes;

use super::judge::{Findings, Referee};
use super::record::{GrantRecord, ReleaseOutcome};

/// A grant of name 0 to node `grant_id`: asked for and handed out at `granted_ns`, no token, no deadline, one act at
/// once, never released.
fn grant(grant_id: u32, granted_ns: u64) -> GrantRecord {
    GrantRecord {
        grant_id: u64::from(grant_id),
        node: grant_id,
        key: 0,
        token: None,
        call_ns: granted_ns,
        granted_ns,
        valid_until_ns: None,
        told_lost_ns: None,
        release_call_ns: None,
        release_done_ns: None,
        last_act_ns: granted_ns,
        release: ReleaseOutcome::NotCalled,
        lost_false: false,
    }
}

/// The same, with its last act at `last_act_ns` and its release called then.
fn held(grant_id: u32, granted_ns: u64, last_act_ns: u64) -> GrantRecord {
    GrantRecord {
        last_act_ns,
        release_call_ns: Some(last_act_ns),
        release_done_ns: Some(last_act_ns),
        release: ReleaseOutcome::Clean,
        ..grant(grant_id, granted_ns)
    }
}

fn judge(grants: &[GrantRecord]) -> Findings {
    let mut referee = Referee::new();
    for &grant in grants {
        referee.grant(grant).unwrap();
    }
    referee.finish()
}
