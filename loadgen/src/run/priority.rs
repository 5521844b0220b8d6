//! Sending cannot wait, and other work can: the system is asked to see it so too.

/// From here on, this thread runs when nobody else wants to. Where the system has no priorities by thread, nothing
/// changes: there the sending is somewhat less punctual, and says so itself.
pub(crate) fn step_back() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE_MOST).unwrap_or_default();
}

#[cfg(target_os = "linux")]
const NICE_MOST: i32 = 19;

/// From here on, this thread runs as soon as it can: at the lowest of the real-time priorities, which comes before all
/// usual ones. It takes a privilege (root, or an `rtprio` limit); false where there is none, and then nothing changes.
///
/// Threads and processes that it starts are ordinary again.
#[cfg(target_os = "linux")]
pub(crate) fn step_forward() -> bool {
    let lowest = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    #[expect(unsafe_code, reason = "rustix does not have this call")]
    // SAFETY: the system reads one `sched_param` from a reference that outlives the call, and keeps none of it; zero is
    // the calling thread. No memory of this program is written.
    let refused = unsafe { libc::sched_setscheduler(0, policy, &raw const lowest) };
    refused == 0
}

/// See above; this system is not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn step_forward() -> bool {
    false
}

/// In words.
pub(crate) const fn priority_name(real_time: bool) -> &'static str {
    if real_time { "real-time priority" } else { "the usual priority" }
}
