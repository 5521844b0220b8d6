//! Work that can wait makes way for the sending, which cannot.

/// From here on, this thread runs when nobody else wants to. Where the system has no priorities by thread, nothing
/// changes: there the sending is somewhat less punctual, and says so itself.
pub(crate) fn step_back() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE_MOST).unwrap_or_default();
}

#[cfg(target_os = "linux")]
const NICE_MOST: i32 = 19;
