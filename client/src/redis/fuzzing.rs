//! Ways in for fuzzing: replies, errors and messages as they come out of fred.

use fred::prelude::{Error, ErrorKind, Value};

use super::reply::{call_error, decode};
use super::wakes::hand_over;
use crate::endpoint::CallError;
use crate::protocol::HandOver;
use crate::protocol::wire::{self, AdmitReply, BatchReply};

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// An integer.
    Int(i64),
    /// A text that is UTF-8.
    Text(String),
    /// Any text.
    Bytes(Vec<u8>),
    /// Nothing.
    Null,
    /// Several things.
    Array(Vec<Self>),
}

impl From<Element> for Value {
    fn from(element: Element) -> Self {
        match element {
            Element::Int(number) => Self::Integer(number),
            Element::Text(text) => Self::String(text.into()),
            Element::Bytes(bytes) => Self::Bytes(bytes.into()),
            Element::Null => Self::Null,
            Element::Array(elements) => Self::Array(elements.into_iter().map(Self::from).collect()),
        }
    }
}

/// Reads the reply to a batch of so many operations.
///
/// # Errors
/// [`CallError`]: what is then known of the batch.
pub fn batch_reply(reply: Element, operations: usize) -> Result<BatchReply, CallError> {
    decode(&reply.into(), |fields| wire::decode_batch(fields, operations))
}

/// Reads the reply to an admission.
///
/// # Errors
/// [`CallError`]: what is then known of it.
pub fn admit_reply(reply: Element) -> Result<AdmitReply, CallError> {
    decode(&reply.into(), |fields| wire::decode_admit(fields))
}

/// Sorts a server's word of what went wrong by what it proves.
#[must_use]
pub fn server_error(word: &str) -> CallError {
    call_error(&Error::new(ErrorKind::Unknown, word.to_owned()))
}

/// What a message to a waiter says.
#[must_use]
pub fn wake(message: Element) -> Option<HandOver> {
    hand_over(&message.into())
}
