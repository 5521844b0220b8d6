//! `loadgen compare`.

use std::path::PathBuf;

use crate::cli::CompareArgs;
use crate::report::comparison::Group;
use crate::report::html::{HtmlError, write_groups};
use crate::report::{CompareError, Exit, ReadError, Run, compare, read_run};

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareRunsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error("one group of runs is compared with nothing; name the other one after --")]
    OneGroup,
    #[error(transparent)]
    Html(#[from] HtmlError),
}

impl CompareRunsError {
    /// What to tell the shell.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Compare(error) => error.exit(),
            Self::Read(_) | Self::OneGroup | Self::Html(_) => Exit::Usage,
        }
    }
}

/// Prints groups of runs side by side, and what they show.
pub(crate) fn run(args: &CompareArgs) -> Result<Exit, CompareRunsError> {
    let read = |paths: &[PathBuf]| paths.iter().map(|path| read_run(path)).collect::<Result<Vec<Run>, _>>();
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let groups = groups(&a, &b);
    let Some((first, others)) = groups.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Err(CompareRunsError::OneGroup);
    };
    println!("{}", compare(&groups)?);
    if let Some(html) = &args.html {
        let folders: Vec<_> = args.a.iter().chain(&args.b).cloned().collect();
        write_groups(&folders, &groups, html)?;
        eprintln!("pictures in {}", html.display());
    }
    let missed: Vec<String> = others
        .iter()
        .flat_map(|group| args.fail_if.iter().filter_map(|threshold| threshold.missed(first, group)))
        .collect();
    for sentence in &missed {
        eprintln!("MISSED: {sentence}");
    }
    Ok(if missed.is_empty() { Exit::Fine } else { Exit::ThresholdMissed })
}

/// Two runs are set against each other whatever they are; more of them go by their locks unless `--` divides them.
fn groups<'a>(a: &'a [Run], b: &'a [Run]) -> Vec<Group<'a>> {
    match (a, b) {
        ([first, second], []) => vec![Group::new(0, vec![first]), Group::new(1, vec![second])],
        (_, []) => Group::by_lock(a),
        _ => vec![Group::new(0, a.iter().collect()), Group::new(1, b.iter().collect())],
    }
}
