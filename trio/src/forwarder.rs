//! A way to a server that can be made slow, stand still, forget its connections, or lead elsewhere.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// More than one batch of requests, or the replies to it.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks under way in one direction of one connection; beyond it the sender waits, as on a real network.
const CHUNKS_MAX: usize = 1_024;
/// A target on loopback takes a connection at once, or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pumps only copy bytes.
const STACK_BYTES: usize = 128 * 1024;

/// Passes connections to a loopback port on to another, byte by byte. Dropping it closes them.
///
/// ```no_run
/// use leasehold_trio::{Forwarder, Server, ServerOptions};
/// use std::time::Duration;
///
/// let server = Server::start(ServerOptions::default())?;
/// let way = Forwarder::start(server.port())?;
/// println!("redis://127.0.0.1:{}", way.port());
/// way.set_delay(Duration::from_millis(300)); // every answer comes so much later
/// way.lose_connections(); // half-open: nothing comes through any more, and neither end is told
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    control: Mutex<Control>,
    /// Told when `control` changes.
    changed: Condvar,
}

#[derive(Debug)]
struct Control {
    target: u16,
    delay: Duration,
    stalled: bool,
    closed: bool,
    links: Vec<Arc<Link>>,
}

/// One connection that is passed on.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// What comes from either end is read, and thrown away.
    lost: AtomicBool,
}

/// Bytes under way, and when they arrive; `None` at the end of the stream.
type Chunk = (Instant, Option<Vec<u8>>);

impl Forwarder {
    /// Listens on a free loopback port, and passes what connects there on to `target`, a loopback port as well.
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start(target: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let control =
            Control { target, delay: Duration::ZERO, stalled: false, closed: false, links: Vec::new() };
        let shared = Arc::new(Shared { control: Mutex::new(control), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        spawn("forwarder", move || accept_all(&listener, &accepting))?;
        Ok(Self { port, shared })
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Passes connections that are made from now on to another port.
    pub fn set_target(&self, target: u16) {
        self.change(|control| control.target = target);
    }

    /// Makes each round trip so much longer, half of it in either direction. What is under way already is not slowed.
    pub fn set_delay(&self, delay: Duration) {
        self.change(|control| control.delay = delay);
    }

    /// Lets nothing through, or everything again, what was held back first.
    pub fn set_stalled(&self, stalled: bool) {
        self.change(|control| control.stalled = stalled);
    }

    /// Makes the connections there are half-open: neither end is told, and nothing comes through any more. New ones work.
    pub fn lose_connections(&self) {
        self.change(|control| control.links.iter().for_each(|link| link.lost.store(true, Ordering::Release)));
    }

    /// Closes the connections there are. New ones work.
    pub fn close_connections(&self) {
        self.change(|control| control.links.drain(..).for_each(|link| link.close()));
    }

    fn change(&self, change: impl FnOnce(&mut Control)) {
        change(&mut self.shared.control());
        self.shared.changed.notify_all();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.change(|control| control.closed = true);
        self.close_connections();
        // Whoever accepts looks up at the next connection. That there is none to be had means that it has ended.
        drop(TcpStream::connect_timeout(&loopback(self.port), CONNECT_TIMEOUT));
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a moment has come and nothing stands still. `false` at the end of the forwarder.
    fn wait(&self, due: Instant) -> bool {
        let mut control = self.control();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if control.closed {
                return false;
            }
            control = if control.stalled {
                self.changed.wait(control).unwrap_or_else(PoisonError::into_inner)
            } else if left > Duration::ZERO {
                self.changed.wait_timeout(control, left).unwrap_or_else(PoisonError::into_inner).0
            } else {
                return true;
            };
        }
    }
}

impl Link {
    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    fn close(&self) {
        for stream in [&self.client, &self.server] {
            // An error says that it is closed already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.control().closed {
            return;
        }
        // A connection that cannot be passed on is closed, which is what its client has to be told.
        if let Ok(client) = client {
            drop(pass_on(client, shared));
        }
    }
}

fn pass_on(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let target = shared.control().target;
    let server = TcpStream::connect_timeout(&loopback(target), CONNECT_TIMEOUT)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ways = [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)];
    let link = Arc::new(Link { client, server, lost: AtomicBool::new(false) });
    shared.control().links.push(Arc::clone(&link));
    for (from, to) in ways {
        let (sender, receiver) = sync_channel(CHUNKS_MAX);
        let (reading, writing) = (Arc::clone(shared), Arc::clone(shared));
        let link = Arc::clone(&link);
        spawn("forwarder-read", move || read_all(from, &sender, &reading))?;
        spawn("forwarder-write", move || write_all(to, &receiver, &link, &writing))?;
    }
    Ok(())
}

fn read_all(mut from: TcpStream, chunks: &SyncSender<Chunk>, shared: &Shared) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) | Err(_) => None,
            Ok(length) => Some(buffer[..length].to_vec()),
        };
        let (due, ended) = (Instant::now() + shared.control().delay / 2, bytes.is_none());
        if chunks.send((due, bytes)).is_err() || ended {
            return;
        }
    }
}

fn write_all(mut to: TcpStream, chunks: &Receiver<Chunk>, link: &Arc<Link>, shared: &Shared) {
    while let Ok((due, bytes)) = chunks.recv() {
        if !shared.wait(due) {
            break;
        }
        // Of a connection that is lost neither end hears anything, not even that the other one has gone.
        if link.is_lost() {
            continue;
        }
        let written = bytes.map(|bytes| to.write_all(&bytes));
        if !matches!(written, Some(Ok(()))) {
            link.close();
            break;
        }
    }
    shared.control().links.retain(|other| link.is_lost() || !Arc::ptr_eq(other, link));
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(work).map(drop)
}
