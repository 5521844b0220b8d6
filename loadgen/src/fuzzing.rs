//! Ways in for fuzzing: everything here that reads what comes from outside. Each panics where what it reads is not treated
//! as it should be. No part of the program.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use clap::Parser as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::{Cli, Command};
use crate::measure::{Timeline, decode, encode};
use crate::proxy::replies::Replies;
use crate::report::comparison::{Group, Threshold};
use crate::report::evidence::{Evidence, faults_in, timeline_in};
use crate::report::html::run_html;
use crate::report::{Run, compare, parse, shareable_command, summary};
use crate::run::endpoints;
use crate::run::link::{self, Order, Report};
use crate::run::settings;
use crate::scenario::{
    self, Delay, FaultKind, Load, PLANNED_MAX, Profile, READY, Scenario, Set, Skew, planned, show,
};

/// No message is longer, whatever was read, besides what it repeats of that.
const MESSAGE_LEN_MAX: usize = 2_000;

/// A message names what is wrong and does not go on for ever.
fn check_message(read: &str, message: &str) {
    assert!(!message.is_empty(), "a message that says nothing");
    // What is repeated is quoted: a character may become `\u{10ffff}`.
    assert!(message.len() <= MESSAGE_LEN_MAX + 10 * read.len(), "a message of {} bytes", message.len());
}

/// A scenario's file.
pub fn scenario(text: &str) {
    let scenario = match Scenario::parse("fuzzed", "fuzzed.toml", text) {
        Ok(scenario) => scenario,
        Err(error) => {
            let message = error.to_string();
            check_message(text, &message);
            let line = message.strip_prefix("fuzzed.toml:").and_then(|rest| rest.split(':').next());
            let line: usize = line.and_then(|line| line.parse().ok()).expect("a message names file and line");
            assert!((1..=1 + text.matches('\n').count()).contains(&line), "{message}");
            return;
        }
    };
    if settings::check_load(&scenario.load).is_err() {
        return;
    }
    check_load(&scenario.load);
    for fault in &scenario.faults {
        check_words(&fault.when.to_string());
        if let FaultKind::Network { effect, .. } = &fault.kind {
            assert!(effect.to_string().len() < MESSAGE_LEN_MAX);
        }
        // What happens more often than that takes more time to plan than there is here.
        let often = fault.when.every.is_some_and(|every| every < Duration::from_millis(1));
        if often || scenario.load.duration > Duration::from_secs(60) {
            continue;
        }
        let all = planned(&scenario.load, 3, std::slice::from_ref(fault), 1);
        assert!(all.len() <= PLANNED_MAX, "{} times", all.len());
        let (start_ns, end_ns) = scenario.load.measured_ns();
        for once in all {
            assert!(start_ns <= once.start_ns && once.start_ns <= once.end_ns && once.end_ns <= end_ns);
            check_words(&once.action.target());
        }
    }
}

fn check_words(words: &str) {
    assert!(!words.is_empty());
}

fn check_load(load: &Load) {
    check_again(&load.profile);
    check_again(&load.skew);
    let stretches = load.stretches();
    for stretch in &stretches {
        assert!(stretch.length_s >= 0.0 && stretch.from_per_s > 0.0 && stretch.to_per_s > 0.0, "{stretch:?}");
    }
    let length_s: f64 = stretches.iter().map(|stretch| stretch.length_s).sum();
    let whole_s = Duration::from_nanos(load.length_ns()).as_secs_f64();
    assert!((length_s - whole_s).abs() < 1e-3, "the rate is told for {length_s} s of {whole_s}");
}

/// What is printed reads as what it was printed from.
fn check_again<T: FromStr + Display + PartialEq + std::fmt::Debug>(value: &T) {
    let text = value.to_string();
    let again = text.parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(value), "printed as {text:?}");
}

/// One value as people write it on a command line or in a file: a time, a rate, a set, a law, a rule.
pub fn word(text: &str) {
    match scenario::duration(text) {
        Ok(duration) => assert_eq!(scenario::duration(&show(duration)), Ok(duration), "{}", show(duration)),
        Err(message) => check_message(text, &message),
    }
    match scenario::rate(text) {
        Ok(rate) => assert_eq!(scenario::rate(&rate.to_string()), Ok(rate)),
        Err(message) => check_message(text, &message),
    }
    check_word::<Delay>(text);
    check_word::<Profile>(text);
    check_word::<Skew>(text);
    if let Ok(set) = text.parse::<Set>() {
        check_again(&set);
        let members = set.members(1_000);
        assert!(members.is_sorted() && members.iter().all(|member| *member < 1_000));
    }
    match text.parse::<Threshold>() {
        Ok(threshold) => {
            let shown = threshold.to_string();
            assert!(!shown.contains("inf") && !shown.contains("NaN"), "{shown}");
            assert!(shown.parse::<Threshold>().is_ok(), "{shown}");
        }
        Err(error) => check_message(text, &error.to_string()),
    }
}

