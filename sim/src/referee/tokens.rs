//! Tokens against real time. A token is the place that the lock itself gives a grant, so sorting by it is all the search
//! there is: n log n, and complete.

use super::{GrantId, Rule};
use crate::time::At;

/// One grant's token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) token: u64,
    pub(super) called: At,
    pub(super) granted: At,
    pub(super) id: GrantId,
}

/// Judges the tokens of one name.
pub(super) fn judge(tokens: &[Token]) -> Vec<(Rule, At, String)> {
    let mut sorted = tokens.to_vec();
    sorted.sort_by_key(|grant| (grant.token, grant.granted));
    let mut found = Vec::new();
    // From the largest down: the earliest handing out among larger tokens must not be before this one's call.
    let mut earliest: Option<Token> = None;
    for (place, grant) in sorted.iter().enumerate().rev() {
        if let Some(larger) =
            earliest.filter(|larger| larger.granted < grant.called && larger.token > grant.token)
        {
            let what = format!(
                "grant {} with token {} was called at {} after grant {} with token {} was handed out at {}",
                grant.id.0, grant.token, grant.called, larger.id.0, larger.token, larger.granted
            );
            found.push((Rule::TokenRegression, grant.granted, what));
        }
        if let Some(twin) =
            place.checked_sub(1).map(|before| sorted[before]).filter(|twin| twin.token == grant.token)
        {
            let what = format!("grants {} and {} carry token {}", twin.id.0, grant.id.0, grant.token);
            found.push((Rule::TokenDuplicate, grant.granted, what));
        }
        if earliest.is_none_or(|larger| grant.granted < larger.granted) {
            earliest = Some(*grant);
        }
    }
    found
}
