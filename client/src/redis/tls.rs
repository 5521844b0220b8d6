//! Roots, certificates and keys, as rustls takes them.

use std::sync::Arc;

use fred::rustls::client::{ClientConfig, WantsClientCert};
use fred::rustls::crypto::ring;
use fred::rustls::pki_types::pem::PemObject as _;
use fred::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use fred::rustls::{ConfigBuilder, RootCertStore};
use fred::rustls_native_certs::load_native_certs;
use fred::types::config::{TlsConfig, TlsConnector};

use crate::config::Tls;
use crate::error::ConfigError;

/// What every connection with TLS is made with.
pub(super) fn connector(tls: &Tls) -> Result<TlsConfig, ConfigError> {
    let roots = if tls.roots.is_empty() { system_roots()? } else { own_roots(&tls.roots)? };
    // The provider is named: a process that has two of them would panic over a default.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots);
    Ok(TlsConnector::from(identified(builder, tls)?).into())
}

fn own_roots(texts: &[Vec<u8>]) -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    for text in texts {
        for root in certificates(text, "the roots")? {
            store.add(root).map_err(|error| wrong(format!("a root cannot be used: {error}")))?;
        }
    }
    Ok(store)
}

fn system_roots() -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    let found = load_native_certs();
    // Some old root that nobody can read any more is on many machines.
    let (usable, _) = store.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(store);
    }
    let errors = found.errors.iter().map(|error| format!(": {error}"));
    Err(wrong(format!(
        "this system has no trusted roots{}; install its package of them (ca-certificates), or name your own with Tls::roots_pem",
        errors.take(1).collect::<String>()
    )))
}

fn identified(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    tls: &Tls,
) -> Result<ClientConfig, ConfigError> {
    let Some(identity) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(&identity.certificates, "the identity's certificates")?;
    // What is wrong with the text of a key is not repeated, lest some of it shows.
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|_| {
        wrong(
            "the identity's key is no unencrypted private key in PEM (-----BEGIN PRIVATE KEY-----)"
                .to_owned(),
        )
    })?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| wrong(format!("the identity's certificate and key do not go together: {error}")))
}

/// All certificates of a PEM text; there must be one.
fn certificates(text: &[u8], whose: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("{whose} are not PEM: {error}")))?;
    if found.is_empty() {
        return Err(wrong(format!("{whose} hold no certificate in PEM (-----BEGIN CERTIFICATE-----)")));
    }
    Ok(found)
}

fn wrong(reason: String) -> ConfigError {
    ConfigError::Tls { reason }
}
