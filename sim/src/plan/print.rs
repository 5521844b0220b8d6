//! A plan as text: the scenario of a seed.

use std::fmt;

use super::Plan;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, endpoints, names, length, fresh, assumptions, .. } = self;
        writeln!(
            f,
            "seed {seed}: {endpoints} endpoints, {names} names, {length} s, assumptions {assumptions:?}, declared fresh: {fresh}"
        )?;
        writeln!(f, "  {:?}", self.terms)?;
        writeln!(f, "  {:?}", self.work)?;
        writeln!(f, "  {:?}", self.network)?;
        for (place, host) in self.hosts.iter().enumerate() {
            writeln!(f, "  host {place}: {host:?}")?;
        }
        for (place, server) in self.servers.iter().enumerate() {
            writeln!(f, "  server {place}: {server:?}")?;
        }
        for fault in &self.faults {
            writeln!(f, "  {} to {}: {}", fault.from, fault.until, fault.kind)?;
        }
        Ok(())
    }
}
