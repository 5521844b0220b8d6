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

/// An error for people. Of an error of the operating system fred keeps the debug text, with the message somewhere inside.
pub(super) fn in_words(error: &Error) -> Arc<str> {
    let message = error.details().split_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    message.map_or_else(|| error.to_string().into(), |(message, _)| message.into())
}

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
