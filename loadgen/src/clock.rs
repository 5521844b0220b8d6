//! The referee's clock: `CLOCK_MONOTONIC`, one for all processes of a machine, which no fault touches.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the machine-wide monotonic clock.
pub(crate) fn now_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Processor time that this process has used so far, all threads together.
pub(crate) fn cpu_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

/// Where `instant` lies on the machine-wide clock.
pub(crate) fn ns_of(instant: Instant) -> u64 {
    let (now, now_ns) = (Instant::now(), now_ns());
    match instant.checked_duration_since(now) {
        Some(ahead) => now_ns.saturating_add(duration_ns(ahead)),
        None => now_ns.saturating_sub(duration_ns(now.saturating_duration_since(instant))),
    }
}

/// A duration in nanoseconds; one too long for 64 bits becomes the longest there is.
pub(crate) fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long it is until `instant_ns`, or zero once it has passed.
pub(crate) fn time_until(instant_ns: u64) -> Duration {
    Duration::from_nanos(instant_ns.saturating_sub(now_ns()))
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let fraction = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_nanoseconds_agree_in_both_directions() {
        let before = now_ns();
        let later = ns_of(Instant::now() + Duration::from_secs(1));
        let earlier = ns_of(Instant::now() - Duration::from_millis(1));
        let after = now_ns();
        assert!((before + 1_000_000_000..=after + 1_000_000_000).contains(&later));
        assert!((before - 1_000_000..=after - 1_000_000).contains(&earlier));
    }
}
