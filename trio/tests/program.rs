//! Which program is found depends on the environment, which belongs to the whole process: so each question is asked in
//! a process of its own, this test program started again.

mod support;

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use leasehold_trio::{ServerKind, ServerProgram};
use support::{VERSION, impostor};

const HELPER: &str = "say_what_is_found";

/// Not a test of its own: says what is found, for the tests below.
#[test]
#[ignore = "started by the tests below"]
fn say_what_is_found() {
    match ServerProgram::find() {
        Ok(program) => eprintln!("{program} at {}", program.path().display()),
        Err(error) => eprintln!("{error}"),
    }
}

fn found(variable: Option<&Path>, path: &Path) -> String {
    let mut helper = Command::new(env::current_exe().expect("this program"));
    helper.args(["--exact", HELPER, "--ignored", "--nocapture"]).stdout(Stdio::null());
    helper.env_remove("LEASEHOLD_SERVER").env("PATH", path);
    if let Some(variable) = variable {
        helper.env("LEASEHOLD_SERVER", variable);
    }
    let output = helper.stderr(Stdio::piped()).output().expect("this program runs");
    assert!(output.status.success());
    String::from_utf8(output.stderr).expect("UTF-8").trim().to_owned()
}

#[test]
fn takes_the_one_in_the_path() {
    let (dir, program) = impostor(VERSION, "exit 1");
    assert_eq!(found(None, dir.path()), format!("Redis 7.0.15 at {}", program.display()));
}

#[test]
fn takes_a_valkey_where_there_is_no_redis() {
    let (dir, program) = impostor("Valkey server v=9.0.1 sha=00000000:0", "exit 1");
    let valkey = dir.path().join("valkey-server");
    std::fs::rename(program, &valkey).unwrap();
    assert_eq!(found(None, dir.path()), format!("Valkey 9.0.1 at {}", valkey.display()));
    assert_eq!(ServerProgram::at(valkey).unwrap().kind(), ServerKind::Valkey);
}

#[test]
fn the_variable_goes_first_and_may_be_a_path_or_a_name() {
    let (in_path, other) = impostor(VERSION, "exit 1");
    let (_named_dir, named) = impostor("Redis server v=8.2.1 sha=00000000:0", "exit 1");
    assert_eq!(found(Some(&named), in_path.path()), format!("Redis 8.2.1 at {}", named.display()));
    let by_name = found(Some(Path::new("redis-server")), in_path.path());
    assert_eq!(by_name, format!("Redis 7.0.15 at {}", other.display()));
    let unset = found(Some(Path::new("")), in_path.path());
    assert_eq!(unset, by_name);
}

#[test]
fn a_variable_that_names_nothing_is_an_error_and_not_passed_over() {
    let (in_path, _program) = impostor(VERSION, "exit 1");
    let error = found(Some(Path::new("/nonexistent/redis-server")), in_path.path());
    assert!(
        error.starts_with("$LEASEHOLD_SERVER names /nonexistent/redis-server, which is not a file"),
        "{error}"
    );
}

#[test]
fn without_a_program_the_error_says_how_to_get_one() {
    let empty = tempfile::tempdir().unwrap();
    let error = found(None, empty.path());
    for remedy in ["apt-get install", "brew install", "--memory", "LEASEHOLD_SERVER"] {
        assert!(error.contains(remedy), "{remedy} is missing in: {error}");
    }
}
