//! Names of leases.

use leasehold::protocol::name::{NAME_LEN_MAX, STRIPES};
use leasehold::protocol::{LeaseName, NameError};

pub(super) fn run(text: &str) {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let later = |byte: u8| first(byte) || b"_.:-".contains(&byte);
    let fits = (1..=NAME_LEN_MAX).contains(&text.len())
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(later);
    match LeaseName::new(text) {
        Ok(name) => {
            assert!(fits, "{text:?} is taken");
            assert_eq!(name.as_str(), text);
            assert_eq!(LeaseName::new(&name.to_string()).as_ref(), Ok(&name));
            assert!(name.stripe() < STRIPES);
        }
        Err(error) => {
            assert!(!fits, "{text:?} is refused: {error}");
            if let NameError::Character { character, at, .. } = &error {
                assert_eq!(text[*at..].chars().next(), Some(*character));
            }
            let message = error.to_string();
            assert!(message.len() < 200 + 10 * NAME_LEN_MAX, "a message of {} bytes", message.len());
        }
    }
}
