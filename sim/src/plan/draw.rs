//! Swarm: each seed draws its own mix of faults and sizes, so that no two faults always come together and none is always
//! there.

use super::{
    Assumptions, Data, Direction, Extra, Fault, FaultKind, HostPlan, NetworkPlan, Plan, ServerPlan, Terms,
    Work,
};
use crate::random::{Dice, Stream};
use crate::time::At;

/// How far a clock may run from true time for exclusion to hold: two of them stay within 1 % of each other.
const RATE_PPM_MAX: u64 = 4_900;
/// How far a server's clock may be from true time for order to hold after a loss.
const OFFSET_US_MAX: u64 = 2_000_000;
/// How far it may step; eight steps may come together.
const STEP_MS_MAX: u64 = 600;
/// How much too fast or too slow a server's clock runs where that is assumed not to happen.
const RUN_OFF_PPM_MAX: u64 = 30_000;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, Stream::Plan, 0);
        let assumptions = if dice.percent(80) { Assumptions::Kept } else { Assumptions::Broken };
        let endpoints = if dice.percent(75) { 3 } else { 5 };
        let hosts = usize::try_from(dice.between(1, 5)).unwrap_or(1);
        let names = usize::try_from(dice.spread(1, 12)).unwrap_or(1);
        let terms = draw_terms(&mut dice);
        let length = draw_length(&mut dice, &terms);
        let network = draw_network(&mut dice, &terms);
        let coarse = dice.percent(30);
        let mut plan = Self {
            seed,
            assumptions,
            endpoints,
            hosts: (0..hosts).map(|_| draw_host(&mut dice, coarse)).collect(),
            servers: (0..endpoints).map(|_| draw_server(&mut dice)).collect(),
            names,
            length,
            fresh: dice.percent(95),
            work: draw_work(&mut dice, &terms, length),
            terms,
            network,
            faults: Vec::new(),
        };
        plan.faults = draw_faults(&mut dice, &plan);
        plan.draw_line();
        plan
    }

    /// In half of the runs those who wait stand in line: for longer, and more of them.
    fn draw_line(&mut self) {
        let mut dice = Dice::new(self.seed, Stream::Line, 0);
        if dice.percent(50) {
            self.work.line = true;
            self.work.wait_ms = dice.spread(50, 15_000);
            self.work.hot_percent = dice.pick(&[0, 30, 90, 100]);
        }
    }
}

fn draw_terms(dice: &mut Dice) -> Terms {
    let low = u32::try_from(dice.spread(60, 20_000)).unwrap_or(1_000);
    let high = if dice.percent(50) { low } else { low.saturating_mul(4).min(30_000) };
    let request_timeout_ms = u32::try_from(dice.spread(20, 2_000)).unwrap_or(500);
    let ttl_ms_max = if dice.percent(70) { 30_000 } else { high.saturating_mul(3).min(30_000) };
    Terms { ttl_ms_low: low, ttl_ms_high: high, ttl_ms_max, request_timeout_ms }
}

fn draw_length(dice: &mut Dice, terms: &Terms) -> At {
    // Long enough for some leases to end by themselves, now and then for a quarantine as well.
    let base_ms = dice.spread(3_000, 20_000).max(u64::from(terms.ttl_ms_high) * 2);
    At::from_ms(if dice.percent(40) { base_ms + dice.between(35_000, 60_000) } else { base_ms })
}

fn draw_network(dice: &mut Dice, terms: &Terms) -> NetworkPlan {
    let timeout_us = u64::from(terms.request_timeout_ms.min(terms.ttl_ms_low * 2 / 5)) * 1_000;
    // Now and then so slow that requests time out by themselves.
    let share = if dice.percent(85) { 40 } else { 6 };
    let delay_us_min = dice.spread(20, (timeout_us / share).max(40));
    let delay_us_tail = dice.spread(10, delay_us_min);
    let mut noise = |percent: u32, high: u64| {
        if dice.percent(percent) { u32::try_from(dice.spread(200, high)).unwrap_or(200) } else { 0 }
    };
    NetworkPlan {
        delay_us_min,
        delay_us_tail,
        lose_request_ppm: noise(35, 60_000),
        lose_reply_ppm: noise(35, 60_000),
        duplicate_ppm: noise(30, 60_000),
        stall_ppm: noise(30, 30_000),
        break_ppm: noise(30, 20_000),
        reconnect_ms: dice.spread(2, 500),
    }
}

pub(super) fn draw_host(dice: &mut Dice, coarse: bool) -> HostPlan {
    HostPlan {
        tasks: usize::try_from(dice.between(1, 3)).unwrap_or(1),
        rate_ppm: draw_rate(dice),
        wall_offset_us: draw_wall_offset(dice),
        wall_grain_us: if coarse { 60_000_000 } else { 1 },
    }
}

/// A few seconds off, or several days.
fn draw_wall_offset(dice: &mut Dice) -> i64 {
    let most = dice.pick(&[3_000_000, 400_000_000_000]);
    signed(dice, most)
}

pub(super) fn draw_server(dice: &mut Dice) -> ServerPlan {
    ServerPlan {
        rate_ppm: draw_rate(dice),
        offset_us: signed(dice, OFFSET_US_MAX),
        durable: dice.percent(10),
    }
}

