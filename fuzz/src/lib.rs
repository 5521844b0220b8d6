//! Everything that reads texts from outside, fed with texts that nobody wrote.
//!
//! A target takes any bytes, reads them as what it is named for, and panics where what should hold does not: what is printed
//! is read as what it was, a message is bounded and shows no password, what is accepted is within its bounds.
//!
//! `make fuzz` searches for such bytes, led by what parts of the code they reach (libFuzzer). What it finds interesting is kept
//! in `corpus/`, and what once broke something in `crashes/`; `make test` feeds both to the targets, without the engine.

mod targets;

pub use targets::{TARGETS, Target};
