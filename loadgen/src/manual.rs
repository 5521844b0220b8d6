//! `loadgen completions` and `loadgen man`: what the command line says of itself, for shells and for `man`.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::report::Exit;

/// Prints the completions.
pub(crate) fn completions(args: &CompletionsArgs) -> io::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "loadgen", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Fine)
}

/// Writes the manual.
pub(crate) fn man(args: &ManArgs) -> io::Result<Exit> {
    std::fs::create_dir_all(&args.folder)?;
    clap_mangen::generate_to(Cli::command(), &args.folder)?;
    println!("{}", args.folder.display());
    Ok(Exit::Fine)
}
