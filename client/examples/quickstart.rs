//! One name, one holder: acquire, work, release.
//!
//! `cargo run -p leasehold --example quickstart`

use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{AcquireError, Client};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In production: `.endpoints(["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])`.
    let endpoints = MemoryEndpoints::new(3)?;
    let ours = Client::builder().memory(&endpoints).connect().await?;
    let theirs = Client::builder().memory(&endpoints).connect().await?;

    let lease = ours.lease("nightly-report").acquire().await?;
    println!("we hold {:?}, renewed in the background, with token {}", lease.name(), lease.fence());

    // Somebody else wants the same name. "Held" is an answer, not a failure.
    match theirs.lease("nightly-report").try_acquire().await {
        Err(error @ AcquireError::Held { .. }) => println!("they do not get it: {error}"),
        other => return Err(format!("two holders of one name: {other:?}").into()),
    }

    // They wait; we are done. Dropping the lease would release it, too, without telling how that went.
    let waiting = theirs.lease("nightly-report").wait(Duration::from_secs(5)).acquire();
    let (released, next) = tokio::join!(lease.release(), waiting);
    released?;
    let next = next?;
    println!("they hold {:?} now, with token {}", next.name(), next.fence());

    // Or in one go: the work is dropped where it stands if its lease is lost.
    next.release().await?;
    let outcome = ours.lease("nightly-report").run(|lease| async move { lease.fence() }).await?;
    println!("work under a lease: {outcome:?}");
    Ok(())
}
