//! What a run leaves behind: the files of its results folder, its summary, and comparisons.
#![allow(dead_code, unused_imports, reason = "the run engine that uses these is not merged yet")]

mod run_json;

pub(crate) use run_json::{
    Contention, Environment, LatencyTable, Parameters, Pause, Renewals, Run, SCHEMA, Server, Usage,
};
