//! `loadgen scenarios`.

use crate::cli::ScenariosArgs;
use crate::report::Exit;
use crate::scenario::{READY, ScenarioError};

/// Lists the scenarios that ship, or prints one of them.
pub(crate) fn run(args: &ScenariosArgs) -> Result<Exit, ScenarioError> {
    let Some(name) = &args.name else {
        for ready in READY {
            println!("{:<16} {}", ready.name, ready.scenario()?.about);
        }
        println!(
            "\nloadgen scenarios NAME prints one; write your own after it and pass it with --scenario FILE"
        );
        return Ok(Exit::Fine);
    };
    match READY.iter().find(|ready| ready.name == *name) {
        Some(ready) => print!("{}", ready.text),
        None => return Err(ScenarioError::unknown(name)),
    }
    Ok(Exit::Fine)
}
