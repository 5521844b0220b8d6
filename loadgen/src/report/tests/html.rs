use super::{run, started, timeline};
use crate::measure::{Phase, Recorder, Timeline};
use crate::referee::{GrantRecord, Referee, ReleaseOutcome, Violations, Write};
use crate::report::Beside;
use crate::report::evidence::{Evidence, Record};
use crate::report::fault_line::FaultLine;
use crate::report::html::{run_html, write_report};
use crate::report::run_json::Run;
use crate::report::save::save;

const SECOND_NS: u64 = 1_000_000_000;

fn html(run: &Run, timeline: &Timeline, faults: &[FaultLine], violations: &Violations) -> String {
    run_html(&Evidence { run, timeline, faults, violations }).unwrap()
}

fn pause(node: u32, start_ms: f64) -> FaultLine {
    FaultLine {
        fault: "pause-node".to_owned(),
        target: format!("node {node}"),
        detail: String::new(),
        simulated: false,
        planned_start_ms: start_ms,
        planned_end_ms: start_ms + 1_200.0,
        actual_start_ms: start_ms,
        actual_end_ms: Some(start_ms + 1_200.0),
    }
}

/// Holders of many names, each of which slept through its deadline and met the next one.
fn violations(names: u32) -> Violations {
    let mut referee = Referee::new();
    for key in 0..names {
        let start_ns = SECOND_NS + u64::from(key) * SECOND_NS;
        let sleeper = GrantRecord {
            grant_id: u64::from(key) * 2,
            node: 5,
            key,
            token: None,
            call_ns: start_ns,
            granted_ns: start_ns,
            valid_until_ns: Some(start_ns + 100_000_000),
            told_lost_ns: None,
            release_call_ns: Some(start_ns + 300_000_001),
            release_done_ns: None,
            last_act_ns: start_ns + 300_000_000,
            release: ReleaseOutcome::Foreign,
            lost_false: false,
        };
        let next = GrantRecord {
            grant_id: sleeper.grant_id + 1,
            node: 6,
            call_ns: start_ns + 50_000_000,
            granted_ns: start_ns + 150_000_000,
            valid_until_ns: Some(start_ns + 900_000_000),
            last_act_ns: start_ns + 200_000_000,
            release_call_ns: None,
            release: ReleaseOutcome::NotCalled,
            ..sleeper
        };
        for (grant, ordinal) in [(sleeper, 0), (next, 0), (sleeper, 1)] {
            let write =
                Write { key, grant_id: grant.grant_id, granted_ns: grant.granted_ns, token: None, ordinal };
            let at_ns = if ordinal == 0 { grant.granted_ns } else { grant.last_act_ns };
            referee.write(&write, at_ns).unwrap();
        }
        referee.grant(sleeper).unwrap();
        referee.grant(next).unwrap();
    }
    Violations { started_ns: Some(SECOND_NS), ..referee.finish().violations }
}

#[test]
fn a_page_needs_nothing_beside_itself() {
    let html = html(&run(), &timeline(), &[pause(3, 100.0)], &violations(1));
    for foreign in ["http:", "https:", "src=", "url(", "@import", "<iframe"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert!(html.starts_with("<!DOCTYPE html>"));
}

#[test]
fn a_page_of_ten_busy_minutes_is_of_a_bounded_size() {
    let mut recorder = Recorder::new(0);
    for sample in 0..600_000_u64 {
        let at_ns = sample * 1_000_000;
        // From 10 us to 10 s, so that every row of the heatmap is filled in every column.
        let length_ns = 10_000 * (1 + sample.wrapping_mul(2_654_435_761) % 1_000_000);
        for phase in Phase::ALL {
            recorder.record(phase, at_ns, length_ns);
        }
    }
    let mut timeline = Timeline::default();
    for interval in recorder.finish() {
        timeline.merge(interval.encode().unwrap()).unwrap();
    }
    let mut run = run();
    run.parameters.duration_ms = 600_000;
    let faults: Vec<_> = (0..12_800).map(|n| pause(n % 64, f64::from(n) * 600_000.0 / 12_800.0)).collect();
    let html = html(&run, &timeline, &faults, &violations(600));
    assert!(html.len() < 2 * 1024 * 1024, "{} bytes", html.len());
}

#[test]
fn a_promise_is_said_to_be_kept_or_broken_first_of_all() {
    let heading = |run: &Run| {
        let html = html(run, &timeline(), &[], &Violations::default());
        let (_, rest) = html.split_once("<h1").unwrap();
        rest.split_once("</h1>").unwrap().0.to_owned()
    };
    let kept = heading(&run());
    assert!(kept.contains("good") && kept.contains("quorum kept its promise"), "{kept}");

    let mut broken = run();
    broken.safety.contract_overlaps.count = 1;
    let broken = heading(&broken);
    assert!(broken.contains("bad") && broken.contains("quorum broke its promise: 1 grants"), "{broken}");

    let mut invalid = run();
    (invalid.valid, invalid.invalid_because) = (false, vec!["sent late".to_owned()]);
    let page = html(&invalid, &timeline(), &[], &Violations::default());
    assert!(page.contains("The figures may not be used: sent late."), "{page}");
    assert!(heading(&invalid).contains("bad"));

    let mut naive = run();
    naive.lock = "setnx".to_owned();
    let acting = heading(&naive);
    assert!(acting.contains("plain") && acting.contains("it promises no exclusion"), "{acting}");
    assert!(acting.contains("setnx gave 1 of 2 grants (50.00 %) while another holder"), "{acting}");

    naive.safety.contract_overlaps = naive.safety.double_acquisition_rate.clone();
    let both = heading(&naive);
    assert!(both.contains("setnx gave 1 of 2 grants (50.00 %) while another lease on the name"), "{both}");
}

#[test]
fn a_story_is_drawn_once_with_all_its_holders() {
    let html = html(&run(), &timeline(), &[pause(5, 50.0)], &violations(3));
    let figures: Vec<_> = html.split("<figure class=\"lifeline\"").skip(1).collect();
    assert_eq!(figures.len(), 3, "one for each name");
    for figure in &figures {
        assert!(figure.contains("a release removed somebody else's lock"), "the gravest of it: {figure}");
        assert!(figure.contains("acting overlap") && figure.contains("stale write"), "{figure}");
        assert!(figure.contains("node 5") && figure.contains("node 6"), "{figure}");
    }
    assert!(figures[0].contains("class=\"stopped\""), "the pause that it slept through");
    assert!(!figures[2].contains("class=\"stopped\""));
}

#[test]
fn names_and_reasons_cannot_become_markup() {
    let mut run = run();
    run.scenario = "<script>alert(1)</script>".to_owned();
    run.command = "loadgen run --scenario '<b>'".to_owned();
    let html = html(&run, &timeline(), &[], &Violations::default());
    assert!(!html.contains("<script>alert") && !html.contains("'<b>'"), "{html}");
}

#[test]
fn a_folder_gives_the_same_page_again() {
    let results = tempfile::tempdir().unwrap();
    let faults = [pause(3, 100.0), pause(9, 700.0)];
    let folder =
        save(results.path(), started(), &run(), &timeline(), &violations(2), &faults, Beside::default())
            .unwrap();
    let first = std::fs::read_to_string(folder.join("report.html")).unwrap();
    let record = Record::read(&folder).unwrap();
    assert_eq!(record.faults, faults);
    assert_eq!(record.timeline.total(Phase::Acquire), timeline().total(Phase::Acquire));
    assert_eq!(write_report(&folder).unwrap(), folder.join("report.html"));
    assert_eq!(std::fs::read_to_string(folder.join("report.html")).unwrap(), first);
}
