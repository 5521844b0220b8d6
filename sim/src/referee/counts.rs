//! What a run, or many, amounted to.

use std::ops::AddAssign;

use crate::plan::KINDS;

/// Counts of one run, or the sums of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Leases handed out.
    pub grants: u64,
    /// Attempts made for them.
    pub attempts: u64,
    /// Events played.
    pub events: u64,
    /// Virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// Writes to protected resources.
    pub writes: u64,
    /// Writes by holders whose lease was over: what fencing is for.
    pub acts_when_over: u64,
    /// Writes by holders whose successors had written already; all of them refused, or a violation.
    pub stale_writes: u64,
    /// Grants handed out while the holder of an earlier one was still acting.
    pub acting_overlaps: u64,
    /// Leases that were told to be lost.
    pub lost: u64,
    /// Renewals that carried, and those of them that were shadows.
    pub renewals: u64,
    /// See `renewals`.
    pub shadows: u64,
    /// Attempts that found the free lock of a healthy majority, and had to be granted.
    pub due_grants: u64,
    /// Lost leases that were looked at for a false loss.
    pub losses_judged: u64,
    /// Grants after a wait.
    pub waited: u64,
    /// Locks that endpoints gave to somebody in line, and those of them that nobody heard of.
    pub hand_overs: u64,
    /// See `hand_overs`.
    pub hand_overs_lost: u64,
    /// Looks at a free lock that somebody waited for, with a majority well.
    pub lines_judged: u64,
    /// The longest that one was seen to stay free, in microseconds.
    pub starved_us_max: u64,
    /// Owners whose remains were looked for where they had to be gone.
    pub remains_judged: u64,
    /// Grants that met any fault.
    pub exposed_any: u64,
    /// Grants that met each kind of fault, in the order of [`KINDS`].
    pub exposed: [u64; KINDS.len()],
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.grants += other.grants;
        self.attempts += other.attempts;
        self.events += other.events;
        self.virtual_ms += other.virtual_ms;
        self.writes += other.writes;
        self.acts_when_over += other.acts_when_over;
        self.stale_writes += other.stale_writes;
        self.acting_overlaps += other.acting_overlaps;
        self.lost += other.lost;
        self.renewals += other.renewals;
        self.shadows += other.shadows;
        self.due_grants += other.due_grants;
        self.losses_judged += other.losses_judged;
        self.waited += other.waited;
        self.hand_overs += other.hand_overs;
        self.hand_overs_lost += other.hand_overs_lost;
        self.lines_judged += other.lines_judged;
        self.starved_us_max = self.starved_us_max.max(other.starved_us_max);
        self.remains_judged += other.remains_judged;
        self.exposed_any += other.exposed_any;
        for (sum, more) in self.exposed.iter_mut().zip(other.exposed) {
            *sum += more;
        }
    }
}
