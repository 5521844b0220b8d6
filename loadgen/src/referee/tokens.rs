//! Fencing tokens against real time.
//!
//! A token is the place that the lock itself gives a grant, so the only order to check is the order of the tokens: no
//! search through possible histories is needed. A name's history is wrong if and only if
//!
//! - two grants carry the same token, or
//! - a grant was *called* after another had been *handed out*, and yet carries the smaller token.
//!
//! Each grant is judged against the largest token handed out before its call. A token that is smaller is a regression;
//! one that is equal, or equal to that of a grant handed out since the call, is a duplicate. A reused token that has been
//! overtaken is therefore counted once, as a regression: nothing escapes, and old tokens need not be kept.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use super::record::GrantRecord;

/// What the judgement of one name's tokens has to remember.
#[derive(Debug, Default)]
pub(crate) struct TokenOrder {
    /// Grants that a call still to be judged may be concurrent with, in the order of their handing out.
    recent: VecDeque<Seen>,
    /// The grant with the largest token among those handed out earlier.
    largest_before: Option<Tokened>,
}

/// A grant and its token, taken out of the record.
#[derive(Clone, Debug)]
struct Tokened {
    token: u64,
    grant: Arc<GrantRecord>,
}

#[derive(Debug)]
struct Seen {
    own: Tokened,
    /// The largest up to and including this one.
    largest: Tokened,
}

/// A grant's token is not what it should be; with the grant that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    /// Smaller than the token of this grant, which was handed out before the call.
    Regression(Arc<GrantRecord>),
    /// The same as the token of this grant.
    Duplicate(Arc<GrantRecord>),
}

impl TokenOrder {
    /// Judges the next grant of the name; grants come in the order of their handing out. A grant without a token is
    /// passed over. What was handed out no longer than `margin_ns` before the call may have been handed out after it.
    pub(crate) fn check(&mut self, grant: &Arc<GrantRecord>, margin_ns: u64) -> Option<TokenFault> {
        let own = Tokened { token: grant.token?, grant: Arc::clone(grant) };
        let fault = self.fault(own.token, grant.call_ns.saturating_sub(margin_ns));
        let before = self.recent.back().map(|last| &last.largest).or(self.largest_before.as_ref());
        let largest = before.filter(|before| before.token >= own.token).unwrap_or(&own).clone();
        self.recent.push_back(Seen { own, largest });
        fault
    }

    /// Forgets what no grant called at `low_ns` or later needs, less the margin.
    pub(crate) fn forget(&mut self, low_ns: u64) {
        while self.recent.front().is_some_and(|first| first.own.grant.granted_ns < low_ns) {
            self.largest_before = self.recent.pop_front().map(|first| first.largest);
        }
    }

    fn fault(&self, token: u64, call_ns: u64) -> Option<TokenFault> {
        let earlier = self.recent.partition_point(|seen| seen.own.grant.granted_ns < call_ns);
        let last_earlier = earlier.checked_sub(1).and_then(|last| self.recent.get(last));
        if let Some(largest) = last_earlier.map(|seen| &seen.largest).or(self.largest_before.as_ref()) {
            match token.cmp(&largest.token) {
                Ordering::Less => return Some(TokenFault::Regression(Arc::clone(&largest.grant))),
                Ordering::Equal => return Some(TokenFault::Duplicate(Arc::clone(&largest.grant))),
                Ordering::Greater => {}
            }
        }
        let concurrent = self.recent.range(earlier..).find(|seen| seen.own.token == token)?;
        Some(TokenFault::Duplicate(Arc::clone(&concurrent.own.grant)))
    }

    /// How many things are remembered.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.recent.len() + usize::from(self.largest_before.is_some())
    }
}
