//! The targets.
//!
//! - `names`, `urls`, `passwords`, `settings`: what users of the library write.
//! - `replies`, `records`, `gates`: what endpoints say, and what they hold.
//! - Those of the workbench are in `loadgen::fuzzing`, because what they look at is private there.

mod gates;
mod names;
mod passwords;
mod records;
mod replies;
mod settings;
mod urls;

/// One reader of texts, and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and those of its folders in `corpus/` and `crashes/`.
    pub name: &'static str,
    /// Reads these bytes. Panics where something does not hold.
    pub run: fn(&[u8]),
}

impl Target {
    const fn new(name: &'static str, run: fn(&[u8])) -> Self {
        Self { name, run }
    }

    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }
}

/// All of them.
pub const TARGETS: [Target; 17] = [
    Target::new("names", |bytes| names::run(&text(bytes))),
    Target::new("urls", |bytes| urls::run(&text(bytes))),
    Target::new("passwords", |bytes| passwords::run(&text(bytes))),
    Target::new("settings", |bytes| settings::run(&text(bytes))),
    Target::new("replies", |bytes| replies::run(&text(bytes))),
    Target::new("server-errors", |bytes| replies::errors(&text(bytes))),
    Target::new("records", |bytes| records::run(&text(bytes))),
    Target::new("gates", gates::run),
    Target::new("server-replies", |bytes| drop(leasehold_trio::reply_in(bytes))),
    Target::new("scenarios", |bytes| loadgen::fuzzing::scenario(&text(bytes))),
    Target::new("words", |bytes| loadgen::fuzzing::word(&text(bytes))),
    Target::new("command-lines", |bytes| loadgen::fuzzing::command_line(&text(bytes))),
    Target::new("runs", |bytes| loadgen::fuzzing::run(&text(bytes))),
    Target::new("evidence", |bytes| loadgen::fuzzing::evidence(&text(bytes))),
    Target::new("frames", loadgen::fuzzing::frame),
    Target::new("histograms", |bytes| loadgen::fuzzing::histogram(&text(bytes))),
    Target::new("reply-streams", loadgen::fuzzing::replies),
];

/// Bytes as what they would be in a file or on a command line.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
