use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{run, started, timeline};
use crate::referee::Violations;
use crate::report::Beside;
use crate::report::fault_line::FaultLine;
use crate::report::folder::{FolderError, check_writable, folder_name, rfc3339, write_folder};
use crate::report::read::read_run;
use crate::report::save::save;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn files(text: &str) -> Vec<(String, Vec<u8>)> {
    vec![("run.json".to_owned(), text.as_bytes().to_owned())]
}

#[test]
fn a_folder_is_named_after_its_run() {
    assert_eq!(folder_name(started(), "gc-pause", "quorum", 7), "20261122T122153Z-gc-pause-quorum-7");
    assert_eq!(
        folder_name(started(), "../my faults.toml", "setnx", 7),
        "20261122T122153Z-..-my-faults.toml-setnx-7"
    );
    assert_eq!(rfc3339(started()), "2026-11-22T12:21:53Z");
    let beyond_any_calendar = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 1_000);
    assert_eq!(rfc3339(beyond_any_calendar), "1970-01-01T00:00:00Z");
}

fn fault(fault: &str, actual_end_ms: Option<f64>) -> FaultLine {
    FaultLine {
        fault: fault.to_owned(),
        target: "node 5".to_owned(),
        detail: String::new(),
        simulated: false,
        planned_start_ms: 1.0,
        planned_end_ms: 2.0,
        actual_start_ms: 1.5,
        actual_end_ms,
    }
}

#[test]
fn a_saved_run_is_whole() {
    let results = tempfile::tempdir().unwrap();
    let faults = [fault("pause-node", Some(2.5)), fault("reset", None)];
    let folder = save(
        results.path(),
        started(),
        &run(),
        &timeline(),
        &Violations::default(),
        &faults,
        Beside::default(),
    )
    .unwrap();
    assert_eq!(names(results.path()), ["20261122T122153Z-gc-pause-quorum-7"]);
    assert_eq!(
        names(&folder),
        [
            "acquire.hgrm",
            "faults.jsonl",
            "hold.hgrm",
            "intervals.hlog",
            "report.html",
            "run.json",
            "violations.json"
        ]
    );
    assert_eq!(read_run(&folder).unwrap(), run());
    let lines = fs::read_to_string(folder.join("faults.jsonl")).unwrap();
    let back: Vec<FaultLine> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(back, faults);
    let violations: Violations =
        serde_json::from_slice(&fs::read(folder.join("violations.json")).unwrap()).unwrap();
    assert_eq!(violations, Violations::default());
}

#[test]
fn namesakes_are_numbered_and_never_overwritten() {
    let results = tempfile::tempdir().unwrap();
    for (text, expected) in [("one", "run"), ("two", "run-2"), ("three", "run-3")] {
        let folder = write_folder(results.path(), "run", &files(text), Vec::new()).unwrap();
        assert_eq!(folder, results.path().join(expected));
        assert_eq!(fs::read_to_string(folder.join("run.json")).unwrap(), text);
    }
    assert_eq!(fs::read_to_string(results.path().join("run/run.json")).unwrap(), "one");
}

#[test]
fn a_run_that_cannot_be_written_leaves_nothing() {
    let results = tempfile::tempdir().unwrap();
    let mut impossible = files("first");
    impossible.push(("no/such/folder".to_owned(), Vec::new()));
    let error = write_folder(results.path(), "run", &impossible, Vec::new()).unwrap_err();
    assert!(matches!(&error, FolderError::File { file, .. } if file == "no/such/folder"), "{error}");
    assert!(names(results.path()).is_empty(), "{:?}", names(results.path()));
}

#[test]
fn the_folder_is_for_others_too() {
    let results = tempfile::tempdir().unwrap();
    let neighbour = results.path().join("made-by-mkdir");
    fs::create_dir(&neighbour).unwrap();
    let folder = write_folder(results.path(), "run", &files(""), Vec::new()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&folder), mode(&neighbour));
}

#[test]
fn the_results_folder_is_tried_before_a_run() {
    let parent = tempfile::tempdir().unwrap();
    let results = parent.path().join("deep/results");
    check_writable(&results).unwrap();
    assert!(names(&results).is_empty(), "the trial leaves nothing");
}

#[test]
fn an_unwritable_results_folder_is_named_with_the_remedy() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("results");
    fs::write(&file, "in the way").unwrap();
    for error in
        [check_writable(&file).unwrap_err(), write_folder(&file, "run", &files(""), Vec::new()).unwrap_err()]
    {
        let text = error.to_string();
        assert!(text.contains(&format!("cannot write results into {}", file.display())), "{text}");
        assert!(text.ends_with("name another folder with --out"), "{text}");
    }
}
