//! What a link suffers now.

use crate::scenario::{Delay, Effect, Way};

/// One fault on a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ailment {
    pub(super) id: u64,
    pub(super) way: Way,
    pub(super) effect: Effect,
}

/// All of them together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    pub(super) to_endpoint: Lane,
    pub(super) to_node: Lane,
    /// No new connection gets through.
    pub(super) cut: bool,
    /// Every connection is reset, new ones too.
    pub(super) reset: bool,
    /// Connections that stood when this fault began are dead, and are reset when it ends.
    pub(super) half_open: Option<u64>,
    /// This share of replies is lost.
    pub(super) lost_share: f64,
}

/// One direction of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lane {
    /// Nothing arrives for now.
    pub(super) held: bool,
    pub(super) delays: Vec<Delay>,
    pub(super) bytes_per_s: Option<u64>,
}

impl Lane {
    /// Whether bytes go through as they come.
    pub(super) fn is_clear(&self) -> bool {
        !self.held && self.delays.is_empty() && self.bytes_per_s.is_none()
    }
}

impl Conditions {
    pub(super) fn of(ailments: impl Iterator<Item = Ailment>) -> Self {
        let mut all = Self::default();
        for ailment in ailments {
            all.add(ailment);
        }
        all
    }

    fn add(&mut self, Ailment { id, way, effect }: Ailment) {
        match effect {
            Effect::Partition => {
                self.cut = true;
                self.lanes(way, |lane| lane.held = true);
            }
            Effect::Stall => self.lanes(way, |lane| lane.held = true),
            Effect::Latency(delay) => self.lanes(way, |lane| lane.delays.push(delay)),
            Effect::Throttle { bytes_per_s } => self.lanes(way, |lane| {
                lane.bytes_per_s = Some(lane.bytes_per_s.map_or(bytes_per_s, |other| other.min(bytes_per_s)));
            }),
            Effect::HalfOpen => self.half_open = self.half_open.max(Some(id)),
            Effect::Reset => self.reset = true,
            Effect::LoseReply { share } => self.lost_share = self.lost_share.max(share),
        }
    }

    fn lanes(&mut self, way: Way, change: impl Fn(&mut Lane)) {
        if way != Way::ToNode {
            change(&mut self.to_endpoint);
        }
        if way != Way::ToEndpoint {
            change(&mut self.to_node);
        }
    }
}
