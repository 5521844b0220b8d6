//! Corners of the swarm: where to draw plans from if one rule is to matter. A bias says only which faults, sizes and times are
//! drawn, never what must come of them; within it a seed draws as anywhere.

use super::{Assumptions, Data, Direction, Fault, FaultKind, HostPlan, NetworkPlan, Plan, ServerPlan, Terms};
use crate::random::{Dice, Stream};
use crate::time::{At, NS_PER_MS};

/// How far a clock may be from true time and exclusion still hold.
const RATE_PPM: i64 = 4_900;

/// Where to draw plans from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// One of two hosts asks an endpoint whose answer comes very late, while the other holds the lock there, is cut off
    /// from it, and must renew by the third, which forgets. TTLs differ much. So an endpoint that counts before its
    /// quarantine is over completes two majorities.
    VotesForgotten,
    /// The shortest TTL, and acquirers' machines that stand still for as long: their locks run out before they have settled
    /// their tokens. Servers' clocks are far apart, so that nearly every token must be raised, and requests get lost.
    LocksRunOut,
    /// Answers to a host are held up for part of a TTL, and when they come, nothing that it sends arrives any more.
    AnswersHeldUp,
    /// Holders' clocks run as slow as they may, and servers' as fast; long TTLs, leases that nobody renews, others in line.
    ClocksApart,
    /// Hosts that win many times a millisecond, and stand still for longer than the TTL again and again.
    WinnersAsleep,
    /// All endpoints are flushed several times within a few seconds; TTLs are long, requests rare.
    FlushedAgain,
    /// Holders die, others wait in line for long, and hardly anybody else asks.
    HoldersDie,
    /// What endpoints say to a host is held up for part of a TTL while it waits in line, and what it asks then, or soon after, is
    /// lost. Nobody renews.
    HandedOverUnheard,
    /// Endpoints restart with all their data while many wait in line; TTLs are long.
    RestartedInLine,
}

impl Plan {
    /// The plan of a seed, drawn from everywhere or from one corner.
    #[must_use]
    pub fn draw_from(bias: Option<Bias>, seed: u64) -> Self {
        let mut plan = Self::draw(seed);
        if let Some(bias) = bias {
            let mut dice = Dice::new(seed, Stream::Bias, 0);
            plan.be_plain();
            match bias {
                Bias::VotesForgotten => votes_forgotten(&mut plan, &mut dice),
                Bias::LocksRunOut => locks_run_out(&mut plan, &mut dice),
                Bias::AnswersHeldUp => answers_held_up(&mut plan, &mut dice),
                Bias::ClocksApart => clocks_apart(&mut plan, &mut dice),
                Bias::WinnersAsleep => winners_asleep(&mut plan, &mut dice),
                Bias::FlushedAgain => flushed_again(&mut plan, &mut dice),
                Bias::HoldersDie => holders_die(&mut plan, &mut dice),
                Bias::HandedOverUnheard => handed_over_unheard(&mut plan, &mut dice),
                Bias::RestartedInLine => restarted_in_line(&mut plan, &mut dice),
            }
        }
        plan
    }

    /// Three endpoints, three hosts and one name; nothing goes wrong, and holders do nothing in particular. Clocks are as drawn.
    fn be_plain(&mut self) {
        self.assumptions = Assumptions::Kept;
        self.endpoints = 3;
        self.servers.truncate(3);
        for server in &mut self.servers {
            server.durable = false;
        }
        let first = self.hosts[0];
        self.hosts.resize(3, first);
        for host in &mut self.hosts {
            host.tasks = 1;
        }
        (self.names, self.fresh) = (1, true);
        self.network = self.network.without_noise();
        self.faults.clear();
        let work = &mut self.work;
        (work.line, work.wait_ms) = (false, 400);
        (work.cancel_percent, work.drop_percent, work.validate_percent) = (0, 0, 0);
        (work.long_percent, work.manual_percent, work.on_work_percent) = (0, 0, 0);
        (work.bounded_percent, work.hot_percent) = (0, 0);
    }

