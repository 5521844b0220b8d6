//! Tests of code that holds leases, without a server and without waiting: endpoints in memory that fail when they are told
//! to, in virtual time.
//!
//! The functions at the end are what would stand in a test module, each under `#[tokio::test(start_paused = true)]`.
//!
//! ```sh
//! cargo run --example in_memory_tests
//! ```

use std::error::Error;
use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{AcquireError, Client, RunOutcome};

/// What is to be tested: a job that only one process may do at a time, and that stops when its lease is lost.
async fn rebuild_index(locks: &Client) -> Result<&'static str, AcquireError> {
    let work = locks.lease("index").run(async |_| tokio::time::sleep(Duration::from_secs(600)).await).await?;
    Ok(match work {
        RunOutcome::Done { .. } => "rebuilt",
        RunOutcome::Lost(_) => "given up",
    })
}

/// Endpoints with a network between: a seed fixes what is left to chance.
async fn world(seed: u64) -> Result<(MemoryEndpoints, Client), Box<dyn Error>> {
    let endpoints = MemoryEndpoints::with_seed(3, seed)?;
    for server in endpoints.servers() {
        server.set_latency(Duration::from_millis(1)..=Duration::from_millis(20));
    }
    let locks = Client::builder().memory(&endpoints).ttl(Duration::from_secs(10)).connect().await?;
    Ok((endpoints, locks))
}

async fn it_survives_an_endpoint_that_forgets_everything() -> Result<(), Box<dyn Error>> {
    let (endpoints, locks) = world(1).await?;
    let forget = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        endpoints.servers()[0].restart_empty();
    };
    let (outcome, ()) = tokio::join!(rebuild_index(&locks), forget);
    assert_eq!(outcome?, "rebuilt");
    Ok(())
}

async fn it_gives_up_when_no_majority_answers() -> Result<(), Box<dyn Error>> {
    let (endpoints, locks) = world(2).await?;
    let outage = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        endpoints.servers()[..2].iter().for_each(|server| server.hang());
    };
    let (outcome, ()) = tokio::join!(rebuild_index(&locks), outage);
    assert_eq!(outcome?, "given up");
    Ok(())
}

async fn it_does_not_begin_while_another_process_works() -> Result<(), Box<dyn Error>> {
    let (_endpoints, locks) = world(3).await?;
    let _other = locks.lease("index").acquire().await?;
    assert!(matches!(rebuild_index(&locks).await, Err(AcquireError::Held { .. })));
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let begun = tokio::time::Instant::now();
    it_survives_an_endpoint_that_forgets_everything().await?;
    it_gives_up_when_no_majority_answers().await?;
    it_does_not_begin_while_another_process_works().await?;
    println!("three tests, {:.0} s of virtual time", begun.elapsed().as_secs_f64());
    Ok(())
}
