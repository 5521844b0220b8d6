//! The program; [`loadgen`] has its layout.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::main()
}