fn check_word<T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => check_again(&value),
        Err(error) => check_message(text, &error.to_string()),
    }
}

/// A command line, an argument a line. Files are not looked for.
pub fn command_line(text: &str) {
    let arguments = std::iter::once("loadgen").chain(text.lines());
    let Ok(cli) = Cli::try_parse_from(arguments) else { return };
    let Command::Run(args) = cli.command else { return };
    let ships = |name: &String| READY.iter().any(|ready| ready.name == name);
    if !args.load.scenario.as_ref().is_none_or(ships) {
        return;
    }
    match settings::plan(&args.load, &args.pauses, &args.servers, args.lock, args.seed) {
        Ok(plan) => check_load(&plan.load),
        Err(error) => check_message(text, &error.to_string()),
    }
}

/// What is shown of endpoints on a command line: in messages that refuse them, and in `run.json`.
#[must_use]
pub fn shown(urls: &str) -> String {
    let list: Vec<String> = urls.split(',').map(str::to_owned).collect();
    let refusals = [endpoints::check(&list).err(), endpoints::check_postgres(&list).err()];
    let refusals = refusals.into_iter().flatten().map(|refusal| refusal.to_string());
    let arguments = ["--endpoints".to_owned(), urls.to_owned(), format!("--endpoints={urls}")];
    refusals.chain([shareable_command(arguments)]).collect::<Vec<_>>().join("\n")
}

/// A `run.json`.
pub fn run(text: &str) {
    let run = match parse(text, PathBuf::from("run.json")) {
        Ok(run) => run,
        Err(error) => return check_message(text, &error.to_string()),
    };
    let written = serde_json::to_string(&run).expect("what was read can be written");
    let again = parse(&written, PathBuf::from("run.json")).expect("what was written can be read");
    assert_eq!(again, run);
    let (timeline, violations) = (Timeline::default(), crate::referee::Violations::default());
    check_page(&Evidence { run: &run, timeline: &timeline, faults: &[], violations: &violations });
    check_words(&summary(&run, true));
    let other = again;
    drop(compare(&[Group::new(0, vec![&run]), Group::new(1, vec![&other])]));
}

/// The files beside a `run.json`, one after the other: `intervals.hlog`, `faults.jsonl` and `violations.json`, each after a
/// line of three dashes.
pub fn evidence(text: &str) {
    static RUN: LazyLock<Run> = LazyLock::new(|| {
        let text = include_str!("../../results/example-gc-pause-quorum/run.json");
        parse(text, PathBuf::from("run.json")).expect("the example is a run")
    });
    let mut parts = text.split("---\n");
    let mut part = || parts.next().unwrap_or_default();
    let timeline = timeline_in(part(), PathBuf::from("intervals.hlog"));
    let faults = faults_in(part(), PathBuf::from("faults.jsonl"));
    let violations = serde_json::from_str(part());
    if let Err(error) = &timeline {
        check_message(text, &error.to_string());
    }
    if let Err(error) = &faults {
        check_message(text, &error.to_string());
    }
    check_page(&Evidence {
        run: &RUN,
        timeline: &timeline.unwrap_or_default(),
        faults: &faults.unwrap_or_default(),
        violations: &violations.unwrap_or_default(),
    });
}

/// A page is whole, and nothing that it shows becomes part of what it is.
fn check_page(evidence: &Evidence<'_>) {
    // There may be none, but then it is said.
    let Ok(page) = run_html(evidence) else { return };
    assert!(page.ends_with("</html>"));
    assert_eq!(page.matches("<script").count(), 1, "one script, its own");
}

/// A message between a worker and the coordinator.
pub fn frame(bytes: &[u8]) {
    check_frame::<Order>(bytes);
    check_frame::<Report>(bytes);
}

fn check_frame<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = link::decode::<T>(bytes) else { return };
    let sent = link::encode(&message).expect("what was read can be sent");
    let again: T = link::decode(&sent).expect("what was sent can be read");
    assert_eq!(link::encode(&again).expect("what was read can be sent"), sent);
}

/// A histogram on its way from a worker, in base64.
pub fn histogram(text: &str) {
    let Ok(histogram) = decode(text) else { return };
    let sent = encode(&histogram).expect("what was read can be sent");
    assert_eq!(decode(&sent).expect("what was sent can be read"), histogram);
}

/// A stream of replies through the fault proxy, in pieces. The first byte says how long each is.
pub fn replies(bytes: &[u8]) {
    let Some((&length, stream)) = bytes.split_first() else { return };
    let whole = beginnings(stream, stream.len());
    assert!(whole.is_sorted_by(|before, after| before < after), "{whole:?}");
    assert_eq!(beginnings(stream, usize::from(length)), whole, "in pieces of {length}");
}

fn beginnings(stream: &[u8], length: usize) -> Vec<usize> {
    let (mut replies, mut found, mut before) = (Replies::default(), Vec::new(), 0);
    for piece in stream.chunks(length.max(1)) {
        replies.follow(piece, |at| found.push(before + at));
        before += piece.len();
    }
    found
}