    /// Answers may take as long as rules allow.
    fn set_ttl(&mut self, low_ms: u64, high_ms: u64) {
        let ms = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        self.terms = Terms {
            ttl_ms_low: ms(low_ms),
            ttl_ms_high: ms(high_ms),
            ttl_ms_max: 30_000,
            request_timeout_ms: ms(high_ms * 2 / 5),
        };
    }

    fn set_delay(&mut self, min_us: u64, tail_us: u64) {
        self.network =
            NetworkPlan { delay_us_min: min_us, delay_us_tail: tail_us, reconnect_ms: 5, ..self.network };
    }

    fn set_rates(&mut self, host_ppm: i64, server_ppm: i64) {
        for host in &mut self.hosts {
            *host = HostPlan { rate_ppm: host_ppm, ..*host };
        }
        for server in &mut self.servers {
            *server = ServerPlan { rate_ppm: server_ppm, ..*server };
        }
    }

    fn add_fault(&mut self, kind: FaultKind, from_us: u64, lasts_us: u64) {
        let from = At(from_us * 1_000).min(self.length);
        let until = At((from_us + lasts_us) * 1_000).min(self.length);
        self.faults.push(Fault { kind, from, until });
    }

    fn length_us(&self) -> u64 {
        self.length.0 / 1_000
    }
}

/// Endpoints by the parts that they play, in any order.
fn shuffled(dice: &mut Dice) -> [usize; 3] {
    let first = dice.index(3);
    let turn = dice.index(2) + 1;
    [first, (first + turn) % 3, (first + 3 - turn) % 3]
}

fn votes_forgotten(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(150, 400);
    plan.set_ttl(ttl_ms, ttl_ms * 6);
    plan.set_delay(dice.between(200, 2_000), dice.between(200, 2_000));
    plan.names = 3;
    plan.hosts.truncate(2);
    (plan.hosts[0].tasks, plan.hosts[1].tasks) = (4, 6);
    // The late one's proposals are the larger ones, so that no endpoint draws another token: raising it would fail where it is forgotten.
    for (host, offset_us) in plan.hosts.iter_mut().zip([0, 1_000_000]) {
        (host.wall_offset_us, host.wall_grain_us) = (offset_us, 1);
    }
    plan.work.think_us = dice.between(1_000, 20_000);
    (plan.work.hold_us, plan.work.wait_ms) = (ttl_ms * 3_000, ttl_ms * 6);
    let ([steady, cut_off, forgetful], ttl_us) = (shuffled(dice), ttl_ms * 1_000);
    let cut_us = ttl_us * dice.between(2, 6);
    let forgets_us = cut_us + dice.between(0, ttl_us / 2);
    let heard_us = forgets_us + dice.between(ttl_us / 4, ttl_us * 2);
    plan.length = At((heard_us + ttl_us * 6) * 1_000);
    // One host's requests arrive late, and meanwhile it has the vote of the endpoint that will forget.
    let (endpoints, direction) = (1 << steady | 1 << cut_off, Direction::Requests);
    plan.add_fault(
        FaultKind::Partition { hosts: 0b10, endpoints, direction, lose: false },
        50_000,
        heard_us - 50_000,
    );
    // The others' leases rest on the first two, and then on the first one alone.
    let (endpoints, direction) = (1 << cut_off, Direction::Both);
    plan.add_fault(
        FaultKind::Partition { hosts: 0b01, endpoints, direction, lose: true },
        cut_us,
        ttl_us * 12,
    );
    let endpoints = 1 << forgetful;
    plan.add_fault(
        FaultKind::Partition { hosts: 0b01, endpoints, direction, lose: true },
        50_000,
        forgets_us - 50_000,
    );
    let forgets = FaultKind::CrashServer { endpoint: forgetful, data: Data::Lost };
    plan.add_fault(forgets, forgets_us, dice.between(100, 10_000));
}

