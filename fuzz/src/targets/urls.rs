//! URLs of endpoints.

use leasehold::fuzzing::endpoint;

pub(super) fn run(text: &str) {
    let named = match endpoint(text) {
        Ok(named) => named,
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 500 + 10 * text.len(), "a message of {} bytes", message.len());
            return;
        }
    };
    assert!(!named.label.is_empty());
    if named.is_socket {
        assert!(named.label.starts_with('/') && named.label.len() > 1, "{:?}", named.label);
    }
    // Written anew by the rules, it names the same.
    let (scheme, place) = match (named.is_socket, named.tls) {
        (true, _) => ("unix", escaped(&named.label, b"/")),
        (false, true) => ("rediss", named.label.clone()),
        (false, false) => ("redis", named.label.clone()),
    };
    let login = named.login.as_ref().map_or_else(String::new, |(user, password)| {
        assert!(!password.is_empty(), "a user and no password");
        format!("{}:{}@", escaped(user.as_deref().unwrap_or_default(), b""), escaped(password, b""))
    });
    let database = if named.is_socket { "?db=" } else { "/" };
    let url = format!("{scheme}://{login}{place}{database}{}", named.database);
    assert_eq!(endpoint(&url).as_ref(), Ok(&named), "written anew as {url:?}");
}

/// Percent-encoded, all but letters, digits and these.
fn escaped(text: &str, kept: &[u8]) -> String {
    let one = |byte: u8| {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(one).collect()
}
