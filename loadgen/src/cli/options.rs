//! Options that several commands take: the load, where the servers are, who is paused, how it is watched.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use crate::scenario::{Arrivals, Profile, Skew, duration, rate};
use crate::shards::{Shard, StartAt};

/// A scenario, and what is to be different from it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Load, where it is not to be the scenario's")]
pub(crate) struct LoadArgs {
    /// A scenario's file, or the name of one that ships (`loadgen scenarios` lists them) [default: calm]
    #[arg(long, value_name = "FILE|NAME", help_heading = None)]
    pub(crate) scenario: Option<String>,
    /// Nodes, each with its own client and connections [calm: 40]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) nodes: Option<u32>,
    /// Acquisitions due per second, over all nodes [calm: 2000]
    #[arg(long, value_name = "PER_S", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How the rate goes over the measured part: constant, ramp:RATE, step:RATE,STEPS, spike:RATE,AT,LENGTH
    #[arg(long, value_name = "SHAPE")]
    pub(crate) profile: Option<Profile>,
    /// Length of the measured part [calm: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Load before the measured part [calm: 2s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) warm_up: Option<Duration>,
    /// Load after the measured part [calm: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) cool_down: Option<Duration>,
    /// How many names there are to lock [calm: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) keys: Option<u32>,
    /// How popular they are: uniform, zipf:S (rank to the power of -S), or hot:SHARE (one key takes that share)
    #[arg(long, value_name = "LAW")]
    pub(crate) skew: Option<Skew>,
    /// How long a lease is held, between two writes to the protected resource [calm: 2ms]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) hold: Option<Duration>,
    /// TTL of the leases [calm: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// How long an acquisition waits for a lock that is held [calm: 2s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    /// How long a node rests after each release; with it, a node makes one acquisition after the other
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) think: Option<Duration>,
    /// How arrivals are spread [calm: poisson]
    #[arg(long, value_enum)]
    pub(crate) arrivals: Option<Arrivals>,
}

#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ServerArgs {
    /// Servers that run already, as `redis://[user[:password]@]host[:port]`; setnx uses the first one only, postgres takes
    /// one `postgres://user@host/database`, etcd members as `http://host:port`
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub(crate) endpoints: Vec<String>,
    /// Start three servers on free ports, and end them with the run (the default)
    #[arg(long)]
    pub(crate) spawn: bool,
    /// Endpoints in this program's memory: nothing to install, and every node in this process
    #[arg(long)]
    pub(crate) memory: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PauseArgs {
    /// Stop this many of the nodes now and then, as a garbage collector would; each becomes a process of its own
    #[arg(long, value_name = "N", requires_all = ["pause_every", "pause_for"], value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) pause_nodes: Option<u32>,
    /// From the start of one pause of a node to the start of its next
    #[arg(long, value_name = "TIME", requires = "pause_nodes", value_parser = duration)]
    pub(crate) pause_every: Option<Duration>,
    /// How long each pause lasts
    #[arg(long, value_name = "TIME", requires = "pause_nodes", value_parser = duration)]
    pub(crate) pause_for: Option<Duration>,
}

/// How runs are watched while they go on.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WatchArgs {
    /// Show nothing while it runs; warnings and results are still told
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Serve figures for Prometheus at /metrics while it runs; a port alone is one of 127.0.0.1, and 0 a free one
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = metrics_address)]
    pub(crate) metrics: Option<SocketAddr>,
}

/// One machine's share of a run that several make together.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SharingArgs {
    /// Play this machine's share of the nodes: 2/4 is the second of four; `loadgen merge` puts the shards together
    #[arg(long, value_name = "N/OF", requires_all = ["start_at", "endpoints"])]
    pub(crate) shard: Option<Shard>,
    /// When all shards begin, by the endpoints' clocks: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", requires = "shard")]
    pub(crate) start_at: Option<StartAt>,
}

/// Reachable from elsewhere only for who asks for it.
fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let address = port.or_else(|_| text.parse());
    address.map_err(|_| "expected a port such as 9100, or an address such as 127.0.0.1:9100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_served_to_this_machine_alone_unless_another_address_is_named() {
        let address = |text| metrics_address(text).map(|address| address.to_string());
        assert_eq!(address("9100").as_deref(), Ok("127.0.0.1:9100"));
        assert_eq!(address("0.0.0.0:9100").as_deref(), Ok("0.0.0.0:9100"));
        assert_eq!(address("[::1]:0").as_deref(), Ok("[::1]:0"));
        assert!(address("here").is_err() && address(":9100").is_err() && address("70000").is_err());
    }
}