fn locks_run_out(plan: &mut Plan, dice: &mut Dice) {
    plan.assumptions = Assumptions::Broken;
    plan.set_ttl(60, 60);
    plan.set_delay(dice.between(1_000, 6_000), dice.between(100, 1_000));
    plan.network.lose_request_ppm = 150_000;
    // What a machine that stood still, or a clock that stepped, hides from the watch on clocks is the more the further they run apart.
    plan.set_rates(RATE_PPM, -RATE_PPM);
    // Proposals of days ago: each endpoint draws by its own clock.
    for host in &mut plan.hosts {
        (host.wall_offset_us, host.wall_grain_us) = (-400_000_000_000, 1);
    }
    for (server, offset_us) in plan.servers.iter_mut().zip([-2_000_000, 2_000_000, 0]) {
        server.offset_us = offset_us;
    }
    plan.work.think_us = dice.between(1_000, 20_000);
    plan.work.hold_us = dice.between(200, 10_000);
    plan.length = At::from_ms(30_000);
    stand_still(plan, dice, 5_000_000, 8_000_000);
    for endpoint in 0..3 {
        let mut at_us = dice.between(6_000_000, 12_000_000);
        while at_us < plan.length_us() {
            plan.add_fault(FaultKind::StepForward { endpoint, ms: dice.between(65, 95) }, at_us, 0);
            at_us += dice.between(6_000_000, 10_000_000);
        }
    }
}

/// Each host's machine stands still for about a TTL, and again after a while.
fn stand_still(plan: &mut Plan, dice: &mut Dice, from_us: u64, apart_us: u64) {
    for host in 0..plan.hosts.len() {
        let mut at_us = from_us + dice.between(0, apart_us / 2);
        while at_us < plan.length_us() {
            plan.add_fault(FaultKind::Freeze { host }, at_us, dice.between(60_000, 160_000));
            at_us += dice.between(apart_us / 2, apart_us * 3 / 2);
        }
    }
}

fn answers_held_up(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(500, 2_000);
    plan.set_ttl(ttl_ms, ttl_ms);
    plan.set_delay(dice.between(100, 2_000), dice.between(100, 1_000));
    plan.names = 2;
    plan.work.think_us = dice.between(1_000, 100_000);
    plan.work.hold_us = ttl_ms * 1_000;
    (plan.work.long_percent, plan.work.wait_ms) = (80, ttl_ms * 3);
    plan.work.line = dice.percent(50);
    plan.length = At::from_ms(ttl_ms * 24);
    let (ttl_us, hosts) = (ttl_ms * 1_000, 0b001);
    for turn in 0..4 {
        let begin_us = ttl_us * (2 + turn * 5) + dice.between(0, ttl_us);
        let held_us = dice.between(ttl_us / 5, ttl_us * 2 / 5);
        let held =
            FaultKind::Partition { hosts, endpoints: 0b111, direction: Direction::Replies, lose: false };
        plan.add_fault(held, begin_us, held_us);
        let cut =
            FaultKind::Partition { hosts, endpoints: 0b111, direction: Direction::Requests, lose: true };
        plan.add_fault(cut, begin_us + held_us, ttl_us * 2);
    }
}

fn clocks_apart(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(10_000, 30_000);
    plan.set_ttl(ttl_ms, ttl_ms);
    plan.terms.request_timeout_ms = 500;
    plan.set_delay(dice.between(100, 2_000), dice.between(100, 1_000));
    plan.set_rates(-RATE_PPM, RATE_PPM);
    plan.work.think_us = dice.between(10_000, 1_000_000);
    plan.work.hold_us = ttl_ms * 1_000;
    (plan.work.long_percent, plan.work.manual_percent) = (100, 100);
    (plan.work.line, plan.work.wait_ms) = (true, ttl_ms * 2);
    plan.length = At::from_ms(ttl_ms * 5);
}

fn winners_asleep(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(60, 200);
    plan.set_ttl(ttl_ms, ttl_ms);
    plan.set_delay(20, 10);
    plan.names = 12;
    for host in &mut plan.hosts {
        host.tasks = 3;
    }
    (plan.work.think_us, plan.work.hold_us) = (100, 100);
    plan.length = At::from_ms(ttl_ms * 10);
    for host in 0..3 {
        let mut at_us = ttl_ms * 1_000 / 2;
        while at_us < plan.length_us() {
            plan.add_fault(FaultKind::PauseHost { host }, at_us, ttl_ms * dice.between(1_000, 1_500));
            at_us += ttl_ms * dice.between(1_600, 2_500);
        }
    }
}

