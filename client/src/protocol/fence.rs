//! Fencing tokens and owner ids.

use std::fmt;

/// A fencing token: larger than that of every lease handed out earlier on the same name.
///
/// Pass it along with every write to the protected resource, and let the resource refuse a smaller one than it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// A token as an endpoint gave it.
    #[must_use]
    pub const fn new(token: u64) -> Self {
        Self(token)
    }

    /// The number to store beside the resource.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One client, by 64 random bits: in whose name its attempts wait, and on which channel it is woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// A client from 64 random bits.
    #[must_use]
    pub const fn new(random: u64) -> Self {
        Self(random)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who holds a lock: the client and 64 random bits, new for every attempt, so that a late undo can only hit its own round.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId(u128);

impl OwnerId {
    /// An owner from 128 random bits, of which the upper half names the client.
    #[must_use]
    pub const fn new(random: u128) -> Self {
        Self(random)
    }

    /// The owner of one attempt.
    #[must_use]
    pub const fn of(client: ClientId, random: u64) -> Self {
        Self((client.0 as u128) << 64 | random as u128)
    }

    /// Whose attempt it is.
    #[must_use]
    pub const fn client(self) -> ClientId {
        ClientId((self.0 >> 64) as u64)
    }

    /// The owner that these 32 hexadecimal digits name.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        u128::from_str_radix(hex, 16).ok().filter(|_| digits).map(Self)
    }

    /// The 32 hexadecimal digits that stand in the lock's value.
    #[must_use]
    pub fn hex(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        hex
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
