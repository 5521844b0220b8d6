//! The workers of a run: one for the crowd of nodes that are never stopped, one for each node that is.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use leasehold::memory::MemoryEndpoints;
use rustix::process::{Pid, Signal, kill_process};

use crate::run::gate::Gate;
use crate::run::plan::Plan;
use crate::run::worker;

/// One worker.
pub(crate) struct Worker {
    /// Which nodes it plays.
    pub(crate) nodes: Vec<u32>,
    /// Whether faults stop it.
    pub(crate) paused: bool,
    body: Body,
}

enum Body {
    Process(Child),
    Thread { gate: Arc<Gate>, thread: Option<JoinHandle<io::Result<()>>> },
}

/// All workers of a run, and the coordinator's ends of their links. Dropping it ends every process.
pub(crate) struct Crew {
    pub(crate) workers: Vec<Worker>,
}

impl Crew {
    /// Starts the workers that a plan asks for: processes, or threads that share endpoints in memory.
    ///
    /// Must be called on a thread that lives as long as the run: on Linux a process is tied to the thread it was
    /// started by.
    pub(crate) fn muster(
        plan: &Plan,
        memory: Option<&MemoryEndpoints>,
    ) -> io::Result<(Self, Vec<UnixStream>)> {
        let alone = plan.paused_nodes();
        let crowd: Vec<u32> = plan.nodes().into_iter().filter(|node| !alone.contains(node)).collect();
        let parts = alone.iter().map(|&node| (vec![node], true));
        let parts = parts.chain((!crowd.is_empty()).then_some((crowd, false)));
        let (mut crew, mut links) = (Self { workers: Vec::new() }, Vec::new());
        for (nodes, paused) in parts {
            let (ours, theirs) = UnixStream::pair()?;
            let body = match memory {
                None => Body::Process(start_process(theirs)?),
                Some(memory) => start_thread(theirs, memory.clone())?,
            };
            crew.workers.push(Worker { nodes, paused, body });
            links.push(ours);
        }
        Ok((crew, links))
    }
}

impl Worker {
    /// Stops the worker where it stands.
    pub(crate) fn pause(&self) -> io::Result<()> {
        match &self.body {
            Body::Process(child) => signal(child, Signal::STOP),
            Body::Thread { gate, .. } => {
                gate.close();
                Ok(())
            }
        }
    }

    /// Lets a stopped worker run on.
    pub(crate) fn resume(&self) -> io::Result<()> {
        match &self.body {
            Body::Process(child) => signal(child, Signal::CONT),
            Body::Thread { gate, .. } => {
                gate.open();
                Ok(())
            }
        }
    }

    /// Waits for the end of a worker whose link has closed, and ends it if need be.
    fn end(&mut self) -> io::Result<()> {
        match &mut self.body {
            Body::Process(child) => {
                // All that it had to say has been heard. It may be stopped, so nothing milder is sure to end it.
                child.kill()?;
                child.wait().map(drop)
            }
            Body::Thread { gate, thread } => {
                gate.open();
                match thread.take().map(JoinHandle::join) {
                    Some(Ok(outcome)) => outcome,
                    Some(Err(_)) => Err(io::Error::other("a worker thread panicked")),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            if let Err(error) = worker.end() {
                eprintln!("loadgen: the worker of nodes {:?}: {error}", worker.nodes);
            }
        }
    }
}

fn start_process(link: UnixStream) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("worker")
        .stdin(Stdio::from(OwnedFd::from(link)))
        .stdout(Stdio::null())
        // The terminal's ctrl-C goes to the foreground group: to the coordinator, which then ends the run in order.
        .process_group(0)
        .spawn()
}

fn start_thread(link: UnixStream, memory: MemoryEndpoints) -> io::Result<Body> {
    let gate = Arc::new(Gate::default());
    let inner = Arc::clone(&gate);
    let thread = std::thread::Builder::new()
        .name("worker".to_owned())
        .spawn(move || worker::work(link, worker::Surroundings { memory, gate: inner }))?;
    Ok(Body::Thread { gate, thread: Some(thread) })
}

fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // The child has not been waited for, so its id is still its own.
    kill_process(pid.ok_or_else(|| io::Error::other("a process without an id"))?, signal)?;
    Ok(())
}
