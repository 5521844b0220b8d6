//! The text that endpoints run, made for one set. Public for benches, with no promise of stability.

use crate::protocol::LeaseName;
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

    /// The key of a lock.
    #[must_use]
    pub fn lock_key(&self, name: &LeaseName) -> String {
        format!("{}:lock:{name}", self.namespace)
    }

    /// The key of a shadow.
    #[must_use]
    pub fn shadow_key(&self, name: &LeaseName) -> String {
        format!("{}:shadow:{name}", self.namespace)
    }

    /// The key of a fence stripe.
    #[must_use]
    pub fn fence_key(&self, stripe: u32) -> String {
        format!("{}:fence:{stripe}", self.namespace)
    }

    /// The key that stands as long as any shadow may.
    #[must_use]
    pub fn shadows_key(&self) -> String {
        format!("{}:shadows", self.namespace)
    }

    /// The key of the record of admission.
    #[must_use]
    pub fn member_key(&self) -> String {
        format!("{}:member", self.namespace)
    }

    /// The key that says why an endpoint gives no votes.
    #[must_use]
    pub fn quarantine_key(&self) -> String {
        format!("{}:quarantine", self.namespace)
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
