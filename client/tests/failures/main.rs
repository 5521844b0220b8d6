//! Everything that can befall endpoints and holders, brought about on real servers and processes. The table in the README
//! has a row for each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;
mod scene;

mod holder;
mod one_of_three;
mod two_of_three;
