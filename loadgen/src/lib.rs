//! Drives distributed locks at a steady rate, stops nodes on purpose, and judges what the locks let happen.
//!
//! # Layout
//!
//! - `cli`: the command line. `demo`, `compare`, `report_command`, `manual`, `scenarios`, `trio_command`: commands beside `run`.
//! - `suite`: several locks in turn, and the referee's negative controls. `capacity`: how much a lock bears.
//! - `scenario`: what is to be done. `proxy`: faults on the way to the servers.
//! - `run`: one run, from its plan to its folder. `locks`: what can be driven.
//! - `referee`: judges. `measure`: histograms. `report`: what a run leaves behind, and comparisons.
//! - `shards`: one run on several machines, and its parts put together.
//! - `simulate`: leases in virtual time, many seeds.
//! - `clock`: the one clock that all of it reads.
//!
//! The program is all there is to use; it is a library so that what reads texts can be fuzzed.

mod capacity;
mod cli;
mod clock;
mod compare;
mod demo;
#[doc(hidden)]
pub mod fuzzing;
mod locks;
mod manual;
mod measure;
mod proxy;
mod referee;
mod report;
mod report_command;
mod run;
mod scenario;
mod scenarios;
mod shards;
mod simulate;
mod suite;
mod trio_command;

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};
use report::Exit;

/// The program.
pub fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => execute(&cli.command),
        Err(error) => usage(&error),
    };
    exit.into()
}

fn execute(command: &Command) -> Exit {
    match command {
        Command::Run(args) => run::run(args).unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Merge(args) => shards::merge(args).unwrap_or_else(|error| failed(&error, Exit::Usage)),
        Command::Report(args) => {
            report_command::run(args).unwrap_or_else(|error| failed(&error, Exit::Usage))
        }
        Command::Suite(args) => suite::run(args).unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Capacity(args) => capacity::run(args).unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Scenarios(args) => scenarios::run(args).unwrap_or_else(|error| failed(&error, Exit::Usage)),
        Command::Compare(args) => compare::run(args).unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Completions(args) => {
            manual::completions(args).unwrap_or_else(|error| failed(&error, Exit::Usage))
        }
        Command::Man(args) => manual::man(args).unwrap_or_else(|error| failed(&error, Exit::Usage)),
        Command::Simulate(args) => simulate::run(args),
        Command::Demo(args) => demo::run(args).unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Trio(command) => {
            trio_command::run(command).unwrap_or_else(|error| failed(&error, Exit::Usage))
        }
        Command::Worker => {
            run::worker::main().map_or_else(|error| failed(&error, Exit::Usage), |()| Exit::Fine)
        }
    }
}

fn failed(error: &dyn Display, exit: Exit) -> Exit {
    eprintln!("loadgen: {error}");
    exit
}

/// Help is no error, and wrong usage is 1 here and not clap's 2, which means a missed threshold.
fn usage(error: &clap::Error) -> Exit {
    // A closed pipe is nobody's mistake.
    error.print().unwrap_or_default();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Fine,
        _ => Exit::Usage,
    }
}

/// Locks a mutex. What a panic elsewhere left behind can still be counted, shown and ended.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
