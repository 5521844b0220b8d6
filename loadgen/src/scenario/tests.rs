//! Scenario files are read as they are written, refused by file, line and key, and planned from the seed.

use std::time::Duration;

use proptest::prelude::*;

use super::load::Stretch;
use super::*;

fn refused(text: &str) -> String {
    Scenario::parse("test", "test.toml", text).unwrap_err().to_string()
}

fn parsed(text: &str) -> Scenario {
    Scenario::parse("test", "test.toml", text).unwrap()
}

#[test]
fn every_scenario_that_ships_is_sound_and_says_what_it_is_for() {
    for ready in READY {
        let scenario = ready.scenario().unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.about.is_empty(), "{}", ready.name);
        assert_eq!(dropped(&scenario.load, 3, &scenario.faults, 1), 0, "{}", ready.name);
    }
    assert_eq!(find("calm").unwrap().load, Load::default(), "calm spells the defaults out");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_right_one() {
    let error = refused("[load]\nnodes = 3\nraet = 5\n");
    assert!(
        error.starts_with("test.toml:3: unknown key \"raet\" in [load]; did you mean \"rate\"?"),
        "{error}"
    );
    let error = refused("[[fault]]\nkind = \"partition\"\nlenght = \"5s\"\n");
    assert!(error.starts_with("test.toml:3: unknown key \"lenght\""), "{error}");
    assert!(error.contains("did you mean \"length\"?"), "{error}");
    let error = refused("about = \"x\"\n\n[laod]\n");
    assert!(
        error.starts_with("test.toml:3: unknown key \"laod\" in a scenario; did you mean \"load\"?"),
        "{error}"
    );
    let error = refused("[[fault]]\nkind = \"pause-nodes\"\n");
    assert!(error.contains("test.toml:2: unknown kind \"pause-nodes\""), "{error}");
    assert!(error.contains("did you mean \"pause-node\"?"), "{error}");
    let error = refused("[[fault]]\nkind = \"flush\"\nendpoints = \"all\"\nshare = 0.5\n");
    assert!(error.starts_with("test.toml:4: unknown key \"share\" in a fault of kind flush"), "{error}");
}

