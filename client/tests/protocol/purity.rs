//! Who may know whom: the rules know only `core` and `std`, and one room of the client knows fred.

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below a folder, with its code: no comments.
fn code_below(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(code_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            files.push((path, code.collect::<Vec<_>>().join("\n")));
        }
    }
    files
}

/// The words of a text of code: identifiers, keywords, numbers.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Paths that `use` brings in.
fn imports(code: &str) -> Vec<String> {
    let begins =
        |line: &str| ["use ", "pub use ", "pub(crate) use "].iter().any(|begin| line.starts_with(begin));
    let mut imports = Vec::new();
    let mut lines = code.lines().map(str::trim);
    while let Some(first) = lines.by_ref().find(|line| begins(line)) {
        let mut statement = first.to_owned();
        while !statement.contains(';') {
            statement.push_str(lines.next().unwrap());
        }
        let (_, path) = statement.split_once("use ").unwrap();
        imports.push(path.replace([' ', ';'], ""));
    }
    imports
}

#[test]
fn the_rules_import_only_std_and_each_other() {
    let rules = code_below(&source().join("protocol"));
    assert!(rules.len() > 10, "the rules have moved: {rules:?}");
    let mut seen = 0;
    for (path, code) in rules {
        for import in imports(&code) {
            seen += 1;
            let roots = ["std::", "core::", "super::", "self::", "crate::protocol::"];
            // A folder's index re-exports what is in the folder.
            let inside = path.with_file_name(import.split("::").next().unwrap());
            let own = path.ends_with("mod.rs") && (inside.with_extension("rs").exists() || inside.is_dir());
            assert!(
                own || roots.iter().any(|root| import.starts_with(root)),
                "{} imports {import}",
                path.display()
            );
        }
    }
    assert!(seen > 30, "the imports are not seen any more");
}

#[test]
fn the_rules_know_no_runtime_no_clock_no_thread_and_no_chance() {
    let foreign = [
        "tokio",
        "fred",
        "futures",
        "rustix",
        "rand",
        "tracing",
        "thiserror",
        "async",
        "await",
        "Instant",
        "SystemTime",
        "UNIX_EPOCH",
        "Duration",
        "thread",
        "spawn",
        "sleep",
        "net",
        "fs",
        "io",
        "env",
        "process",
        "static",
        "unsafe",
        "Mutex",
        "RwLock",
        "HashMap",
        "HashSet",
        "RandomState",
        "println",
        "eprintln",
    ];
    for (path, code) in code_below(&source().join("protocol")) {
        for word in words(&code) {
            assert!(!foreign.contains(&word), "{} knows {word}", path.display());
        }
    }
}

#[test]
fn one_room_knows_fred_and_none_of_its_items_is_public() {
    let knows_fred = |code: &str| words(code).any(|word| word == "fred");
    let room = source().join("redis");
    let (inside, outside): (Vec<_>, Vec<_>) =
        code_below(&source()).into_iter().partition(|(path, _)| path.starts_with(&room));
    assert!(inside.iter().any(|(_, code)| knows_fred(code)), "its room is not where it was");
    for (path, code) in &outside {
        assert!(!knows_fred(code), "{} knows fred", path.display());
    }

    for (path, code) in &inside {
        let public = code.lines().filter(|line| line.trim_start().starts_with("pub "));
        // What the fuzzer calls is public and hidden, and speaks in types of its own.
        let hidden = path.ends_with("redis/fuzzing.rs");
        let foreign =
            |line: &&str| !hidden || words(line).any(|word| matches!(word, "fred" | "Value" | "Error"));
        let public = public.filter(foreign);
        let public = public.collect::<Vec<_>>();
        assert!(
            public.is_empty(),
            "what is public in {} could show fred's types: {public:?}",
            path.display()
        );
    }
    let (_, root) = outside.iter().find(|(path, _)| path.ends_with("src/lib.rs")).unwrap();
    assert!(words(root).any(|word| word == "redis"), "its module is not where it was");
    assert!(!root.contains("pub mod redis") && !root.contains("pub use redis"));
}

#[test]
fn the_watch_kept_here_can_see() {
    let code = "use tokio::{sync::Notify,\n    time::Instant};\nfn uses() {}\n    pub use std::fmt;\n";
    assert_eq!(imports(code), ["tokio::{sync::Notify,time::Instant}", "std::fmt"]);
    assert!(words(code).any(|word| word == "Instant"));
    assert!(!words("instantly").any(|word| word == "Instant"));
}
