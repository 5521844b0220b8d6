//! Where replies begin in a stream of RESP 2 or 3.

/// Follows a stream from its first byte.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    state: State,
    /// Values still to come before the reply is whole; it is where this is empty.
    open: u64,
    /// The line read so far, without its end: a kind and a length.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Line,
    /// Bytes of a text still to come, its line end included.
    Text(u64),
}

/// A kind and a number; simple texts may be longer and are of no interest.
const LINE_MAX: usize = 24;

impl Replies {
    /// Takes the next bytes, and calls `begins` with the place in them of each reply that begins there.
    pub(crate) fn follow(&mut self, bytes: &[u8], mut begins: impl FnMut(usize)) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Text(left) => {
                    let here = left.min((bytes.len() - at) as u64);
                    at += usize::try_from(here).unwrap_or(usize::MAX);
                    self.state = if here == left { State::Line } else { State::Text(left - here) };
                    if here == left {
                        self.value_ends();
                    }
                }
                State::Line => {
                    if self.open == 0 && self.line.is_empty() {
                        begins(at);
                        self.open = 1;
                    }
                    at += 1;
                    match byte {
                        b'\n' => self.line_ends(),
                        _ if self.line.len() < LINE_MAX => self.line.push(byte),
                        _ => {}
                    }
                }
            }
        }
    }

    fn line_ends(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        let (kind, number) = text.split_first().map_or((b'+', None), |(kind, rest)| (*kind, number(rest)));
        match (kind, number) {
            (b'$' | b'=' | b'!', Some(length)) => self.state = State::Text(length.saturating_add(2)),
            (b'*' | b'~' | b'>', Some(members)) => self.members(members),
            (b'%', Some(pairs)) => self.members(pairs.saturating_mul(2)),
            // Attributes come before the value that they belong to.
            (b'|', Some(pairs)) => self.open = self.open.saturating_add(pairs.saturating_mul(2)),
            // A number, a simple text, or a null of any kind.
            _ => self.value_ends(),
        }
    }

    fn members(&mut self, members: u64) {
        self.open = self.open.saturating_add(members);
        self.value_ends();
    }

    fn value_ends(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One of each kind, nested and empty ones too.
    const STREAM: [&str; 9] = [
        "+OK\r\n",
        ":12\r\n",
        "$5\r\na\r\nbc\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*3\r\n:1\r\n*2\r\n+a\r\n$0\r\n\r\n:2\r\n",
        "-ERR a text that is longer than any number could be\r\n",
        "%1\r\n+key\r\n*-1\r\n",
        "|1\r\n+ttl\r\n:3\r\n_\r\n",
    ];

    fn beginnings(parts: &[&[u8]]) -> Vec<usize> {
        let (mut replies, mut found, mut before) = (Replies::default(), Vec::new(), 0);
        for part in parts {
            replies.follow(part, |at| found.push(before + at));
            before += part.len();
        }
        found
    }

    fn expected() -> Vec<usize> {
        STREAM.iter().scan(0, |at, reply| Some(std::mem::replace(at, *at + reply.len()))).collect()
    }

    #[test]
    fn every_reply_is_found_where_it_begins() {
        assert_eq!(beginnings(&[STREAM.concat().as_bytes()]), expected());
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut(cut in 0..120_usize, other in 0..120_usize) {
            let stream = STREAM.concat();
            let (first, second) = (cut.min(other).min(stream.len()), cut.max(other).min(stream.len()));
            let bytes = stream.as_bytes();
            prop_assert_eq!(beginnings(&[&bytes[..first], &bytes[first..second], &bytes[second..]]), expected());
        }
    }
}
