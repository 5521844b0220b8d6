//! `loadgen report`.

use crate::cli::ReportArgs;
use crate::report::Exit;
use crate::report::html::{HtmlError, write_report};

/// Makes the page of each run anew.
pub(crate) fn run(args: &ReportArgs) -> Result<Exit, HtmlError> {
    for folder in &args.runs {
        println!("{}", write_report(folder)?.display());
    }
    Ok(Exit::Fine)
}
