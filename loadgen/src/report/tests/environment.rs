use crate::report::environment::shareable_command;
use crate::report::run_json::Environment;

fn shared(arguments: &[&str]) -> String {
    shareable_command(arguments.iter().map(|&argument| argument.to_owned()))
}

#[test]
fn a_command_names_no_path_of_this_machine() {
    assert_eq!(
        shared(&[
            "/home/someone/target/release/loadgen",
            "run",
            "--out",
            "/home/someone/results/",
            "--nodes",
            "40"
        ]),
        "loadgen run --out results --nodes 40"
    );
    assert_eq!(shared(&["./target/debug/loadgen", "run", "--out=~/there"]), "loadgen run --out=there");
    assert_eq!(
        shared(&["loadgen", "compare", "results/a", "results/b"]),
        "loadgen compare results/a results/b"
    );
}

#[test]
fn a_command_names_no_password() {
    assert_eq!(
        shared(&[
            "loadgen",
            "run",
            "--endpoints",
            "redis://user:p@ss:w@h1:7001,rediss://:secret@h2,redis://h3:7003"
        ]),
        "loadgen run --endpoints redis://h1:7001,rediss://h2,redis://h3:7003"
    );
    assert_eq!(shared(&["loadgen", "--endpoints=redis://u:p@h"]), "loadgen --endpoints=redis://h");
}

#[test]
fn a_command_can_be_pasted() {
    assert_eq!(shared(&["loadgen", "run", "--scenario", "two words"]), "loadgen run --scenario 'two words'");
}

#[test]
fn this_machine_is_described_without_its_paths() {
    let environment = Environment::of_this_machine(None);
    assert!(environment.cores >= 1);
    assert!(environment.compiler.starts_with("rustc "), "{}", environment.compiler);
    assert_eq!(environment.profile, if cfg!(debug_assertions) { "debug" } else { "release" });
    let kernel: Vec<_> = environment.kernel.split(' ').collect();
    assert!(kernel.len() >= 2 && kernel.iter().all(|part| !part.is_empty()), "{kernel:?}");
    if let Some(commit) = &environment.commit {
        assert!(commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{commit}");
        assert!(environment.dirty.is_some());
    }
    let json = serde_json::to_string(&environment).unwrap();
    assert!(!json.contains("\"/") && !json.contains(env!("CARGO_MANIFEST_DIR")), "{json}");
}
