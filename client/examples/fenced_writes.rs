//! Why tokens: a holder that slept past its lease cannot overwrite what its successor wrote.
//!
//! No lease can help a process that is stopped between "I hold it" and "write": when it goes on, it does not know yet what
//! time it is. The resource itself must refuse it, by remembering the largest token it has seen.
//!
//! `cargo run -p leasehold --example fenced_writes`

use std::time::Duration;

use leasehold::memory::MemoryEndpoints;
use leasehold::{Client, Fence, Renewal};

/// What the lease protects: a row in a database, an object in a store. It keeps the token beside the value.
#[derive(Debug, Default)]
struct Account {
    balance: i64,
    /// `UPDATE ... SET balance = ?, fence = ? WHERE id = ? AND fence <= ?`
    fence: Option<Fence>,
}

impl Account {
    fn write(&mut self, balance: i64, fence: Fence) -> Result<(), String> {
        if self.fence.is_some_and(|seen| fence < seen) {
            return Err(format!(
                "token {fence} is smaller than {:?}: a later holder has written",
                self.fence
            ));
        }
        *self = Self { balance, fence: Some(fence) };
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoints = MemoryEndpoints::new(3)?;
    let client = Client::builder().memory(&endpoints).connect().await?;
    let mut account = Account::default();

    // The first holder reads, decides, and falls asleep before it writes: a long garbage collection, a suspended laptop.
    // (By hand, because an example cannot stop its own process: nothing renews this lease while it "sleeps".)
    let nap = Duration::from_millis(200);
    let sleeper = client.lease("account:7").ttl(nap).renewal(Renewal::Manual).acquire().await?;
    let stale_balance = account.balance + 100;

    // Its lease runs out, and the next holder does its work.
    let successor = client.lease("account:7").acquire().await?;
    account.write(account.balance + 1, successor.fence())?;
    println!("the successor wrote {account:?}");

    // The sleeper wakes and goes on where it stood. Its token tells on it.
    match account.write(stale_balance, sleeper.fence()) {
        Err(refused) => println!("the sleeper was refused: {refused}"),
        Ok(()) => return Err("a stale write was accepted".into()),
    }
    assert_eq!(account.balance, 1);
    assert!(!sleeper.is_valid(), "asked, it would have known");
    Ok(())
}
