//! A fault proxy: between nodes and endpoints, a listener for each group of nodes and each endpoint, on a thread of its
//! own. What it does to a link comes from a scenario, what it draws from the seed; it needs no root.
//!
//! # Layout
//!
//! - `groups`: which nodes go through which listeners.
//! - `conditions`: what a link suffers now, put together from the faults that are active.
//! - `link`: takes connections and joins them. `pump`: one direction of one of them.
//! - `replies`: where replies begin in a stream of RESP.
//! - `overhead`: what the way through the proxy costs while nothing is wrong.

mod conditions;
mod groups;
mod link;
mod overhead;
mod pump;
pub(crate) mod replies;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

use tokio::sync::{oneshot, watch};

use conditions::{Ailment, Conditions};
pub(crate) use groups::groups;
pub(crate) use overhead::measure;

use crate::locked;
use crate::scenario::{Effect, Way};

/// The proxy of a run. Dropping it ends its thread and every connection through it.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// By group, then by endpoint.
    links: Vec<Vec<Link>>,
    ailments: Mutex<Vec<Active>>,
    next_id: Mutex<u64>,
    _end: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Link {
    address: SocketAddr,
    conditions: watch::Sender<Conditions>,
}

/// A fault that lasts.
#[derive(Debug)]
struct Active {
    id: u64,
    groups: Vec<usize>,
    endpoints: Vec<usize>,
    ailment: Ailment,
}

/// A fault of the proxy's that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AilmentId(u64);

impl Proxy {
    /// Listens for so many groups of nodes in front of these endpoints, each `host:port`. Where they do not speak `resp`,
    /// whatever comes at once is one reply.
    pub(crate) fn start(groups: usize, endpoints: &[String], resp: bool, seed: u64) -> io::Result<Self> {
        let (mut links, mut listeners) = (Vec::new(), Vec::new());
        for group in 0..groups {
            let mut row = Vec::new();
            for (index, endpoint) in endpoints.iter().enumerate() {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                listener.set_nonblocking(true)?;
                let (conditions, watched) = watch::channel(Conditions::default());
                row.push(Link { address: listener.local_addr()?, conditions });
                let stream = (group * endpoints.len() + index) as u64;
                listeners.push(link::Listener {
                    listener,
                    endpoint: endpoint.clone(),
                    resp,
                    conditions: watched,
                    seed,
                    stream,
                });
            }
            links.push(row);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(async move {
                for listener in listeners {
                    tokio::spawn(listener.serve());
                }
                // Ends when the proxy is dropped; nothing is ever sent.
                ended.await.unwrap_or_default();
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { links, ailments: Mutex::default(), next_id: Mutex::new(0), _end: end })
    }

    /// Where a group finds an endpoint.
    pub(crate) fn address(&self, group: usize, endpoint: usize) -> Option<SocketAddr> {
        Some(self.links.get(group)?.get(endpoint)?.address)
    }

    /// A fault begins on the links between these groups and these endpoints.
    pub(crate) fn begin(&self, groups: &[usize], endpoints: &[usize], way: Way, effect: Effect) -> AilmentId {
        let id = {
            let mut next = locked(&self.next_id);
            *next += 1;
            *next
        };
        let ailment = Ailment { id, way, effect };
        locked(&self.ailments).push(Active {
            id,
            groups: groups.into(),
            endpoints: endpoints.into(),
            ailment,
        });
        self.update(groups, endpoints);
        AilmentId(id)
    }

    /// A fault is over.
    pub(crate) fn end(&self, id: AilmentId) {
        let over: Vec<Active> = locked(&self.ailments).extract_if(.., |active| active.id == id.0).collect();
        for active in over {
            self.update(&active.groups, &active.endpoints);
        }
    }

    /// All faults are over.
    pub(crate) fn end_all(&self) {
        locked(&self.ailments).clear();
        for link in self.links.iter().flatten() {
            link.conditions.send_replace(Conditions::default());
        }
    }

    fn update(&self, groups: &[usize], endpoints: &[usize]) {
        let ailments = locked(&self.ailments);
        for &group in groups {
            for &endpoint in endpoints {
                let Some(link) = self.links.get(group).and_then(|row| row.get(endpoint)) else { continue };
                let here = ailments
                    .iter()
                    .filter(|active| active.groups.contains(&group) && active.endpoints.contains(&endpoint));
                link.conditions.send_replace(Conditions::of(here.map(|active| active.ailment)));
            }
        }
    }
}

/// Address and port of a server's URL, as the proxy dials it.
pub(crate) fn host_and_port(url: &str, default_port: u16) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { host.to_owned() } else { format!("{host}:{default_port}") }
}

/// The URL with another address and port.
pub(crate) fn redirected(url: &str, to: SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
    let tail = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let at = if user.is_empty() { "" } else { "@" };
    format!("{scheme}://{user}{at}{to}{tail}")
}
