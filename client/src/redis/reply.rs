//! What fred hands back, sorted by what it proves.

use std::sync::Arc;

use fred::prelude::{Error, ErrorKind, Value};

use crate::endpoint::CallError;
use crate::protocol::wire::{self, Field};

/// Sorts fred's errors by what they prove. Only a server's own word before execution proves that nothing ran.
pub(super) fn call_error(error: &Error) -> CallError {
    let details = error.details();
    let word = details.split(' ').next().unwrap_or_default();
    match (error.kind(), word) {
        (_, "NOSCRIPT") => CallError::NoScript,
        (ErrorKind::Backpressure, _) => CallError::Refused(details.into()),
        (
            _,
            "LOADING" | "READONLY" | "MISCONF" | "OOM" | "BUSY" | "NOREPLICAS" | "NOAUTH" | "NOPERM"
            | "WRONGPASS",
        ) => CallError::Refused(details.into()),
        (ErrorKind::Timeout, _) => CallError::Unknown("no answer in time".into()),
        _ => CallError::Unknown(in_words(error)),
    }
}

/// An error for people. Of an error of the operating system fred keeps the debug text, with the message somewhere inside; of
/// one of TLS, the name that rustls has for it.
pub(super) fn in_words(error: &Error) -> Arc<str> {
    let details = error.details();
    if details == NO_CONNECTION {
        return "its connection was closed".into();
    }
    if let Some((_, words)) = TLS_ERRORS.iter().find(|(name, _)| details.contains(name)) {
        return (*words).into();
    }
    let message = details.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    message.map_or_else(|| error.to_string().into(), |(message, _)| message.into())
}

/// What fred says between a connection that has ended and the next one.
const NO_CONNECTION: &str = "Failed to route command.";

const UNTRUSTED: &str =
    "TLS: its certificate is signed by no root that is trusted here; name its root with Tls::roots_pem";

/// What rustls calls them, and what that means here.
const TLS_ERRORS: [(&str, &str); 9] = [
    ("UnknownIssuer", UNTRUSTED),
    // By another key than the trusted root of that name has: one of them was made anew.
    ("InvalidCertificate(BadSignature", UNTRUSTED),
    (
        "NotValidForName",
        "TLS: its certificate is for another host than its URL names; name the host as the certificate does, or issue \
         one for this host",
    ),
    ("InvalidCertificate(Expired", "TLS: its certificate has expired, or this machine's clock is wrong"),
    (
        "InvalidCertificate(NotValidYet",
        "TLS: its certificate is not valid yet, or this machine's clock is wrong",
    ),
    ("CertificateRequired", "TLS: it asks for a client's certificate; give one with Tls::identity_pem"),
    ("AlertReceived(UnknownCA)", "TLS: it does not trust the root of this client's certificate"),
    ("AlertReceived", "TLS: it refused the connection, perhaps because of this client's certificate"),
    ("InvalidContentType", "TLS: it does not speak TLS there; name its TLS port, or write redis://"),
];

pub(super) fn decode<T>(
    reply: &Value,
    decode: impl FnOnce(&mut dyn Iterator<Item = Field<'_>>) -> Result<T, wire::WireError>,
) -> Result<T, CallError> {
    let Value::Array(values) = reply else {
        return Err(CallError::Unknown(wire::WireError.to_string().into()));
    };
    let mut fields = values.iter().map(|value| match value {
        Value::Integer(number) => Field::Int(*number),
        Value::String(text) => Field::Text(text.as_bytes()),
        Value::Bytes(bytes) => Field::Text(bytes),
        _ => Field::Other,
    });
    decode(&mut fields).map_err(|error| CallError::Unknown(error.to_string().into()))
}
