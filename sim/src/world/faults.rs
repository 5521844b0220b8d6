//! Faults as they begin and end.

use super::World;
use crate::plan::{Fault, FaultKind};
use crate::time::NS_PER_MS;

impl World<'_> {
    pub(super) fn handle_fault(&mut self, place: usize, begins: bool) {
        let fault = self.plan.faults[place];
        self.note(|_| format!("fault {} {}", if begins { "begins:" } else { "is over:" }, fault.kind));
        if begins {
            self.active.push(place);
            self.trouble(fault, true);
            self.begin_fault(fault);
        } else {
            self.active.retain(|&active| active != place);
            self.end_fault(fault);
            self.trouble(fault, false);
        }
    }

    fn begin_fault(&mut self, fault: Fault) {
        let now = self.now;
        match fault.kind {
            FaultKind::PauseHost { host } => self.hosts[host].asleep += 1,
            FaultKind::Freeze { host } => {
                self.hosts[host].asleep += 1;
                self.hosts[host].frozen_since.get_or_insert(now);
            }
            FaultKind::CrashHost { host } => {
                self.hosts[host].dead += 1;
                if self.hosts[host].dead == 1 {
                    self.kill_host(host);
                }
            }
            FaultKind::HangServer { endpoint } => self.servers[endpoint].hung += 1,
            FaultKind::CrashServer { endpoint, .. } => {
                self.servers[endpoint].down += 1;
                if self.servers[endpoint].down == 1 {
                    self.servers[endpoint].die();
                    self.lose_connections(endpoint);
                }
            }
            FaultKind::Flush { endpoint } => self.servers[endpoint].flush(),
            FaultKind::Failover { endpoint, lag_ms, within } => {
                if self.servers[endpoint].down == 0 {
                    self.servers[endpoint].fail_over(now, lag_ms, within);
                    if !within {
                        self.lose_connections(endpoint);
                    }
                }
            }
            FaultKind::Break { host, endpoint, silent } => {
                if self.hosts[host].dead == 0 {
                    self.break_link(host, endpoint, silent);
                    self.break_bell(host, endpoint);
                }
            }
            FaultKind::StepBack { endpoint, ms } => {
                self.servers[endpoint].step_ms(now, -i64::try_from(ms).unwrap_or(0));
            }
            FaultKind::StepForward { endpoint, ms } => {
                self.servers[endpoint].step_ms(now, i64::try_from(ms).unwrap_or(0));
            }
            FaultKind::StepWall { host, ms } => self.hosts[host].wall_offset_us += ms * 1_000,
            FaultKind::RunOff { endpoint, rate_ppm } => self.servers[endpoint].set_rate(now, Some(rate_ppm)),
            FaultKind::Partition { .. } | FaultKind::Slow { .. } => {}
            FaultKind::Stall { host, endpoint } => {
                // Half of the time the client connects anew meanwhile; what is inside is carried out all the same.
                if self.hosts[host].dice.percent(50) && self.hosts[host].dead == 0 {
                    self.break_link(host, endpoint, false);
                }
            }
        }
    }

    fn end_fault(&mut self, fault: Fault) {
        let now = self.now;
        match fault.kind {
            FaultKind::PauseHost { host } => self.end_pause(host),
            FaultKind::Freeze { host } => {
                let freezes = |&place: &usize| self.plan.faults[place].kind == FaultKind::Freeze { host };
                if !self.active.iter().any(freezes)
                    && let Some(since) = self.hosts[host].frozen_since.take()
                {
                    self.hosts[host].clock.stand_still(since, now);
                }
                self.end_pause(host);
            }
            FaultKind::CrashHost { host } => {
                self.hosts[host].dead -= 1;
                if self.hosts[host].dead == 0 {
                    self.start_host(host);
                }
            }
            FaultKind::HangServer { endpoint } => {
                self.servers[endpoint].hung -= 1;
                self.serve_inbox(endpoint);
            }
            FaultKind::CrashServer { endpoint, data } => {
                self.servers[endpoint].down -= 1;
                if self.servers[endpoint].down == 0 {
                    self.servers[endpoint].start(now, data);
                }
            }
            FaultKind::RunOff { endpoint, .. } => self.servers[endpoint].set_rate(now, None),
            _ => {}
        }
    }

    fn end_pause(&mut self, host: usize) {
        self.hosts[host].asleep -= 1;
        if self.hosts[host].runs() {
            self.wake_host(host);
        }
    }

    /// What arrived while a server stood still is carried out now.
    fn serve_inbox(&mut self, endpoint: usize) {
        if self.servers[endpoint].hung > 0 {
            return;
        }
        for message in std::mem::take(&mut self.inboxes[endpoint]) {
            self.handle_arrival(message);
        }
    }

    /// A process that is gone answers nobody. Some hosts learn it, others hear nothing more.
    fn lose_connections(&mut self, endpoint: usize) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].dead == 0 && self.hosts[host].dice.percent(70) {
                self.break_link(host, endpoint, false);
            }
            self.break_bell(host, endpoint);
        }
    }

    /// Counts who is touched, so that the referee knows of whom nothing can be asked.
    fn trouble(&mut self, fault: Fault, begins: bool) {
        let change = |troubles: &mut u32| if begins { *troubles += 1 } else { *troubles -= 1 };
        let delays_ns = self.plan.network.delay_us_max() * 1_000;
        let extra_ns = match fault.kind {
            FaultKind::Slow { extra, .. } => extra.us_max() * 1_000,
            FaultKind::PauseHost { .. } | FaultKind::Freeze { .. } => 4 * NS_PER_MS,
            _ => 0,
        };
        let well_at = self.now.plus_ns(delays_ns + extra_ns);
        for host in 0..self.hosts.len() {
            if touches_host(fault.kind, host) {
                let this = &mut self.hosts[host];
                change(&mut this.troubles);
                this.well_since = this.well_since.max(well_at);
            }
            for endpoint in 0..self.plan.endpoints {
                if touches_path(fault.kind, host, endpoint) {
                    let path = &mut self.paths[host][endpoint];
                    change(&mut path.troubles);
                    path.disturb(well_at);
                }
            }
        }
    }
}

/// Whether the host itself does not run as it should.
fn touches_host(kind: FaultKind, place: usize) -> bool {
    matches!(kind, FaultKind::PauseHost { host } | FaultKind::CrashHost { host } | FaultKind::Freeze { host } if host == place)
}

fn touches_path(kind: FaultKind, from: usize, to: usize) -> bool {
    match kind {
        FaultKind::PauseHost { host } | FaultKind::CrashHost { host } | FaultKind::Freeze { host } => {
            host == from
        }
        FaultKind::HangServer { endpoint }
        | FaultKind::CrashServer { endpoint, .. }
        | FaultKind::Flush { endpoint }
        | FaultKind::Failover { endpoint, .. }
        | FaultKind::StepBack { endpoint, .. }
        | FaultKind::StepForward { endpoint, .. }
        | FaultKind::RunOff { endpoint, .. } => endpoint == to,
        FaultKind::Slow { hosts, endpoint, .. } => hosts & (1 << from) != 0 && endpoint == to,
        FaultKind::Partition { hosts, endpoints, .. } => {
            hosts & (1 << from) != 0 && endpoints & (1 << to) != 0
        }
        FaultKind::Stall { host, endpoint } | FaultKind::Break { host, endpoint, .. } => {
            host == from && endpoint == to
        }
        FaultKind::StepWall { .. } => false,
    }
}
