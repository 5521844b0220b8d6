//! What tests share that call the script on a real server and read what it says.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "two test programs use it")]

use std::time::Instant;

use leasehold::protocol::wire::{Arguments, Field};
use leasehold::protocol::{Operation, Reply};
use leasehold_trio::{self as trio, Server};

/// Runs a batch as the member, and gives the server's own words.
pub fn run_batch(server: &Server, script: &str, member: &str, operations: &[Operation]) -> trio::Reply {
    let arguments = Arguments::encode(operations);
    let arguments = arguments.iter().map(|argument| std::str::from_utf8(argument).unwrap());
    let head = ["EVAL", script, "0", "run", member];
    server.command(&head.into_iter().chain(arguments).collect::<Vec<_>>()).unwrap()
}

/// A reply of the script as the client decodes it.
pub fn fields(reply: &trio::Reply) -> Vec<Field<'_>> {
    let trio::Reply::Array(items) = reply else { panic!("not a reply of the script: {reply}") };
    let field = |item| match item {
        &trio::Reply::Integer(number) => Field::Int(number),
        trio::Reply::Text(text) => Field::Text(text.as_bytes()),
        _ => Field::Other,
    };
    items.iter().map(field).collect()
}

/// Whether two answers are the same but for what is left of a time.
pub fn alike(one: &Reply, other: &Reply, tolerance_ms: u64) -> bool {
    match (one, other) {
        (Reply::Held { left_ms: one }, Reply::Held { left_ms: other })
        | (Reply::Quarantined { left_ms: one }, Reply::Quarantined { left_ms: other }) => {
            one.abs_diff(*other) <= tolerance_ms
        }
        (Reply::Waiting { left_ms: one, ahead }, Reply::Waiting { left_ms: other, ahead: beside }) => {
            one.abs_diff(*other) <= tolerance_ms && ahead == beside
        }
        _ => one == other,
    }
}

/// What two times may differ by that were both read since: as long as that took, and the server's own cached clock.
pub fn tolerance_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap() + 3
}
