//! The load generator.
mod measure;
mod referee;
mod report;

fn main() {}
