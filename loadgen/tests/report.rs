//! The page of a run in a real browser.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Run, passed_over};
use serde_json::Value;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The page as a browser has built it, and what it complained of; nothing where there is no browser.
fn browse(page: &Path) -> Option<(String, Vec<String>)> {
    for browser in BROWSERS {
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else { continue };
        assert!(output.status.success(), "{browser}: {}", String::from_utf8_lossy(&output.stderr));
        let log = String::from_utf8_lossy(&output.stderr);
        let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
        return Some((String::from_utf8(output.stdout).unwrap(), console));
    }
    passed_over(&BROWSERS.join(" or "));
    None
}

/// Each figure of a page: its name in `run.json`, its exact value, and what a reader sees.
fn figures(dom: &str) -> Vec<(String, f64, String)> {
    dom.split("<data value=\"")
        .skip(1)
        .map(|rest| {
            let (value, rest) = rest.split_once("\" data-field=\"").unwrap();
            let (field, rest) = rest.split_once("\">").unwrap();
            let (text, _) = rest.split_once("</data>").unwrap();
            (field.to_owned(), value.parse().unwrap(), text.to_owned())
        })
        .collect()
}

fn at<'a>(json: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(json, |value, part| &value[part])
}

/// A reader's number: `1,234`, `0.12 %`, `3.0e-3 %`.
fn number(text: &str) -> f64 {
    let digits = text.replace(',', "");
    digits.trim_end_matches(" %").parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// Names of all figures below `field` that a run has.
fn leaves(json: &Value, field: &str) -> Vec<String> {
    match at(json, field) {
        Value::Object(fields) => {
            fields.keys().flat_map(|name| leaves(json, &format!("{field}.{name}"))).collect()
        }
        Value::Number(_) => vec![field.to_owned()],
        _ => Vec::new(),
    }
}

#[test]
fn a_browser_shows_the_figures_of_the_run_and_has_nothing_to_complain_of() {
    let run = Run::of(
        "--lock setnx --memory --nodes 6 --rate 300 --keys 4 --hold 20ms --ttl 100ms --warm-up 200ms --duration 3s \
         --cool-down 200ms --pause-nodes 2 --pause-every 900ms --pause-for 300ms",
    );
    run.assert_played();
    let Some((dom, console)) = browse(&run.folder().join("report.html")) else { return };
    assert_eq!(console, Vec::<String>::new());
    let figures = figures(&dom);
    for (field, value, text) in &figures {
        let expected = at(&run.json, field).as_f64().unwrap_or_else(|| panic!("{field} is not in run.json"));
        assert_eq!(*value, expected, "{field}");
        // A reader sees the same number, in milliseconds or per cent where those read better.
        let in_ms = field.contains("_us.") && !field.ends_with(".count");
        let scale = if in_ms {
            1e-3
        } else if text.ends_with('%') {
            100.0
        } else {
            1.0
        };
        let (seen, meant) = (number(text), expected * scale);
        assert!((seen - meant).abs() <= (meant.abs() * 0.05).max(0.0006), "{field}: {text} for {expected}");
    }
    let shown = |field: &String| figures.iter().any(|(name, ..)| name == field);
    let phases =
        ["acquire", "attempt", "due_to_sent", "hold", "release"].map(|phase| format!("latency_us.{phase}"));
    let counts = ["contract_overlaps", "double_acquisition_rate", "exposure", "foreign_releases"]
        .map(|count| format!("safety.{count}"));
    for part in phases.iter().chain(&counts) {
        for field in leaves(&run.json, part).iter().filter(|field| !field.ends_with("exposure.upper_95")) {
            assert!(shown(field), "{field} is not on the page");
        }
    }
    for (picture, mark) in
        [("curves", "class=\"curve s1 heavy\""), ("heatmap", "class=\"h9\""), ("lanes", "class=\"fault\"")]
    {
        assert!(dom.contains(mark), "no {picture}");
    }
}
