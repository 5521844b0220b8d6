//! Ways in for fuzzing: what reads texts from outside and is not public otherwise. No part of the interface.

use crate::config::{Address, ClientBuilder, Place};
use crate::error::ConfigError;
pub use crate::redis::fuzzing::{Element, admit_reply, batch_reply, server_error, wake};
use crate::scripts::Settings;

/// What an endpoint's URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Host and port, or the path of a socket, as messages show it.
    pub label: String,
    /// Whether it is a socket in the file system.
    pub is_socket: bool,
    /// Whether it is spoken to with TLS.
    pub tls: bool,
    /// The number of the database.
    pub database: u8,
    /// User and password, if it names any.
    pub login: Option<(Option<String>, String)>,
}

/// Reads the URL of an endpoint.
///
/// # Errors
/// [`ConfigError`], as the builder gives it.
pub fn endpoint(url: &str) -> Result<Named, ConfigError> {
    let address = Address::parse(url)?;
    Ok(Named {
        label: address.label(),
        is_socket: matches!(address.place, Place::Unix { .. }),
        tls: matches!(address.place, Place::Tcp { tls: true, .. }),
        database: address.database,
        login: address.login.map(|login| (login.username, login.password)),
    })
}

/// What all clients of a set must agree on, if these settings can be used.
///
/// # Errors
/// [`ConfigError`], as connecting gives it.
pub fn settings(builder: &ClientBuilder) -> Result<Settings, ConfigError> {
    Ok(builder.check()?.settings)
}
