use super::{run, safety};
use crate::report::compare::CompareError;
use crate::report::comparison::{Group, Threshold};
use crate::report::run_json::Run;
use crate::report::verdict::Exit;

/// The same load on the naive lock.
fn naive() -> Run {
    let mut naive = run();
    naive.lock = "setnx".to_owned();
    naive.achieved_per_s = 1_000.0;
    naive.safety = safety(None);
    naive.latency_us.acquire.p50 = naive.latency_us.acquire.p50.map(|p50| p50 / 2.0);
    naive
}

fn compare(a: &Run, b: &Run) -> Result<String, CompareError> {
    crate::report::compare::compare(&[Group::new(0, vec![a]), Group::new(1, vec![b])])
}

/// The cells of the row that begins with `name`.
fn cells(table: &str, name: &str) -> Vec<String> {
    let line = table
        .lines()
        .find(|line| line.starts_with(&format!("| {name} ")))
        .unwrap_or_else(|| panic!("{table}"));
    line.split('|').map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).skip(1).collect()
}

#[test]
fn two_locks_stand_side_by_side() {
    let text = compare(&run(), &naive()).unwrap();
    assert!(
        text.starts_with("gc-pause: 40 nodes, 200 names (zipf:1.0), 2000.0/s poisson for 30 s"),
        "{text}"
    );
    assert!(text.contains(" A: quorum |"), "{text}");
    assert!(text.contains(" B: setnx |"), "{text}");
    assert_eq!(cells(&text, "grants"), ["59,961 of 60,000", "59,961 of 60,000", "+0.0 %"]);
    assert_eq!(cells(&text, "achieved rate"), ["1998.7/s", "1000.0/s", "-50.0 %"]);
    assert_eq!(cells(&text, "acquire p50, ms").last().unwrap(), "-50.0 %");
    assert_eq!(cells(&text, "retries per grant"), ["0.420", "0.420", "+0.0 %"]);
    assert_eq!(cells(&text, "contract overlaps"), ["0 of 2 (< 100.00 %)", "0 of 2 (< 100.00 %)"]);
    assert_eq!(cells(&text, "double-acquisition rate")[0], "50.00 % (< 97.47 %)");
    assert_eq!(cells(&text, "stale writes accepted, no fence"), ["1 of 3", "1 of 3"]);
    assert_eq!(cells(&text, "stale writes accepted past the fence"), ["0 of 3 (< 100.00 %)", "no tokens"]);
    assert!(
        text.contains(
            "Seen in B (setnx), with too few runs to tell it from noise: acquire p50 -50.0 %, acquire p90 "
        ),
        "{text}"
    );
    assert!(text.contains("not differences shown to last"), "two runs prove no difference: {text}");
}

#[test]
fn a_percentile_that_is_not_given_is_not_invented() {
    let mut few = naive();
    few.latency_us.acquire.p999 = None;
    let cells = cells(&compare(&run(), &few).unwrap(), "acquire p99.9, ms");
    assert_eq!(&cells[1..], ["-", "-"]);
}

#[test]
fn invalid_and_interrupted_runs_are_refused() {
    let mut invalid = run();
    (invalid.valid, invalid.invalid_because) =
        (false, vec!["sent late".to_owned(), "sent too few".to_owned()]);
    let error = compare(&run(), &invalid).unwrap_err();
    assert_eq!(
        error.to_string(),
        "run B is invalid and cannot be compared: sent late; sent too few; repeat it"
    );
    assert_eq!(error.exit(), Exit::Invalid);

    let mut interrupted = run();
    interrupted.complete = false;
    let error = compare(&interrupted, &run()).unwrap_err();
    assert_eq!(error, CompareError::Incomplete { run: "A".to_owned() });
    assert_eq!(error.exit(), Exit::Invalid);
}

#[test]
fn different_workloads_are_refused_by_what_differs() {
    let mut other = run();
    other.nodes = 20;
    other.scenario = "calm".to_owned();
    other.parameters.rate_per_s = 500.0;
    other.parameters.skew = "uniform".to_owned();
    other.parameters.faults.pop();
    let error = compare(&run(), &other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "A and B are different workloads and cannot be compared: scenario (gc-pause against calm), \
         nodes (40 against 20), faults (2 of them against 1 of them), rate_per_s (2000.0 against 500.0), \
         skew (zipf:1.0 against uniform); repeat one with the other's settings"
    );
    assert_eq!(error.exit(), Exit::Usage);
}

#[test]
fn faults_that_are_as_many_are_refused_by_the_first_that_differs() {
    let mut other = run();
    other.parameters.faults[1].target = "node 8".to_owned();
    other.parameters.faults[1].length_ms += 1;
    let faults = &run().parameters.faults;
    let (target, length_ms) = (&faults[1].target, faults[1].length_ms);
    assert_eq!(
        compare(&run(), &other).unwrap_err().to_string(),
        format!(
            "A and B are different workloads and cannot be compared: faults (number 2 of 2: length_ms {length_ms} \
             against {}, target {target} against node 8); repeat one with the other's settings",
            length_ms + 1
        )
    );
}