#[test]
fn wrong_values_are_named_with_their_line() {
    for (text, line, part) in [
        ("[load]\nrate = \"fast\"\n", 2, "\"rate\" in [load]: expected a number"),
        ("[load]\nrate = 0\n", 2, "0.1 to 1000000"),
        ("[load]\n\nhold = 5\n", 3, "expected a text in quotes"),
        ("[load]\nskew = \"steep\"\n", 2, "zipf:S"),
        ("[load]\nprofile = \"ramp\"\n", 2, "ramp:RATE"),
        ("[load]\nnodes = -1\n", 2, "from 1 to 1000"),
        ("[load\n", 1, "no TOML"),
        ("fault = 3\n", 1, "[[fault]]"),
        ("[[fault]]\nkind = \"partition\"\n", 1, "needs a \"length\""),
        ("[[fault]]\nstart = \"1s\"\n", 1, "without a kind"),
        ("[[fault]]\nkind = \"kill-endpoint\"\nlength = \"1s\"\nendpoints = [0]\n", 1, "needs \"data\""),
        ("[[fault]]\nkind = \"clock\"\nendpoints = [0]\n", 1, "\"rate\" or \"jump\""),
        ("[[fault]]\nkind = \"stall\"\nlength = \"1s\"\nevery = \"1s\"\n", 4, "longer than"),
        ("[[fault]]\nkind = \"stall\"\nlength = \"1s\"\ncount = 2\n", 4, "needs \"every\""),
        ("[[fault]]\nkind = \"stall\"\nlength = \"1s\"\nendpoints = \"3-1\"\n", 4, "0-9,12"),
        ("[[fault]]\nkind = \"latency\"\nlength = \"1s\"\ndelay = \"uniform:5ms\"\n", 4, "uniform:1ms-9ms"),
        ("[[fault]]\nkind = \"lose-reply\"\nlength = \"1s\"\nshare = 0\n", 4, "a share over 0"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(&format!("test.toml:{line}: ")), "{text:?}: {error}");
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn a_name_that_nothing_has_gets_the_nearest_one() {
    let error = find("gc-puase").unwrap_err().to_string();
    assert!(error.contains("did you mean \"gc-pause\"?"), "{error}");
    assert!(find("no/such.toml").unwrap_err().to_string().contains("no/such.toml"));
}

#[test]
fn repeats_happen_in_time_and_turns_are_taken() {
    let scenario = parsed(
        "[load]\nwarm_up = \"1s\"\nduration = \"10s\"\n\
         [[fault]]\nkind = \"kill-endpoint\"\nendpoints = \"all\"\ndata = \"keep\"\n\
         start = \"1s\"\nevery = \"2s\"\nlength = \"500ms\"\njitter = \"100ms\"\npick = \"turn\"\n",
    );
    let planned = planned(&scenario.load, 3, &scenario.faults, 7);
    let endpoints: Vec<u32> = planned
        .iter()
        .map(|fault| match fault.action {
            Action::KillEndpoint { endpoint, .. } => endpoint,
            _ => panic!("{fault:?}"),
        })
        .collect();
    assert_eq!(endpoints, [0, 1, 2, 0, 1]);
    for (fault, nominal_ms) in planned.iter().zip([2_000, 4_000, 6_000, 8_000, 10_000_u64]) {
        let start_ms = fault.start_ns / 1_000_000;
        assert!((nominal_ms..nominal_ms + 100).contains(&start_ms), "{start_ms}");
        assert_eq!(fault.end_ns - fault.start_ns, 500_000_000);
    }
}

#[test]
fn pauses_come_from_the_seed_lie_within_the_measured_part_and_do_not_meet() {
    let scenario = find("gc-pause").unwrap();
    let plan = |seed| planned(&scenario.load, 3, &scenario.faults, seed);
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    let (start_ns, end_ns) = scenario.load.measured_ns();
    assert!(plan(7).iter().all(|pause| pause.start_ns >= start_ns && pause.end_ns < end_ns));
    for node in 0..10 {
        let own: Vec<_> = plan(7).into_iter().filter(|p| p.action == Action::PauseNode { node }).collect();
        assert!(own.len() >= 8, "{}", own.len());
        assert!(own.windows(2).all(|pair| pair[0].end_ns < pair[1].start_ns));
    }
}

#[test]
fn what_happens_once_is_cut_off_with_the_measured_part_and_what_comes_after_is_dropped() {
    let scenario = parsed(
        "[load]\nwarm_up = \"0s\"\nduration = \"10s\"\n\
         [[fault]]\nkind = \"stall\"\nstart = \"8s\"\nlength = \"5s\"\n\
         [[fault]]\nkind = \"stall\"\nstart = \"12s\"\nlength = \"5s\"\n\
         [[fault]]\nkind = \"flush\"\nendpoints = [7]\n",
    );
    let planned = planned(&scenario.load, 3, &scenario.faults, 7);
    assert_eq!(planned.len(), 1);
    assert_eq!((planned[0].start_ns, planned[0].end_ns), (8_000_000_000, 10_000_000_000));
    assert_eq!(dropped(&scenario.load, 3, &scenario.faults, 7), 2);
}

#[test]
fn sets_are_read_and_written() {
    let members = |text: &str| text.parse::<Set>().unwrap().members(10);
    assert_eq!(members("all").len(), 10);
    assert_eq!(members("25%"), [0, 1]);
    assert_eq!(members("1%"), [0]);
    assert_eq!(members("2-4,9,12"), [2, 3, 4, 9]);
    for wrong in ["", "some", "4-2", "0%", "101%", "-1", "0-99999999"] {
        assert!(wrong.parse::<Set>().is_err(), "{wrong}");
    }
    assert_eq!(set::in_words("node", &[0, 1, 2, 5, 7, 8]), "nodes 0-2,5,7,8");
    assert_eq!("2-4,9".parse::<Set>().unwrap().to_string(), "2-4,9");
}

#[test]
fn profiles_cover_the_run_and_end_where_they_are_told() {
    let load = |profile: &str| Load { profile: profile.parse().unwrap(), ..Load::default() };
    let flat = |length_s, rate| Stretch { length_s, from_per_s: rate, to_per_s: rate };
    let ramp = load("ramp:4000").stretches();
    assert_eq!(ramp[1], Stretch { length_s: 30.0, from_per_s: 2_000.0, to_per_s: 4_000.0 });
    assert_eq!(ramp[2], flat(1.0, 4_000.0));
    assert_eq!(
        load("step:4000,3").stretches(),
        [
            flat(2.0, 2_000.0),
            flat(10.0, 2_000.0),
            flat(10.0, 3_000.0),
            flat(10.0, 4_000.0),
            flat(1.0, 4_000.0)
        ]
    );
    assert_eq!(
        load("spike:9000,10s,5s").stretches(),
        [
            flat(2.0, 2_000.0),
            flat(10.0, 2_000.0),
            flat(5.0, 9_000.0),
            flat(15.0, 2_000.0),
            flat(1.0, 2_000.0)
        ]
    );
    for text in ["constant", "ramp:4000", "step:4000,3", "spike:9000,10s,5s"] {
        assert_eq!(text.parse::<Profile>().unwrap().to_string(), text);
    }
    for wrong in ["", "ramp", "ramp:0", "step:5,1", "spike:1,2", "constant:3"] {
        assert!(wrong.parse::<Profile>().is_err(), "{wrong}");
    }
}

#[test]
fn delays_follow_their_law() {
    let mut random = generator(3, 1);
    let mut mean_ms = |text: &str| {
        let delay: Delay = text.parse().unwrap();
        assert_eq!(delay.to_string(), text);
        let sum: Duration = (0..10_000).map(|_| delay.draw(&mut random)).sum();
        sum.as_secs_f64() / 10.0
    };
    assert!((mean_ms("20ms") - 20.0).abs() < 1e-9);
    assert!((mean_ms("uniform:1ms-9ms") - 5.0).abs() < 0.2);
    assert!((mean_ms("exp:5ms") - 5.0).abs() < 0.3);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        drop(Scenario::parse("test", "test.toml", &text));
    }

    #[test]
    fn no_mutilated_scenario_makes_the_reader_panic(from in 0..3_000_usize, to in 0..3_000_usize, with in "\\PC{0,8}") {
        let text = READY[10].text;
        let (from, to) = (from.min(text.len()), to.min(text.len()));
        let (from, to) = (from.min(to), from.max(to));
        drop(Scenario::parse("test", "test.toml", &format!("{}{with}{}", &text[..from], &text[to..])));
    }
}
