//! Where a server is, as a URL names it.

use std::path::PathBuf;

use url::{Host, Url};

use super::Credentials;
use crate::error::ConfigError;

const DEFAULT_PORT: u16 = 6379;

/// A server's address.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) database: u8,
    /// The user and password in the URL, if there are any.
    pub(crate) login: Option<Credentials>,
}

/// Where it listens.
#[derive(Clone)]
pub(crate) enum Place {
    /// `host` is a name or an address, an IPv6 one without brackets.
    Tcp { host: String, port: u16, tls: bool },
    /// A socket in the file system.
    Unix { path: PathBuf },
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let address = match text.split_once("://") {
            None => Err("it names no scheme".to_owned()),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "redis" | "valkey" => tcp(text, false),
                "rediss" | "valkeys" => tcp(text, true),
                "unix" | "redis+unix" | "valkey+unix" => unix(rest),
                other if other.contains("sentinel") || other.contains("cluster") => {
                    Err("an endpoint is one server at one address, no Sentinel and no cluster; name three independent servers"
                        .to_owned())
                }
                _ => Err("the scheme must be redis, rediss or unix".to_owned()),
            },
        };
        // What cannot be used is not repeated whole: it may hold a password.
        address.map_err(|reason| ConfigError::Url { endpoint: redact(text), reason })
    }

    /// Host and port, or the path of the socket.
    pub(crate) fn label(&self) -> String {
        match &self.place {
            Place::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp { host, port, .. } => format!("{host}:{port}"),
            Place::Unix { path } => path.display().to_string(),
        }
    }
}

/// `redis[s]://[[user]:password@]host[:port][/database]`
fn tcp(text: &str, tls: bool) -> Result<Address, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let host = match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        // Upper and lower case are one host; a server named in both would vote twice.
        Some(host) if !host.to_string().is_empty() => host.to_string().to_ascii_lowercase(),
        _ => return Err("it names no host".to_owned()),
    };
    if let Some((option, _)) = url.query_pairs().next() {
        return Err(match &*option {
            "db" => "the database comes after the host: /N".to_owned(),
            _ => format!("{} is not known; options are set on the builder", named(&option, text)),
        });
    }
    if url.fragment().is_some() {
        return Err("a # in a password is written %23".to_owned());
    }
    let database = match url.path().trim_start_matches('/') {
        "" => 0,
        number => number.parse().map_err(|_| "after the host comes a database number, 0 to 255")?,
    };
    Ok(Address {
        place: Place::Tcp { host, port: url.port().unwrap_or(DEFAULT_PORT), tls },
        database,
        login: login(url.username(), url.password().unwrap_or_default())?,
    })
}

/// What follows `unix://`: `[[user]:password@][localhost]/path[?db=N]`. Not a URL to the letter, which has no user without
/// a host.
fn unix(rest: &str) -> Result<Address, String> {
    if rest.contains('#') {
        return Err("a # is written %23".to_owned());
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let slash = place.find('/').ok_or("it names no path")?;
    let (authority, path) = place.split_at(slash);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !host.is_empty() && host != "localhost" {
        return Err("the path of a socket is absolute: unix:///run/redis.sock".to_owned());
    }
    // What looks like the end of a password would be shown as a part of the path.
    if path.contains('@') && place.rsplit_once('@').is_some_and(|(before, _)| before.contains(':')) {
        return Err("user and password come before the path; in all of them @ is written %40, : is %3A, and in a password / is %2F".to_owned());
    }
    let path = decoded(path)?;
    if path == "/" {
        return Err("it names no path".to_owned());
    }
    let mut database = 0;
    for (option, value) in url::form_urlencoded::parse(query.as_bytes()) {
        database = match &*option {
            "db" => value.parse().map_err(|_| "db is a database number, 0 to 255")?,
            _ => return Err(format!("{} is not known; a socket has db", named(&option, rest))),
        };
    }
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    Ok(Address { place: Place::Unix { path: path.into() }, database, login: login(username, password)? })
}

/// The user and password of a URL.
fn login(username: &str, password: &str) -> Result<Option<Credentials>, String> {
    match (decoded(username)?, decoded(password)?) {
        (username, password) if username.is_empty() && password.is_empty() => Ok(None),
        // It would be let in as somebody else: the user of those who name none.
        (_, password) if password.is_empty() => Err("it names a user and no password".to_owned()),
        (username, password) if username.is_empty() => Ok(Some(Credentials::password(password))),
        (username, password) => Ok(Some(Credentials::new(username, password))),
    }
}

/// What a message calls an option. Its name only, because what follows it may be a password; and nothing of it where an `@`
/// follows, because then it may be the end of one, with a `?` in it that is not escaped.
fn named(option: &str, url: &str) -> String {
    let is_password = url.split_once('?').is_some_and(|(_, query)| query.contains('@'));
    if is_password {
        "what follows the ? (in a password it is written %3F)".to_owned()
    } else {
        format!("the option {option:?}")
    }
}

fn decoded(part: &str) -> Result<String, String> {
    let text = percent_encoding::percent_decode_str(part).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| "user, password and path must be UTF-8, percent-encoded".to_owned())
}

/// A URL without what may be a password: what stands before an `@`, and, where there is none, what stands after a colon and
/// is not a port; and whatever follows a `?` or `#`.
fn redact(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    match rest.rfind('@') {
        // The end of a password, or part of one that is an option?
        Some(at) if end < at => format!("{scheme}…"),
        Some(at) => format!("…@{}", &rest[at + 1..end]),
        None => match rest[..end].split_once(':') {
            Some((host, port)) if host.is_empty() || !is_port(port) => format!("{scheme}{host}:…"),
            _ => format!("{scheme}{}", &rest[..end]),
        },
    }
}

/// Whether a port, and perhaps a path, follows.
fn is_port(text: &str) -> bool {
    let port = text.split('/').next().unwrap_or_default();
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}
