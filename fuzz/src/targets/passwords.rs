//! A password in a URL, written by the rules or not: no message and no printed form may show it.

use leasehold::Client;
use leasehold::fuzzing::{endpoint, settings};

/// Part of every password. Letters and digits only, so that it is the same in every way to write it.
const SECRET: &str = "Zq7secretXw9";

/// Six lines: scheme with what follows it, user, what is before and after the secret in the password, host with what follows
/// it, and the password again, which is a rule of its own: escaped, or as it is.
pub(super) fn run(text: &str) {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (scheme, user, before, after, host) = (line(), line(), line(), line(), line());
    // What stands where no password stands may be shown.
    let elsewhere = [scheme, user, host].map(str::to_lowercase).concat();
    if shows(&elsewhere) || scheme.contains('@') || host.contains('@') {
        return;
    }
    let password = format!("{before}{SECRET}{after}");
    let url = format!("{scheme}://{user}:{password}@{host}");
    check(&endpoint(&url).map_or_else(|error| format!("{error} {error:?}"), |named| named.label), &url);
    let builder = Client::builder().endpoints([url.as_str(), "redis://b", "redis://c"]);
    check(&format!("{builder:?}"), &url);
    if let Err(error) = settings(&builder) {
        check(&format!("{error} {error:?}"), &url);
    }
    // A comma divides endpoints on a command line, whatever it stands in.
    if !url.contains(',') {
        check(&loadgen::fuzzing::shown(&url), &url);
        check(&loadgen::fuzzing::shown(&format!("{scheme}://{host}?password={SECRET}")), &url);
    }
}

fn shows(text: &str) -> bool {
    text.to_lowercase().contains(&SECRET.to_lowercase())
}

fn check(shown: &str, url: &str) {
    assert!(!shows(shown), "of {url:?} is shown {shown:?}");
}
