//! Waits, bounded, until a process that was just started answers.

use std::{
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use crate::{
    CommandError,
    resp::{Connection, Login},
};

/// A server opens its port within a few milliseconds; nothing tells another process when.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// A single question, so that one that gets no answer is asked again within the start's own bound.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) enum NotReady {
    Exited(ExitStatus),
    TimedOut(String),
    Unwatchable(std::io::Error),
}

pub(crate) fn await_ready(child: &mut Child, login: Login<'_>, timeout: Duration) -> Result<(), NotReady> {
    let deadline = Instant::now() + timeout;
    loop {
        // Asked before the process is looked at: the process that answered is still there then.
        let answer = probe(child.id(), login);
        if let Some(status) = child.try_wait().map_err(NotReady::Unwatchable)? {
            return Err(NotReady::Exited(status));
        }
        match answer {
            Ok(true) => return Ok(()),
            _ if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
            Ok(false) => return Err(NotReady::TimedOut("another server answers there".to_owned())),
            Err(error) => return Err(NotReady::TimedOut(error.to_string())),
        }
    }
}

/// Whether process `pid` answers. A server that sits on the same port already would say PONG just as well.
fn probe(pid: u32, login: Login<'_>) -> Result<bool, CommandError> {
    let mut connection = Connection::open(login, PROBE_TIMEOUT)?;
    connection.command(&["PING"])?; // refused while data is being loaded
    let info = connection.command(&["INFO", "server"])?;
    let expected = format!("process_id:{pid}");
    Ok(info.text().is_some_and(|text| text.lines().any(|line| line == expected)))
}
