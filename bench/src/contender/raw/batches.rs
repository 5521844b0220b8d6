//! What the servers can do: full batches, made by the task that sends them.

use std::sync::Arc;

use leasehold::protocol::{LeaseName, OwnerId};

use super::{Driver, Raw, acquire, granted, release, released};
use crate::contender::{Contender, Failure};

const BATCH_LEN: u64 = 64;

/// Locks taken and given back by as many as the library puts into one call.
#[derive(Debug)]
pub struct Batches<D>(pub Arc<Raw<D>>);

impl<D: Driver> Contender for Batches<D> {
    type Held = Vec<(LeaseName, OwnerId)>;

    const LOCKS: u64 = BATCH_LEN;

    async fn acquire(&self, name: &str) -> Result<Self::Held, Failure> {
        let names = (0..BATCH_LEN).map(|number| LeaseName::new(&format!("{name}:{number}")));
        let held: Self::Held = names
            .map(|name| Ok::<_, Failure>((name?, OwnerId::new(rand::random()))))
            .collect::<Result<_, _>>()?;
        let operations = held.iter().map(acquire).collect::<Result<Vec<_>, _>>()?;
        self.0.run(&operations, granted).await?;
        Ok(held)
    }

    async fn release(&self, held: Self::Held) -> Result<(), Failure> {
        let operations: Vec<_> = held.into_iter().map(release).collect();
        self.0.run(&operations, released).await
    }
}
