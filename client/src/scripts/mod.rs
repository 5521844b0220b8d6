//! The text that endpoints run, made for one set. Public for benches, with no promise of stability.

use crate::protocol::validity::QUARANTINE_MS;
use crate::protocol::waiting::{LINE_LEN_MAX, PLACE_MS, TICKET_AGE_US_MAX, TICKET_SLACK_US};
use crate::protocol::wire::PROTOCOL_VERSION;
use crate::protocol::{ClientId, LeaseName};

/// What each batch runs; its comment gives keys, arguments, replies and why it is one script.
const LEASE: &str = include_str!("lease.lua");
/// Every operation in full.
const OPERATIONS: &str = include_str!("operations.lua");
/// Admission.
const ADMIT: &str = include_str!("admit.lua");
/// What more than one part needs.
const CODES: &str = include_str!("codes.lua");
const QUARANTINE_LEFT: &str = include_str!("quarantine.lua");

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
        [&self.namespace, ":lock:", name.as_str()].concat()
    }

    /// The key of a shadow.
    #[must_use]
    pub fn shadow_key(&self, name: &LeaseName) -> String {
        [&self.namespace, ":shadow:", name.as_str()].concat()
    }

    /// The key of a fence stripe.
    #[must_use]
    pub fn fence_key(&self, stripe: u32) -> String {
        format!("{}:fence:{stripe}", self.namespace)
    }

    /// The key that stands as long as any shadow may.
    #[must_use]
    pub fn shadows_key(&self) -> String {
        [&self.namespace, ":shadows"].concat()
    }

    /// The key of the line before a lock.
    #[must_use]
    pub fn wait_key(&self, name: &LeaseName) -> String {
        [&self.namespace, ":wait:", name.as_str()].concat()
    }

    /// The key of what a client has parked in line before a lock.
    #[must_use]
    pub fn park_key(&self, client: ClientId, name: &LeaseName) -> String {
        format!("{}:park:{client}:{name}", self.namespace)
    }

    /// The key that stands as long as any line may.
    #[must_use]
    pub fn waiters_key(&self) -> String {
        [&self.namespace, ":waiters"].concat()
    }

    /// The key of the record of admission.
    #[must_use]
    pub fn member_key(&self) -> String {
        [&self.namespace, ":member"].concat()
    }

    /// The key that says why an endpoint gives no votes.
    #[must_use]
    pub fn quarantine_key(&self) -> String {
        [&self.namespace, ":quarantine"].concat()
    }

    /// The channel on which a client is woken.
    #[must_use]
    pub fn wake_channel(&self, client: ClientId) -> String {
        format!("{}:wake:{client}", self.namespace)
    }

    /// The whole script. Each part that not every batch runs has a head of its own: it shares no locals with the others,
    /// which would have to be tied to it in each call.
    #[must_use]
    pub fn script(&self) -> String {
        let head = self.head();
        format!(
            "if ARGV[1] ~= 'run' then\n{head}{QUARANTINE_LEFT}{ADMIT}end\n\
             local function make_operations(time_us, plain)\n{head}{QUARANTINE_LEFT}{OPERATIONS}end\n\
             {head}{LEASE}"
        )
    }

    /// The settings of the set, as locals.
    fn head(&self) -> String {
        let Self { namespace, ttl_ms_max, .. } = self;
        let settings = self.text();
        format!(
            "local LOCK, FENCE, SHADOW = '{namespace}:lock:', '{namespace}:fence:', '{namespace}:shadow:'\n\
             local WAIT, PARK, WAKE = '{namespace}:wait:', '{namespace}:park:', '{namespace}:wake:'\n\
             local SHADOWS, WAITERS = '{namespace}:shadows', '{namespace}:waiters'\n\
             local MEMBER, QUARANTINE = '{namespace}:member', '{namespace}:quarantine'\n\
             local SETTINGS, TTL_MAX, QUARANTINE_MS = '{settings}', {ttl_ms_max}, {QUARANTINE_MS}\n\
             local PLACE_MS, LINE_LEN_MAX = {PLACE_MS}, {LINE_LEN_MAX}\n\
             local TICKET_SLACK_US, TICKET_AGE_US_MAX = {TICKET_SLACK_US}, {TICKET_AGE_US_MAX}\n\
             {CODES}"
        )
    }
}
