//! What the topics share: small constructors, and every order of a few things.

use leasehold::protocol::quorum::EndpointId;
use leasehold::protocol::validity::deadline;
use leasehold::protocol::{EndpointSet, Fence, Grant, HoldParams, Moment, Quorum, Renewal, Reply};

/// Long after the clock's origin, so that nothing saturates by accident.
pub(crate) const T0: Moment = Moment::from_nanos(1_000_000_000_000);

pub(crate) fn id(index: usize) -> EndpointId {
    EndpointId::from_index(index).unwrap()
}

pub(crate) fn three() -> Quorum {
    Quorum::new(3).unwrap()
}

pub(crate) fn set<const COUNT: usize>(indices: [usize; COUNT]) -> EndpointSet {
    indices.into_iter().map(id).collect()
}

/// Won by the first majority at [`T0`], to be renewed in the background.
pub(crate) fn terms(quorum: Quorum, token: u64, ttl_ms: u32) -> HoldParams {
    HoldParams {
        quorum,
        grant: Grant {
            fence: Fence::new(token),
            deadline: deadline(T0, ttl_ms),
            voters: quorum.ids().take(quorum.majority() as usize).collect(),
        },
        ttl_ms,
        ttl_ms_max: 30_000,
        t0: T0,
        patience_ms: 500,
        round_ns: 0,
        renewal: Renewal::Auto,
        renew_until: None,
        jitter_seed: 4,
    }
}

pub(crate) fn granted(token: u64) -> Reply {
    Reply::Granted { fence: Fence::new(token) }
}

pub(crate) fn held(left_ms: u64) -> Reply {
    Reply::Held { left_ms }
}

pub(crate) fn unknown() -> Reply {
    Reply::Unknown("no answer in time".into())
}

pub(crate) fn not_sent() -> Reply {
    Reply::NotSent("the connection is down".into())
}

pub(crate) fn quarantined() -> Reply {
    Reply::Quarantined { left_ms: 9_000 }
}

/// Every order of `0..count`.
pub(crate) fn orders(count: usize) -> Vec<Vec<usize>> {
    fn extend(order: &mut Vec<usize>, count: usize, orders: &mut Vec<Vec<usize>>) {
        if order.len() == count {
            orders.push(order.clone());
        }
        for next in 0..count {
            if !order.contains(&next) {
                order.push(next);
                extend(order, count, orders);
                order.pop();
            }
        }
    }
    let mut orders = Vec::new();
    extend(&mut Vec::new(), count, &mut orders);
    orders
}

/// Every way to choose one of `choices` for each of `count` places.
pub(crate) fn assignments<T: Clone>(choices: &[T], count: usize) -> Vec<Vec<T>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        all = all
            .iter()
            .flat_map(|begun: &Vec<T>| {
                choices.iter().map(|choice| [begun.as_slice(), std::slice::from_ref(choice)].concat())
            })
            .collect();
    }
    all
}

/// A moment, counted from the first.
pub(crate) const fn at_ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}
