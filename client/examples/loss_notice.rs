//! Losing a lease in the middle of work: the holder is told before anybody else can hold it.
//!
//! `cargo run -p leasehold --example loss_notice`

use std::time::{Duration, Instant};

use leasehold::Client;
use leasehold::memory::MemoryEndpoints;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoints = MemoryEndpoints::new(3)?;
    let client = Client::builder().memory(&endpoints).connect().await?;
    let lease = client.lease("import").ttl(Duration::from_millis(500)).acquire().await?;
    println!("held, with {:?} to go unless renewed", lease.remaining());

    // Two of three endpoints go away for good: no renewal can succeed any more.
    for server in [0, 1].into_iter().filter_map(|index| endpoints.server(index)) {
        server.disconnect();
    }

    let mut rows = 0_u32;
    let reason = loop {
        tokio::select! {
            // A local timer, armed a few milliseconds early: it needs no endpoint to answer.
            reason = lease.lost() => break reason,
            () = import_a_row() => rows += 1,
        }
    };
    println!(
        "stopped after {rows} rows, {:?} before the deadline: {reason}",
        lease.valid_until() - Instant::now()
    );

    // Never taken back, even if the endpoints return. What was begun under this lease begins anew under the next.
    assert!(!lease.is_valid());
    Ok(())
}

async fn import_a_row() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
