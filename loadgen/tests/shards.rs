//! One run on several machines, which are processes here, and its parts put together.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use common::{command, count, loadgen};
use leasehold_trio::Trio;
use serde_json::Value;

const LOAD: &str = "--nodes 6 --rate 200 --keys 8 --warm-up 200ms --duration 2s --cool-down 200ms --seed 7 \
                    --pause-nodes 2 --pause-every 900ms --pause-for 100ms";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn only_folder(results: &Path) -> PathBuf {
    let mut folders = fs::read_dir(results).unwrap().map(|entry| entry.unwrap().path());
    let folder = folders.next().unwrap();
    assert_eq!(folders.next(), None, "one folder, and nothing left beside it");
    folder
}

fn run_json(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("run.json")).unwrap()).unwrap()
}

/// How many samples a phase's distribution has.
fn samples(folder: &Path, phase: &str) -> u64 {
    let text = fs::read_to_string(folder.join(format!("{phase}.hgrm"))).unwrap();
    let (_, count) = text.rsplit_once("Total count    = ").unwrap();
    count.split(']').next().unwrap().trim().parse().unwrap()
}

fn merge(shards: &[&Path], out: &Path) -> Output {
    command("merge").args(shards).arg("--out").arg(out).output().unwrap()
}

#[test]
fn two_shards_on_one_trio_are_one_run() {
    let trio = Trio::start().unwrap();
    let urls = trio.urls().join(",");
    let admitted = loadgen(&format!("trio admit --fresh --endpoints {urls}"));
    assert_eq!(admitted.status.code(), Some(0), "{}", text(&admitted.stderr));
    let results = tempfile::tempdir().unwrap();
    let place = |name: &str| results.path().join(name);
    // Far enough ahead for a busy machine.
    let start_at =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(10);
    let shards: Vec<_> = ["1/2", "2/2"]
        .into_iter()
        .map(|shard| {
            let out = place(&shard[..1]);
            let args = format!(
                "run --quiet {LOAD} --endpoints {urls} --shard {shard} --start-at {}",
                start_at.as_secs()
            );
            (
                command(&args)
                    .arg("--out")
                    .arg(&out)
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped())
                    .spawn()
                    .unwrap(),
                out,
            )
        })
        .collect();
    let folders: Vec<PathBuf> = shards
        .into_iter()
        .map(|(shard, out)| {
            let output = shard.wait_with_output().unwrap();
            assert!(matches!(output.status.code(), Some(0 | 4)), "{}", text(&output.stderr));
            only_folder(&out)
        })
        .collect();
    let (a, b) = (run_json(&folders[0]), run_json(&folders[1]));

    let merged = merge(&[&folders[1], &folders[0]], &place("merged"));
    assert!(matches!(merged.status.code(), Some(0 | 4)), "{}", text(&merged.stderr));
    let folder = only_folder(&place("merged"));
    let whole = run_json(&folder);
    for figure in ["attempted", "granted"] {
        assert_eq!(count(&whole[figure]), count(&a[figure]) + count(&b[figure]), "{figure}");
        assert!(count(&a[figure]) > 0 && count(&b[figure]) > 0, "{figure}: each shard has nodes of its own");
    }
    for phase in ["acquire", "hold", "release", "due_to_sent"] {
        let parts = folders.iter().map(|folder| samples(folder, phase)).sum::<u64>();
        assert_eq!(samples(&folder, phase), parts, "{phase}");
        assert_eq!(count(&whole["latency_us"][phase]["count"]), parts, "{phase}");
    }
    let of = |run: &Value, field: &str| count(&run["safety"][field]["of"]);
    assert_eq!(of(&whole, "contract_overlaps"), of(&a, "contract_overlaps") + of(&b, "contract_overlaps"));
    assert_eq!(
        of(&whole, "stale_writes_attempted"),
        of(&a, "stale_writes_attempted") + of(&b, "stale_writes_attempted")
    );
    assert_eq!(count(&whole["safety"]["contract_overlaps"]["count"]), 0);
    assert_eq!(count(&whole["safety"]["token_regressions"]["count"]), 0);
    assert!(whole["safety"]["undecided"]["margin_us"].as_f64().unwrap() > 0.0);
    assert_eq!(whole["merged"]["machines"].as_array().unwrap().len(), 2);
    // Both read the same clock here, so whatever is said to be known of it can be checked.
    let apart_us = whole["merged"]["starts_apart_us"].as_f64().unwrap();
    let margin_us = whole["merged"]["clocks_disagree_by_us"].as_f64().unwrap();
    assert!(apart_us < 1e6 && margin_us < 1e6, "{apart_us} {margin_us}");

    // As one machine would have been asked.
    let alone_out = place("alone");
    let alone =
        command(&format!("run --quiet {LOAD} --lock none")).arg("--out").arg(&alone_out).output().unwrap();
    assert!(matches!(alone.status.code(), Some(0 | 4)), "{}", text(&alone.stderr));
    let alone = run_json(&only_folder(&alone_out));
    assert_eq!(whole["offered_per_s"], alone["offered_per_s"]);
    assert_eq!(whole["parameters"], alone["parameters"]);

    // It is a run like any other.
    let page = folder.join("report.html");
    fs::remove_file(&page).unwrap();
    assert_eq!(command("report").arg(&folder).output().unwrap().status.code(), Some(0));
    assert!(fs::read_to_string(&page).unwrap().contains("Shared among 2 machines"));
    let compared = command("compare").args([&folder, &folder]).output().unwrap();
    assert_eq!(
        compared.status.code(),
        Some(if whole["valid"] == true { 0 } else { 4 }),
        "{}",
        text(&compared.stderr)
    );

    let refused = |shards: &[&Path], because: &str| {
        let output = merge(shards, &place("refused"));
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(because), "{}", text(&output.stderr));
    };
    refused(&[&folders[0]], "number 2 is missing");
    refused(&[&folders[0], &folders[1], &folders[0]], "shard 1 of 2 is there twice");
    refused(&[&folders[0], &folder], "is no shard of a run");
    let edit = |from: &str, to: &str| {
        let file = folders[1].join("run.json");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        text
    };
    let before = edit("\"seed\": 7", "\"seed\": 8");
    refused(&[&folders[0], &folders[1]], "seed (7 against 8)");
    fs::write(folders[1].join("run.json"), before).unwrap();
    edit("\"keys\": 8", "\"keys\": 9");
    refused(&[&folders[0], &folders[1]], "keys (8 against 9)");
}

#[test]
fn what_cannot_be_shared_is_refused_before_anything_starts() {
    let refused = |args: &str, because: &str| {
        let output = loadgen(&format!("run {args}"));
        assert_eq!(output.status.code(), Some(1), "{args}");
        assert!(text(&output.stderr).contains(because), "{args}: {}", text(&output.stderr));
    };
    let given = "--endpoints redis://127.0.0.1:1,redis://127.0.0.1:2,redis://127.0.0.1:3 --start-at 2026-11-25T12:00:00Z";
    refused("--shard 1/2", "--start-at");
    refused("--shard 1/2 --start-at 1795608000", "--endpoints");
    refused(&format!("--shard 3/2 {given}"), "2/4 for the second of four");
    refused(&format!("--shard 1/2 --nodes 1 {given}"), "2 shards need as many nodes");
    refused(&format!("--shard 1/2 --scenario restart-amnesia {given}"), "several machines share");
}
