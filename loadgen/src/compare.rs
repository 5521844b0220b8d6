//! `loadgen compare`.

use crate::cli::CompareArgs;
use crate::report::{CompareError, Exit, ReadError, compare, read_run};

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareRunsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Compare(#[from] CompareError),
}

impl CompareRunsError {
    /// What to tell the shell.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Read(_) => Exit::Usage,
            Self::Compare(error) => error.exit(),
        }
    }
}

/// Prints two runs side by side.
pub(crate) fn run(args: &CompareArgs) -> Result<Exit, CompareRunsError> {
    let (a, b) = (read_run(&args.a)?, read_run(&args.b)?);
    println!("{}", compare(&a, &b)?);
    Ok(Exit::Fine)
}
