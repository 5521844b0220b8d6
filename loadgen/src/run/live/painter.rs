//! The thread that prints. It is handed what to print and is never waited for while the run goes on.

use std::io::{self, Write, stderr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use console::{Term, measure_text_width};

use super::block::{Styles, Subject};
use super::line::line;
use super::snapshot::Snapshot;
use crate::run::plan::Plan;
use crate::run::priority::step_back;

/// From one plain line to the next.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Terminals that know of it show what is between these two at once; others pay no attention.
const HOLD_PICTURE: &str = "\x1b[?2026h";
const SHOW_PICTURE: &str = "\x1b[?2026l";

/// Prints on a thread of its own until it is dropped.
pub(super) struct Painter {
    snapshots: Option<SyncSender<Snapshot>>,
    thread: Option<JoinHandle<()>>,
}

impl Painter {
    pub(super) fn start(plan: &Plan) -> io::Result<Self> {
        let (snapshots, queue) = sync_channel(1);
        let canvas = Canvas::of_stderr(Subject::of(plan));
        let thread =
            std::thread::Builder::new().name("painter".to_owned()).spawn(move || paint(&queue, canvas))?;
        Ok(Self { snapshots: Some(snapshots), thread: Some(thread) })
    }

    /// What comes while the one before is still being printed is left out.
    pub(super) fn show(&self, snapshot: Snapshot) {
        if let Some(snapshots) = &self.snapshots {
            snapshots.try_send(snapshot).unwrap_or_default();
        }
    }
}

impl Drop for Painter {
    /// Whatever is printed next finds the terminal as it was.
    fn drop(&mut self) {
        self.snapshots = None;
        if let Some(thread) = self.thread.take() {
            // There is nothing in it to save.
            thread.join().unwrap_or_default();
        }
    }
}

fn paint(queue: &Receiver<Snapshot>, mut canvas: Canvas) {
    step_back();
    while let Ok(snapshot) = queue.recv() {
        canvas.show(&snapshot);
    }
    canvas.clear();
}

/// Where it is printed.
enum Canvas {
    Terminal {
        terminal: Term,
        subject: Subject,
        styles: Styles,
        /// The widths of the lines that stand there now.
        drawn: Vec<usize>,
    },
    /// A pipe or a file, and when it was last written to.
    Plain { said_ns: u64 },
}

impl Canvas {
    fn of_stderr(subject: Subject) -> Self {
        let terminal = Term::stderr();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if terminal.is_term() && !dumb {
            Self::Terminal { terminal, subject, styles: Styles::of_stderr(), drawn: Vec::new() }
        } else {
            Self::Plain { said_ns: 0 }
        }
    }

    fn show(&mut self, snapshot: &Snapshot) {
        match self {
            Self::Plain { said_ns } => {
                let every_ns = crate::clock::duration_ns(PLAIN_EVERY);
                if snapshot.since_ns.saturating_sub(*said_ns) >= every_ns {
                    *said_ns = snapshot.since_ns / every_ns * every_ns;
                    say(&format!("{}\n", line(snapshot)));
                }
            }
            Self::Terminal { terminal, subject, styles, drawn } => {
                let (height, width) = terminal.size();
                let (height, width) = (usize::from(height), usize::from(width));
                // The last column stays free: some terminals begin a new line when it is written to.
                let mut lines = subject.block(snapshot, styles, width.saturating_sub(1));
                lines.truncate(height.saturating_sub(1));
                let up = rows(drawn, width);
                *drawn = lines.iter().map(|line| measure_text_width(line)).collect();
                say(&picture(up, &lines));
            }
        }
    }

    fn clear(&mut self) {
        if let Self::Terminal { terminal, drawn, .. } = self {
            let width = usize::from(terminal.size().1);
            say(&picture(rows(drawn, width), &[]));
        }
    }
}

/// How many rows of a terminal these lines take, which may have become narrower since they were written.
fn rows(lines: &[usize], width: usize) -> usize {
    lines.iter().map(|line| line.div_ceil(width.max(1)).max(1)).sum()
}

/// Goes up over what stands there and overwrites it, line by line: nothing is ever blank that is not to be.
fn picture(up: usize, lines: &[String]) -> String {
    let up = if up == 0 { String::new() } else { format!("\r\x1b[{up}A") };
    let lines: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("{HOLD_PICTURE}{up}{lines}\x1b[J{SHOW_PICTURE}")
}

/// In one piece. A terminal that has gone away must not end the run.
fn say(text: &str) {
    let mut out = stderr();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_the_place_of_the_one_before() {
        let lines = ["one".to_owned(), "two".to_owned()];
        assert_eq!(picture(0, &lines), "\x1b[?2026hone\x1b[K\ntwo\x1b[K\n\x1b[J\x1b[?2026l");
        assert_eq!(picture(2, &[]), "\x1b[?2026h\r\x1b[2A\x1b[J\x1b[?2026l");
    }

    #[test]
    fn lines_that_a_narrower_terminal_wraps_are_gone_over_whole() {
        assert_eq!(rows(&[79, 0, 20], 80), 3);
        assert_eq!(rows(&[79, 0, 20], 40), 4);
        assert_eq!(rows(&[5], 0), 5);
    }
}
