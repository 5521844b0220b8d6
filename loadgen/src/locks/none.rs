//! No lock at all: everybody may, at once. What the referee finds here is what it can find.

use std::future::pending;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{Acquisition, Held, Lock};
use crate::referee::ReleaseOutcome;

/// Grants everything.
#[derive(Debug)]
pub(crate) struct NoLock;

impl Lock for NoLock {
    fn acquire<'a>(&'a self, _name: &'a str, _wait: Duration) -> BoxFuture<'a, Acquisition> {
        ready(Ok(Box::new(Grant) as Box<dyn Held>)).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

struct Grant;

impl Held for Grant {
    fn token(&self) -> Option<u64> {
        None
    }

    fn valid_until_ns(&self) -> Option<u64> {
        None
    }

    fn is_valid(&self) -> bool {
        true
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        pending().boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ReleaseOutcome> {
        ready(ReleaseOutcome::Clean).boxed()
    }
}
