//! The clocks of this process. The protocol never reads one: it is told.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::protocol::Moment;

/// A monotonic clock that runs on while the machine is suspended, as the endpoints' clocks do.
#[cfg(target_os = "linux")]
const HOLDER_CLOCK: ClockId = ClockId::Boottime;
/// On macOS and the BSDs the monotonic clock itself counts suspended time.
#[cfg(not(target_os = "linux"))]
const HOLDER_CLOCK: ClockId = ClockId::Monotonic;

/// Now, on the holder's clock.
pub(crate) fn now() -> Moment {
    Moment::from_nanos(nanos(HOLDER_CLOCK))
}

/// Sleeps until a moment, where the caller is on a runtime; for ever elsewhere, where there is no timer.
pub(crate) async fn sleep_until(at: Moment) {
    if tokio::runtime::Handle::try_current().is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(Duration::from_nanos(at.ns_since(now()))).await;
}

/// The wall clock in microseconds since 1970: a proposal for a token, never a measure of time.
pub(crate) fn wall_us() -> u64 {
    nanos(ClockId::Realtime) / 1_000
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
