//! What the way through the proxy costs while nothing is wrong, measured before each run.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::now_ns;
use crate::measure::new_histogram;

const ROUND_TRIPS: u32 = 400;
const PATIENCE: Duration = Duration::from_secs(2);

/// Round trips of PING to an idle server: straight, and through the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overhead {
    pub(crate) straight_p50_ns: u64,
    pub(crate) proxied_p50_ns: u64,
}

impl Overhead {
    /// What the proxy adds to the median.
    pub(crate) fn added_p50_ns(&self) -> u64 {
        self.proxied_p50_ns.saturating_sub(self.straight_p50_ns)
    }
}

impl fmt::Display for Overhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |ns: u64| ns as f64 / 1e3;
        write!(
            f,
            "the proxy adds {:.1} us at p50 to a round trip ({:.1} us straight, {:.1} us through it)",
            us(self.added_p50_ns()),
            us(self.straight_p50_ns),
            us(self.proxied_p50_ns)
        )
    }
}

/// Blocks for some tens of milliseconds. Both ways take turns, so that the machine's moods meet both alike.
pub(crate) fn measure(straight: &str, proxied: SocketAddr) -> io::Result<Overhead> {
    let mut ways = [Way::open(TcpStream::connect(straight)?)?, Way::open(TcpStream::connect(proxied)?)?];
    let mut times_ns = [new_histogram(), new_histogram()];
    for _ in 0..ROUND_TRIPS {
        for (way, times_ns) in ways.iter_mut().zip(&mut times_ns) {
            times_ns.saturating_record(way.ping()?);
        }
    }
    let [straight, proxied] = times_ns.map(|times_ns| times_ns.value_at_quantile(0.5));
    Ok(Overhead { straight_p50_ns: straight, proxied_p50_ns: proxied })
}

struct Way(TcpStream);

impl Way {
    fn open(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// A server that wants a password first refuses in one line as well.
    fn ping(&mut self) -> io::Result<u64> {
        let sent_ns = now_ns();
        self.0.write_all(b"PING\r\n")?;
        let mut reply = [0; 256];
        loop {
            let read = self.0.read(&mut reply)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply[..read].contains(&b'\n') {
                return Ok(now_ns().saturating_sub(sent_ns));
            }
        }
    }
}