/// Half of the clocks are as far off as they may be.
fn draw_rate(dice: &mut Dice) -> i64 {
    let rate = if dice.percent(50) { RATE_PPM_MAX } else { dice.between(0, RATE_PPM_MAX) };
    let rate = i64::try_from(rate).unwrap_or(0);
    if dice.percent(50) { rate } else { -rate }
}

fn signed(dice: &mut Dice, most: u64) -> i64 {
    let amount = i64::try_from(dice.between(0, most)).unwrap_or(0);
    if dice.percent(50) { amount } else { -amount }
}

fn draw_work(dice: &mut Dice, terms: &Terms, length: At) -> Work {
    let ttl_us = u64::from(terms.ttl_ms_low) * 1_000;
    let mut sometimes = |percent: u32, high: u64| {
        if dice.percent(percent) { u32::try_from(dice.between(1, high)).unwrap_or(1) } else { 0 }
    };
    let (cancel_percent, drop_percent) = (sometimes(50, 30), sometimes(50, 50));
    let (validate_percent, long_percent) =
        (sometimes(50, 50), sometimes(60, if ttl_us > 2_000_000 { 3 } else { 12 }));
    let (manual_percent, on_work_percent) = (sometimes(40, 60), sometimes(30, 30));
    let (bounded_percent, hot_percent) = (sometimes(30, 30), sometimes(25, 50));
    Work {
        // A run has some hundreds of grants, however long it is.
        think_us: dice.spread(length.0 / 1_000 / 700, length.0 / 1_000 / 40),
        hold_us: dice.spread(200, (ttl_us / 4).clamp(400, 400_000)),
        wait_ms: dice.spread(2, 400),
        line: false,
        cancel_percent,
        drop_percent,
        validate_percent,
        long_percent,
        manual_percent,
        on_work_percent,
        bounded_percent,
        hot_percent,
    }
}

fn draw_faults(dice: &mut Dice, plan: &Plan) -> Vec<Fault> {
    let calm = dice.percent(5);
    let beyond = plan.assumptions == Assumptions::Broken;
    let mut faults = Vec::new();
    for kind in 0..15 {
        let is_beyond = kind >= 12;
        let wanted = dice.percent(if is_beyond { 60 } else { 35 });
        let most = match kind {
            10 | 12 => 8,
            0 | 6..=9 => 40,
            _ => 12,
        };
        let count = dice.spread(1, most);
        if calm || !wanted || (is_beyond && !beyond) {
            continue;
        }
        for _ in 0..count {
            let mut dice = Dice::new(plan.seed, Stream::Fault, faults.len());
            faults.push(draw_fault(&mut dice, plan, kind));
        }
    }
    faults
}

fn draw_fault(dice: &mut Dice, plan: &Plan, kind: u32) -> Fault {
    let host = dice.index(plan.hosts.len());
    let endpoint = dice.index(plan.endpoints);
    let length_ms = plan.length.0 / 1_000_000;
    let ttl_ms = u64::from(plan.terms.ttl_ms_high);
    let from_ms = dice.between(0, length_ms * 9 / 10);
    // About as long as what it disturbs: requests, leases, or everything.
    let most_ms = dice.pick(&[u64::from(plan.terms.request_timeout_ms) * 2, ttl_ms * 3 / 2, length_ms / 3]);
    let lasts_ms = dice.spread(1, most_ms.max(2)).min(length_ms - from_ms);
    let kind = match kind {
        0 => FaultKind::PauseHost { host },
        1 => FaultKind::CrashHost { host },
        2 => FaultKind::HangServer { endpoint },
        3 => FaultKind::CrashServer { endpoint, data: draw_data(dice) },
        4 => FaultKind::Flush { endpoint },
        5 => FaultKind::Failover { endpoint, lag_ms: dice.spread(1, 2_000), within: dice.percent(50) },
        6 => FaultKind::Partition {
            hosts: mask(dice, plan.hosts.len()).into(),
            endpoints: mask(dice, plan.endpoints),
            direction: dice.pick(&[Direction::Both, Direction::Requests, Direction::Replies]),
            lose: dice.percent(60),
        },
        7 => {
            let extra = Extra::Constant { us: dice.spread(100, ttl_ms * 500) };
            FaultKind::Slow { hosts: u64::MAX, endpoint, direction: Direction::Both, extra }
        }
        8 => FaultKind::Stall { host, endpoint },
        9 => FaultKind::Break { host, endpoint, silent: dice.percent(30) },
        10 => FaultKind::StepBack { endpoint, ms: dice.spread(5, STEP_MS_MAX) },
        11 => FaultKind::StepWall { host, ms: signed(dice, 10_000_000) },
        12 => FaultKind::StepForward { endpoint, ms: dice.spread(5, STEP_MS_MAX) },
        13 => FaultKind::RunOff { endpoint, rate_ppm: signed(dice, RUN_OFF_PPM_MAX) },
        _ => FaultKind::Freeze { host },
    };
    Fault { kind, from: At::from_ms(from_ms), until: At::from_ms(from_ms + lasts_ms) }
}

fn draw_data(dice: &mut Dice) -> Data {
    match dice.below(4) {
        0 => Data::Kept,
        1 => Data::Lost,
        2 => Data::LastSecondLost,
        _ => Data::Older { ms: dice.spread(1, 20_000) },
    }
}

fn mask(dice: &mut Dice, len: usize) -> u32 {
    let all = (1_u64 << len) - 1;
    let drawn = dice.bits() & all;
    u32::try_from(if drawn == 0 { all } else { drawn }).unwrap_or(u32::MAX)
}
