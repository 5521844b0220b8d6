//! The one thread that starts server processes.
//!
//! On Linux a server asks to be killed when its parent dies, and to the kernel the parent is the *thread* that forked
//! it: a server started by a short-lived thread (a test, a blocking task of a runtime) would die with that thread. So
//! all are started by one thread, which lives as long as this process.

use std::{
    io,
    process::{Child, Command},
    sync::{
        LazyLock,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

struct Job {
    command: Command,
    done: SyncSender<io::Result<Child>>,
}

/// The sender is never dropped, so the thread ends with the process and not before.
static SPAWNER: LazyLock<Result<Sender<Job>, io::ErrorKind>> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().name("server-spawner".to_owned());
    thread.spawn(move || spawn_all(&receiver)).map(|_detached| sender).map_err(|error| error.kind())
});

/// Starts a server program of another kind as this crate starts its own: in a process group of its own, and on Linux
/// killed with this process whatever ends it, also when the thread that calls this ends first.
///
/// # Errors
///
/// What the system says when the program cannot be started.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;

    // The terminal's ctrl-C goes to the foreground group: to us, not to the servers.
    command.process_group(0);
    #[cfg(target_os = "linux")]
    die_with_parent(&mut command);

    let gone = || io::Error::other("the thread that starts processes has ended");
    let (done, spawned) = sync_channel(1);
    let spawner = SPAWNER.as_ref().map_err(|kind| io::Error::from(*kind))?;
    spawner.send(Job { command, done }).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}

fn spawn_all(jobs: &Receiver<Job>) {
    while let Ok(mut job) = jobs.recv() {
        if let Err(unwanted) = job.done.send(job.command.spawn())
            && let Ok(mut child) = unwanted.0
        {
            // Nobody waits for it any more. The results are of no use either: there is nobody to tell.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use rustix::{
        io::Errno,
        process::{Signal, getpid, getppid, set_parent_process_death_signal},
    };
    use std::os::unix::process::CommandExt;

    let parent = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that died before the line above sends no signal any more.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::Error::from(Errno::SRCH)) }
    };
    #[expect(unsafe_code, reason = "the request must be made by the child itself, between fork and exec")]
    // SAFETY: after fork in a process with threads only async-signal-safe work is allowed. `ask` makes two plain
    // system calls (prctl, getppid) and compares two integers; it captures one integer, allocates nothing (an
    // `io::Error` made from an error number lives in itself), takes no lock and cannot panic.
    unsafe {
        command.pre_exec(ask);
    }
}
