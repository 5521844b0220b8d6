//! The text that endpoints run, made for one set. Public for benches, with no promise of stability.

use crate::protocol::validity::QUARANTINE_MS;
use crate::protocol::wire::PROTOCOL_VERSION;

/// The body; its comment gives keys, arguments, replies and why it is one script.
const BODY: &str = include_str!("lease.lua");

/// What all clients of a set must agree on. It stands in the script's text and in each endpoint's record of admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Begins every key, before a colon.
    pub namespace: String,
    /// Database number. In the text because SWAPDB moves data under a client.
    pub database: u8,
    /// N.
    pub endpoints: u32,
    /// The longest TTL anybody may ask for.
    pub ttl_ms_max: u32,
}

impl Settings {
    /// How the record of admission begins.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { database, endpoints, ttl_ms_max, .. } = self;
        format!("protocol={PROTOCOL_VERSION} max_ttl={ttl_ms_max} endpoints={endpoints} database={database}")
    }

    /// The whole script.
    #[must_use]
    pub fn script(&self) -> String {
        let Self { namespace, ttl_ms_max, .. } = self;
        let settings = self.text();
        format!(
            "local LOCK, FENCE, SHADOW = '{namespace}:lock:', '{namespace}:fence:', '{namespace}:shadow:'\n\
             local SHADOWS = '{namespace}:shadows'\n\
             local MEMBER, QUARANTINE = '{namespace}:member', '{namespace}:quarantine'\n\
             local SETTINGS, TTL_MAX, QUARANTINE_MS = '{settings}', {ttl_ms_max}, {QUARANTINE_MS}\n\
             {BODY}"
        )
    }
}
