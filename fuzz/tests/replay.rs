//! What a search once found interesting, and what once broke something, goes through its target as it did then.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use leasehold_fuzz::{TARGETS, Target};

fn files(folder: &str, target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target.name);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file can be listed").path()).collect();
    files.sort();
    files
}

/// The files that break something.
fn broken(folder: &str) -> Vec<PathBuf> {
    let broken = |target: &Target| {
        let run = target.run;
        let breaks = move |file: &PathBuf| {
            let bytes = fs::read(file).expect("a file can be read");
            catch_unwind(AssertUnwindSafe(|| run(&bytes))).is_err()
        };
        files(folder, target).into_iter().filter(breaks).collect::<Vec<_>>()
    };
    TARGETS.iter().flat_map(broken).collect()
}

#[test]
fn what_once_broke_something_breaks_nothing() {
    assert_eq!(broken("crashes"), Vec::<PathBuf>::new());
}

#[test]
fn the_corpus_breaks_nothing() {
    assert_eq!(broken("corpus"), Vec::<PathBuf>::new());
}

#[test]
fn every_target_has_a_corpus_and_every_folder_a_target() {
    for target in &TARGETS {
        assert!(!files("corpus", target).is_empty(), "{} has none", target.name);
    }
    for folder in ["corpus", "crashes"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(Target::named(&name).is_some(), "{folder}/{name} is nobody's");
        }
    }
}
