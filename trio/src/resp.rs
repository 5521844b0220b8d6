//! One command, one reply: RESP2 as far as a test needs it.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::CommandError;

/// More than any reply asked for here, less than what would hurt.
const BULK_BYTES_MAX: i64 = 64 * 1024 * 1024;
const ARRAY_ITEMS_MAX: i64 = 1024 * 1024;
const LINE_BYTES_MAX: u64 = 64 * 1024;
const DEPTH_MAX: u32 = 8;

/// What a server answered. Texts are read as UTF-8, with anything else replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple or a bulk string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// Nothing there.
    Nil,
    /// Several replies.
    Array(Vec<Self>),
    /// An error inside an array; an error on its own is [`CommandError::Refused`].
    Error(String),
}

impl Reply {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    /// Whether there was nothing.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Nil => f.write_str("(nil)"),
            Self::Error(message) => write!(f, "(error) {message}"),
            Self::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Where to connect, and how to be let in.
#[derive(Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) port: u16,
    pub(crate) password: Option<&'a str>,
}

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    endpoint: SocketAddr,
    timeout: Duration,
}

/// What goes wrong while a reply is read, before it is known whose it is.
enum ReadError {
    Io(io::Error),
    Protocol(&'static str),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Connection {
    /// `timeout` bounds the connecting, and each wait for bytes after it.
    pub(crate) fn open(login: Login<'_>, timeout: Duration) -> Result<Self, CommandError> {
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, login.port));
        let connect = || {
            let stream = TcpStream::connect_timeout(&endpoint, timeout)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            stream.set_nodelay(true)?;
            Ok(BufReader::new(stream))
        };
        let stream = connect().map_err(|source| CommandError::Connect { endpoint, source })?;
        let mut connection = Self { stream, endpoint, timeout };
        if let Some(password) = login.password {
            connection.command(&["AUTH", password])?;
        }
        Ok(connection)
    }

    pub(crate) fn command(&mut self, args: &[&str]) -> Result<Reply, CommandError> {
        self.send(args)?;
        let read = read_reply(&mut self.stream, 0);
        match read.map_err(|error| self.error(args, error))? {
            Reply::Error(message) => {
                Err(CommandError::Refused { endpoint: self.endpoint, command: name(args), message })
            }
            reply => Ok(reply),
        }
    }

    /// Sends a command whose reply nobody reads.
    pub(crate) fn send(&mut self, args: &[&str]) -> Result<(), CommandError> {
        self.stream.get_mut().write_all(&encode(args)).map_err(|error| self.error(args, error.into()))
    }

    fn error(&self, args: &[&str], error: ReadError) -> CommandError {
        let (endpoint, command) = (self.endpoint, name(args));
        match error {
            ReadError::Protocol(what) => CommandError::Protocol { endpoint, command, what },
            // A timeout of a socket is one or the other, depending on the system.
            ReadError::Io(source)
                if matches!(source.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                CommandError::Timeout { endpoint, command, timeout: self.timeout }
            }
            ReadError::Io(source) => CommandError::Broken { endpoint, command, source },
        }
    }
}

/// A command's name, without its arguments.
fn name(args: &[&str]) -> String {
    args.first().copied().unwrap_or_default().to_owned()
}

fn encode(args: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n{arg}\r\n", arg.len()).as_bytes());
    }
    bytes
}

fn read_reply(stream: &mut impl BufRead, depth: u32) -> Result<Reply, ReadError> {
    if depth > DEPTH_MAX {
        return Err(ReadError::Protocol("arrays nested too deep"));
    }
    let line = read_line(stream)?;
    let Some((kind, rest)) = line.split_at_checked(1) else {
        return Err(ReadError::Protocol("an empty line"));
    };
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => Ok(Reply::Integer(number(rest)?)),
        "$" => match number(rest)? {
            -1 => Ok(Reply::Nil),
            length @ 0..=BULK_BYTES_MAX => read_bulk(stream, length.unsigned_abs()),
            _ => Err(ReadError::Protocol("a string of an impossible length")),
        },
        "*" => match number(rest)? {
            -1 => Ok(Reply::Nil),
            length @ 0..=ARRAY_ITEMS_MAX => {
                (0..length).map(|_| read_reply(stream, depth + 1)).collect::<Result<_, _>>().map(Reply::Array)
            }
            _ => Err(ReadError::Protocol("an array of an impossible length")),
        },
        _ => Err(ReadError::Protocol("an unknown type of reply")),
    }
}

fn number(text: &str) -> Result<i64, ReadError> {
    text.parse().map_err(|_| ReadError::Protocol("a number that is none"))
}

fn read_line(stream: &mut impl BufRead) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None if bytes.is_empty() => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        None => Err(ReadError::Protocol("a line without an end")),
    }
}

fn read_bulk(stream: &mut impl BufRead, length: u64) -> Result<Reply, ReadError> {
    let mut bytes = Vec::new();
    stream.take(length + 2).read_to_end(&mut bytes)?;
    match bytes.strip_suffix(b"\r\n") {
        Some(text) if text.len() as u64 == length => {
            Ok(Reply::Text(String::from_utf8_lossy(text).into_owned()))
        }
        _ => Err(ReadError::Protocol("a string shorter than announced")),
    }
}

/// Reads one reply from these bytes, as from a server; `None` if they are none. A way in for fuzzing.
#[doc(hidden)]
#[must_use]
pub fn reply_in(mut bytes: &[u8]) -> Option<Reply> {
    read_reply(&mut bytes, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &str) -> Result<Reply, &'static str> {
        read_reply(&mut bytes.as_bytes(), 0).map_err(|error| match error {
            ReadError::Io(_) => "io",
            ReadError::Protocol(what) => what,
        })
    }

    #[test]
    fn reads_every_type() {
        let reply = parse("*6\r\n+OK\r\n:-7\r\n$5\r\na\r\nbc\r\n$-1\r\n-ERR no\r\n*-1\r\n").unwrap();
        let expected = [
            Reply::Text("OK".into()),
            Reply::Integer(-7),
            Reply::Text("a\r\nbc".into()),
            Reply::Nil,
            Reply::Error("ERR no".into()),
            Reply::Nil,
        ];
        assert_eq!(reply.to_string(), "[OK, -7, a\r\nbc, (nil), (error) ERR no, (nil)]");
        assert_eq!(reply, Reply::Array(expected.into()));
    }

    #[test]
    fn refuses_what_is_no_reply() {
        for bytes in
            ["", "+cut", "$5\r\nabc\r\n", "$-2\r\n", "*1073741824\r\n", ":seven\r\n", "HTTP/1.1\r\n", "\r\n"]
        {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse(&"*1\r\n".repeat(10_000)).is_err());
    }

    #[test]
    fn encodes_arguments_by_their_bytes() {
        assert_eq!(encode(&["SET", "k", "é\n"]), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\né\n\r\n".as_bytes());
    }
}