fn flushed_again(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(20_000, 30_000);
    plan.set_ttl(ttl_ms, ttl_ms);
    plan.terms.request_timeout_ms = 500;
    plan.set_delay(dice.between(100, 2_000), dice.between(100, 1_000));
    plan.names = 3;
    for host in &mut plan.hosts {
        host.tasks = 2;
    }
    plan.work.think_us = dice.between(500_000, 3_000_000);
    plan.work.hold_us = ttl_ms * 1_000;
    (plan.work.wait_ms, plan.work.long_percent) = (5, 60);
    plan.length = At::from_ms(18_000);
    for endpoint in 0..3 {
        let mut at_us = dice.between(7_000_000, 9_000_000);
        while at_us < 16_000_000 {
            plan.add_fault(FaultKind::Flush { endpoint }, at_us, 0);
            at_us += dice.between(100_000, 1_500_000);
        }
    }
}

fn holders_die(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(500, 2_000);
    plan.set_ttl(ttl_ms, ttl_ms);
    plan.terms.request_timeout_ms = 100;
    plan.set_delay(dice.between(100, 1_000), dice.between(100, 500));
    plan.work.think_us = dice.between(4_000_000, 10_000_000);
    plan.work.hold_us = dice.between(1_000_000, 5_000_000);
    (plan.work.line, plan.work.wait_ms) = (true, 15_000);
    plan.length = At::from_ms(90_000);
    for host in 0..3 {
        for _ in 0..4 {
            let at_us = dice.between(5_000_000, plan.length.0 / NS_PER_MS * 1_000 - 20_000_000);
            plan.add_fault(FaultKind::CrashHost { host }, at_us, dice.between(1_000, 100_000));
        }
    }
}

fn handed_over_unheard(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(1_000, 4_000);
    plan.set_ttl(ttl_ms, ttl_ms);
    plan.set_delay(dice.between(100, 1_000), dice.between(100, 500));
    plan.work.think_us = dice.between(1_000, 20_000);
    plan.work.hold_us = ttl_ms * dice.between(50, 300);
    (plan.work.long_percent, plan.work.manual_percent) = (30, 100);
    (plan.work.line, plan.work.wait_ms) = (true, ttl_ms * 8);
    plan.length = At::from_ms(ttl_ms * 40);
    let ttl_us = ttl_ms * 1_000;
    for turn in 0..8 {
        let (hosts, endpoints) = (1 << dice.index(3), 0b111);
        let begin_us = ttl_us * (2 + turn * 4) + dice.between(0, ttl_us);
        let held_us = dice.between(ttl_us / 4, ttl_us * 3 / 5);
        let held = FaultKind::Partition { hosts, endpoints, direction: Direction::Replies, lose: false };
        plan.add_fault(held, begin_us, held_us);
        // From before it asks again on, or only from when it hears again.
        let cut_us = if dice.percent(50) { dice.between(0, ttl_us / 8) } else { held_us };
        let cut = FaultKind::Partition { hosts, endpoints, direction: Direction::Requests, lose: true };
        plan.add_fault(cut, begin_us + cut_us, ttl_us * 2);
    }
}

fn restarted_in_line(plan: &mut Plan, dice: &mut Dice) {
    let ttl_ms = dice.between(10_000, 30_000);
    plan.set_ttl(ttl_ms, ttl_ms);
    plan.terms.request_timeout_ms = 500;
    plan.set_delay(dice.between(100, 1_000), dice.between(100, 500));
    plan.work.think_us = dice.between(1_000, 100_000);
    plan.work.hold_us = dice.between(50_000, 1_000_000);
    (plan.work.line, plan.work.wait_ms) = (true, ttl_ms * 2);
    plan.length = At::from_ms(40_000);
    for endpoint in 0..3 {
        let at_us = dice.between(5_000_000, 35_000_000);
        let restarts = FaultKind::CrashServer { endpoint, data: Data::Kept };
        plan.add_fault(restarts, at_us, dice.between(1_000, 50_000));
    }
}
