//! Operations as script arguments, and replies back. The other side of this is `scripts/lease.lua`.

use std::fmt;
use std::sync::Arc;

use super::fence::{Fence, OwnerId};
use super::name::LeaseName;
use super::operation::{Action, HandOver, Operation, Reply};

/// The version of what is said to endpoints and kept there. Clients of different versions do not share a set.
pub const PROTOCOL_VERSION: u32 = 3;

/// The most operations one script call carries.
pub const BATCH_LEN_MAX: usize = 64;

/// The arguments of a batch, end to end in one buffer, so that they can be handed on without a copy each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Arguments {
    /// The arguments of `operations`, in order.
    #[must_use]
    pub fn encode<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Self {
        let mut arguments = Self::default();
        for operation in operations {
            arguments.push_operation(operation);
        }
        arguments
    }

    /// The whole buffer and where in it each argument ends.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<usize>) {
        (self.bytes, self.ends)
    }

    /// Each argument.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    fn push_operation(&mut self, operation: &Operation) {
        let Operation { name, owner, action } = operation;
        let code = match action {
            Action::Acquire { .. } => b"a",
            // Who has just begun to wait brings no ticket of its own: it is the proposal.
            Action::AcquireOrWait { proposal, ticket, .. } if proposal == ticket => b"w",
            Action::AcquireOrWait { .. } => b"q",
            Action::Extend { .. } => b"e",
            Action::Heal { .. } => b"h",
            Action::Raise { .. } => b"r",
            Action::Shadow { .. } => b"s",
            Action::Validate => b"v",
            Action::Release => b"x",
        };
        self.push(code);
        self.push(name.as_str().as_bytes());
        self.push(&owner.hex());
        match *action {
            Action::Acquire { ttl_ms, proposal } => {
                self.push_numbers([proposal, name.stripe().into(), ttl_ms.into()]);
            }
            Action::AcquireOrWait { ttl_ms, proposal, ticket } => {
                self.push_numbers([proposal, name.stripe().into(), ttl_ms.into()]);
                if proposal != ticket {
                    self.push_numbers([ticket]);
                }
            }
            Action::Extend { ttl_ms, fence } | Action::Heal { ttl_ms, fence } => {
                self.push_numbers([fence.get(), name.stripe().into(), ttl_ms.into()]);
            }
            Action::Raise { fence } => self.push_numbers([fence.get(), name.stripe().into()]),
            Action::Shadow { ttl_ms } => self.push_numbers([ttl_ms.into()]),
            Action::Validate | Action::Release => {}
        }
    }

    fn push_numbers<const COUNT: usize>(&mut self, numbers: [u64; COUNT]) {
        for number in numbers {
            // Twenty digits hold any u64; written from the back.
            let mut digits = [0; 20];
            let mut start = digits.len();
            let mut rest = number;
            loop {
                start -= 1;
                digits[start] = b"0123456789"[(rest % 10) as usize];
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
            self.push(&digits[start..]);
        }
    }

    fn push(&mut self, argument: &[u8]) {
        self.bytes.extend_from_slice(argument);
        self.ends.push(self.bytes.len());
    }
}

/// One element of an endpoint's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// An integer.
    Int(i64),
    /// A text.
    Text(&'a [u8]),
    /// Anything else: no reply of ours has it.
    Other,
}

/// What a batch came back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchReply {
    /// Every operation ran; its reply stands at its place.
    Done {
        /// The endpoint's clock, in microseconds since 1970.
        server_time_us: u64,
        /// In the order of the operations.
        replies: Vec<Reply>,
    },
    /// Nothing ran: the endpoint is not the one that was admitted. Admit it again.
    NotAdmitted(Arc<str>),
}

/// What an admission came back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmitReply {
    /// The endpoint may be asked.
    Admitted {
        /// The endpoint's clock, in microseconds since 1970.
        server_time_us: u64,
        /// Under which identity and settings it was admitted; every batch names it.
        member: Arc<str>,
        /// For how long it still gives no votes; zero if it does.
        quarantined_ms: u64,
    },
    /// The endpoint must not be asked; why, and what to change.
    Refused(Arc<str>),
}

/// A reply that no endpoint of this protocol gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError;

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reply is not one of this protocol")
    }
}

