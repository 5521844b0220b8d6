//! Real Redis or Valkey servers on this machine, for tests, benches and load generation.
//!
//! A [`Server`] is one `redis-server` or `valkey-server` process on a free loopback port, with a directory of its own;
//! a [`Trio`] is three of them. They can be killed, restarted with or without their data, paused and resumed. Nothing
//! is left behind: dropping a server ends its process and removes its directory.
//!
//! ```no_run
//! use leasehold_trio::{Data, Trio};
//!
//! let mut trio = Trio::start()?;
//! println!("{}", trio.urls().join(","));
//! trio.server(0).restart(Data::Discard)?; // forgets everything, same port
//! trio.servers()[1].pause()?; // hung: takes connections, answers nothing
//! trio.server(2).kill()?; // gone: refuses connections
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which program
//!
//! [`ServerProgram::find`] takes `$LEASEHOLD_SERVER` if it is set, otherwise the first `redis-server` or
//! `valkey-server` in `$PATH`.
//!
//! # Whatever ends this process ends the servers
//!
//! * A normal end drops them. On Linux they are also killed with the process when it is killed itself, aborts, or
//!   exits without dropping (`std::process::exit`): each server asks the kernel for SIGKILL at its parent's death.
//! * A ctrl-C in the terminal does not reach the servers: each has a process group of its own, so that a program
//!   can write down what it measured, and then end them.
//! * Elsewhere than on Linux a killed process leaves its servers running; end them by the process ids it printed.
//!   On every system a killed process leaves the servers' directories (a configuration and a log each) behind.
//!
//! # Layout
//!
//! * `program`: finds the program and its version.
//! * `options`: what a server is started with, and the configuration file written from it.
//! * `port`: reserves a loopback port for as long as its server lives, also while the server is down.
//! * `spawner`: the one thread that starts processes, because the kernel ties a child to its parent *thread*.
//! * `server`, `trio`: the processes and what can be done to them.
//! * `clock`: a wall clock for one server, which jumps and runs as it is told (Linux, with a C compiler).
//! * `fault`: what can befall a server, each as it befalls real ones.
//! * `forwarder`: a way to a server that can be made slow, stand still, forget its connections, or lead elsewhere.
//! * `ready`: waits, bounded, until a process that was just started answers.
//! * `resp`: one command, one reply.
//! * `log`: the end of a server's own log, for error messages.

#[cfg(target_os = "linux")]
mod clock;
mod error;
mod fault;
mod forwarder;
mod log;
mod options;
mod port;
mod program;
mod ready;
mod resp;
mod server;
mod spawner;
mod trio;

pub use error::{ClockError, CommandError, ProcessError, ProgramError, StartError};
pub use fault::{Fault, FaultError};
pub use forwarder::Forwarder;
pub use options::{Fsync, Persistence, ServerOptions, TlsFiles};
pub use program::{ServerKind, ServerProgram, in_path};
pub use resp::Reply;
#[doc(hidden)]
pub use resp::reply_in;
pub use server::{Data, Server};
pub use spawner::spawn;
pub use trio::Trio;
