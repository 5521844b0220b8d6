//! The name of a lease, checked once at the edge.

use std::fmt;
use std::sync::Arc;

/// Number of fence stripes on an endpoint. Part of the protocol version: changing it reorders tokens.
pub const STRIPES: u32 = 4096;

/// The longest name, in bytes.
pub const NAME_LEN_MAX: usize = 200;

/// The name of a lease: `[a-z0-9][a-z0-9_.:-]*`, at most 200 bytes.
///
/// The narrow alphabet makes every key on the wire match one prefix pattern, which an ACL rule can allow. Cloning is
/// cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseName(Arc<str>);

/// Why a text is not a lease name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text is longer than [`NAME_LEN_MAX`] bytes.
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A character outside the alphabet, or a first one that is not a letter or digit.
    Character {
        /// The whole text.
        name: String,
        /// The first offending character.
        character: char,
        /// Where it stands, in bytes.
        at: usize,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a lease name must not be empty"),
            Self::TooLong { len } => {
                write!(f, "a lease name has at most {NAME_LEN_MAX} bytes, this one has {len}")
            }
            Self::Character { name, character, at } => write!(
                f,
                "{character:?} at byte {at} of lease name {name:?}: use a-z, 0-9 and, after the first, `_`, `.`, `:`, `-`"
            ),
        }
    }
}

impl std::error::Error for NameError {}

impl LeaseName {
    /// Checks a text.
    ///
    /// # Errors
    /// [`NameError`] says what to change.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_LEN_MAX {
            return Err(NameError::TooLong { len: text.len() });
        }
        let offender = text.char_indices().find(|&(at, c)| match c {
            'a'..='z' | '0'..='9' => false,
            '_' | '.' | ':' | '-' => at == 0,
            _ => true,
        });
        match offender {
            Some((at, character)) => Err(NameError::Character { name: text.to_owned(), character, at }),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Which fence stripe this name draws its tokens from: CRC-32C of the name, modulo [`STRIPES`].
    #[must_use]
    pub fn stripe(&self) -> u32 {
        crc32c(self.0.as_bytes()) % STRIPES
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// CRC-32C (Castagnoli), by a table made at compile time: this room has no dependencies.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut index = 0;
        while index < 256 {
            #[expect(clippy::cast_possible_truncation, reason = "below 256")]
            let mut crc = index as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0u32, |crc, &byte| (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
    }
}
