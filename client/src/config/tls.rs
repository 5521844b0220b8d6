//! What a user says of TLS.

use std::fmt;

/// Whom to trust, and who to be, on connections to `rediss://` endpoints.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use leasehold::{Client, Tls};
///
/// let tls = Tls::new()
///     .roots_pem(std::fs::read("ca.pem")?)
///     .identity_pem(std::fs::read("service.pem")?, std::fs::read("service.key")?);
/// let builder = Client::builder().endpoints(["rediss://a", "rediss://b", "rediss://c"]).tls(tls);
/// # Ok(())
/// # }
/// ```
///
/// A server's certificate must be signed by a trusted root and name the host that the endpoint's URL names. `Debug` shows
/// neither certificates nor keys.
#[derive(Clone, Default)]
pub struct Tls {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
}

/// A certificate, with those that lead from it to a root, and its private key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Tls {
    /// Trusts the roots that the operating system trusts, and shows no certificate. `rediss://` endpoints are used so, too,
    /// where nothing is said of TLS.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in this PEM text, one or several, and no longer those of the operating system. A second call
    /// adds to the first: old and new root, while one replaces the other.
    #[must_use]
    pub fn roots_pem(mut self, roots: impl Into<Vec<u8>>) -> Self {
        self.roots.push(roots.into());
        self
    }

    /// Shows this certificate to servers that ask for one (`tls-auth-clients yes`, their default): PEM texts of the
    /// certificate, followed by intermediate ones if there are any, and of its private key, unencrypted.
    #[must_use]
    pub fn identity_pem(mut self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Identity { certificates: certificates.into(), key: key.into() });
        self
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &if self.roots.is_empty() { "the system's" } else { "own" })
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