impl std::error::Error for WireError {}

/// First element of a batch reply when nothing ran.
const NOT_ADMITTED: i64 = -1;
/// First element of an admit reply when it was refused.
const ADMIT_REFUSED: i64 = -2;

/// Reads the reply to a batch of `operations` operations.
///
/// # Errors
/// [`WireError`] if it is anything but such a reply; whether the operations ran is then unknown.
pub fn decode_batch<'a>(
    mut fields: impl Iterator<Item = Field<'a>>,
    operations: usize,
) -> Result<BatchReply, WireError> {
    let first = integer(fields.next())?;
    if first == NOT_ADMITTED {
        return Ok(BatchReply::NotAdmitted(text(fields.next())?));
    }
    let server_time_us = u64::try_from(first).map_err(|_| WireError)?;
    let mut replies = Vec::with_capacity(operations);
    while let Some(code) = fields.next() {
        let value = fields.next().ok_or(WireError)?;
        replies.push(decode_reply(integer(Some(code))?, Some(value))?);
    }
    if replies.len() != operations {
        return Err(WireError);
    }
    Ok(BatchReply::Done { server_time_us, replies })
}

/// Reads the reply to an admission.
///
/// # Errors
/// [`WireError`] if it is anything but such a reply.
pub fn decode_admit<'a>(mut fields: impl Iterator<Item = Field<'a>>) -> Result<AdmitReply, WireError> {
    let first = integer(fields.next())?;
    if first == ADMIT_REFUSED {
        return Ok(AdmitReply::Refused(text(fields.next())?));
    }
    let server_time_us = u64::try_from(first).map_err(|_| WireError)?;
    let member = text(fields.next())?;
    let quarantined_ms = unsigned(fields.next())?;
    Ok(AdmitReply::Admitted { server_time_us, member, quarantined_ms })
}

/// Reads what an endpoint says to a client that waits.
///
/// # Errors
/// [`WireError`] if it is anything but word of a hand-over.
pub fn decode_hand_over(word: &str) -> Result<HandOver, WireError> {
    let mut parts = word.splitn(5, ' ');
    let mut next = || parts.next().ok_or(WireError);
    let (name, owner, proposal, fence, member) = (next()?, next()?, next()?, next()?, next()?);
    Ok(HandOver {
        name: LeaseName::new(name).map_err(|_| WireError)?,
        owner: OwnerId::from_hex(owner).ok_or(WireError)?,
        proposal: proposal.parse().map_err(|_| WireError)?,
        fence: Fence::new(fence.parse().map_err(|_| WireError)?),
        member: member.into(),
    })
}

fn decode_reply(code: i64, value: Option<Field<'_>>) -> Result<Reply, WireError> {
    Ok(match code {
        1 => Reply::Granted { fence: Fence::new(unsigned(value)?) },
        2 => Reply::Released,
        3 => Reply::Held { left_ms: unsigned(value)? },
        4 => Reply::Missing,
        5 => Reply::NotALock,
        6 => Reply::Superseded,
        7 => Reply::Quarantined { left_ms: unsigned(value)? },
        8 => Reply::TtlTooLong { max_ms: unsigned(value)? },
        9 => Reply::Refused(text(value)?),
        10 => waiting(unsigned(value)?)?,
        _ => return Err(WireError),
    })
}

/// Who is ahead and how long the lock stands share one number: 32 bits for the time.
fn waiting(packed: u64) -> Result<Reply, WireError> {
    let ahead = u32::try_from(packed >> 32).map_err(|_| WireError)?;
    Ok(Reply::Waiting { left_ms: packed & u64::from(u32::MAX), ahead })
}

fn integer(field: Option<Field<'_>>) -> Result<i64, WireError> {
    match field {
        Some(Field::Int(value)) => Ok(value),
        _ => Err(WireError),
    }
}

fn unsigned(field: Option<Field<'_>>) -> Result<u64, WireError> {
    u64::try_from(integer(field)?).map_err(|_| WireError)
}

fn text(field: Option<Field<'_>>) -> Result<Arc<str>, WireError> {
    match field {
        Some(Field::Text(bytes)) => Ok(String::from_utf8_lossy(bytes).into()),
        _ => Err(WireError),
    }
}