#[test]
fn each_parameter_identifies_the_workload() {
    let changes: [fn(&mut Run); 12] = [
        |run| run.parameters.profile.push('x'),
        |run| run.parameters.think_us += 1,
        |run| run.parameters.duration_ms += 1,
        |run| run.parameters.warm_up_ms += 1,
        |run| run.parameters.cool_down_ms += 1,
        |run| run.parameters.keys += 1,
        |run| run.parameters.arrivals.push('x'),
        |run| run.parameters.hold_us += 1,
        |run| run.parameters.wait_ms += 1,
        |run| run.parameters.ttl_ms += 1,
        |run| run.parameters.faults[0].length_ms += 1,
        |run| run.parameters.rate_per_s += 0.5,
    ];
    for change in changes {
        let mut other = run();
        change(&mut other);
        let error = compare(&run(), &other).unwrap_err();
        assert!(
            matches!(&error, CompareError::DifferentWorkload { differences, .. } if differences.len() == 1),
            "{error}"
        );
    }
}

#[test]
fn another_seed_and_another_machine_are_noted() {
    let mut elsewhere = run();
    elsewhere.seed = 8;
    elsewhere.environment.cores = 64;
    elsewhere.environment.commit = None;
    let text = compare(&run(), &elsewhere).unwrap();
    assert!(text.contains("Other arrivals: seed 7 against 8."), "{text}");
    assert!(text.contains("Other environment: commit, cores."), "{text}");
    assert!(!compare(&run(), &run()).unwrap().contains("Other "));
}

/// Five runs whose p50, p99 and p99.9 are `factor` times what they were, each a little off in its own way.
fn repeats(factor: f64) -> Vec<Run> {
    (0..5_u8)
        .map(|repeat| {
            let mut run = run();
            run.seed = u64::from(repeat);
            let scale = factor * (1.0 + f64::from(repeat) / 100.0);
            let acquire = &mut run.latency_us.acquire;
            for percentile in [&mut acquire.p50, &mut acquire.p90, &mut acquire.p99, &mut acquire.p999] {
                *percentile = percentile.map(|us| us * scale);
            }
            run
        })
        .collect()
}

fn groups<'a>(a: &'a [Run], b: &'a [Run]) -> [Group<'a>; 2] {
    [Group::new(0, a.iter().collect()), Group::new(1, b.iter().collect())]
}

#[test]
fn repeats_show_a_difference_with_its_interval_or_call_it_noise() {
    let (a, slower, alike) = (repeats(1.0), repeats(1.2), repeats(1.001));
    let text = crate::report::compare::compare(&groups(&a, &slower)).unwrap();
    assert!(
        text.contains("acquire p99: B (quorum) has 20.0 % more than A (quorum) (95 % interval +1"),
        "{text}"
    );
    assert!(!text.contains("at least five interleaved repeats"), "there are five: {text}");
    let text = crate::report::compare::compare(&groups(&a, &alike)).unwrap();
    assert!(text.contains("acquire p99: noise"), "{text}");
}

#[test]
fn a_percentile_that_one_repeat_lacks_is_not_compared() {
    let (a, mut b) = (repeats(1.0), repeats(1.2));
    b[3].latency_us.acquire.p999 = None;
    let text = crate::report::compare::compare(&groups(&a, &b)).unwrap();
    assert!(!text.contains("p99.9: "), "{text}");
    assert_eq!(cells(&text, "acquire p99.9")[1], "-", "{text}");
}

#[test]
fn a_rule_fails_what_is_shown_and_not_what_is_noise() {
    let (a, slower, alike) = (repeats(1.0), repeats(1.2), repeats(1.001));
    let missed = |rule: &str, b: &[Run]| {
        let rule: Threshold = rule.parse().unwrap_or_else(|error| panic!("{rule}: {error}"));
        let [first, group] = groups(&a, b);
        rule.missed(&first, &group).is_some()
    };
    assert!(missed("p99 > +10%", &slower));
    assert!(!missed("p99 > +30%", &slower));
    assert!(!missed("p99 > +0.01%", &alike), "noise");
    assert!(missed("rate < 3000", &slower) && !missed("rate < 1000/s", &slower));
    assert!(missed("p50 > 1us", &a) && !missed("p99 > 50s", &a));
    assert!(missed("double_acquisition > 0", &a) && !missed("double_acquisition > 60%", &a));
    assert!(!missed("contract_overlaps > 0", &a));
    assert!(missed("handoff_p50 > 1s", &a), "what nobody measured was not kept");
}

#[test]
fn a_rule_that_is_none_says_what_there_is() {
    let wrong = |rule: &str| rule.parse::<Threshold>().map(|rule| rule.to_string()).unwrap_err().to_string();
    assert!(wrong("p98 > 1ms").contains("there are p50, p90, p99"), "{}", wrong("p98 > 1ms"));
    assert!(wrong("p99 +10%").contains("expected FIGURE"));
    assert!(wrong("p99 > 10").contains("times take us, ms or s"));
    assert!(wrong("p99 > +10ms").contains("expected FIGURE"));
    assert!(wrong(&format!("p99 > {}ms", "9".repeat(400))).contains("more than any run comes to"));
    assert!(wrong("p99 > 1000000001s").contains("more than any run comes to"));
    assert!("p99 > 1000000000s".parse::<Threshold>().is_ok());
}
