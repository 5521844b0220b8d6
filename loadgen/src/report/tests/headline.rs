use super::run;
use crate::referee::Count;
use crate::report::comparison::Group;
use crate::report::html::headline::headline;
use crate::report::run_json::Run;

fn lock(name: &str, contract_overlaps: u64, acting_overlaps: u64) -> Run {
    let mut run = run();
    run.lock = name.to_owned();
    run.safety.contract_overlaps = Count::new(contract_overlaps, 1_000);
    run.safety.acting_overlaps = Count::new(acting_overlaps, 1_000);
    run.safety.double_acquisition_rate = Count::new(acting_overlaps, 1_000);
    run
}

#[test]
fn what_the_locks_promise_comes_before_what_none_can_prevent() {
    let runs = [lock("quorum", 0, 2), lock("setnx", 69, 66)];
    assert_eq!(
        headline(&Group::by_lock(&runs)),
        [
            "Two leases valid at once: setnx 69 of 1,000 (6.90 %); quorum 0 of 1,000 (95 % bound 0.300 %).",
            "Two holders acting at once: quorum 2 of 1,000 (0.200 %); setnx 66 of 1,000 (6.60 %).",
        ]
    );
}

#[test]
fn of_many_locks_only_those_that_met_are_told_with_their_counts() {
    let runs = [lock("quorum", 0, 2), lock("setnx", 69, 66), lock("etcd", 0, 0)];
    let told = headline(&Group::by_lock(&runs));
    assert_eq!(
        told[0],
        "Two leases valid at once: setnx 69 of 1,000 (6.90 %); none seen under quorum, etcd."
    );
    let runs = [lock("quorum", 0, 0), lock("redlock", 0, 0), lock("etcd", 0, 0)];
    assert_eq!(
        headline(&Group::by_lock(&runs))[0],
        "No two leases valid at once, under quorum, redlock, etcd."
    );
}

#[test]
fn where_nobody_met_the_latency_is_told_too() {
    let runs = [lock("quorum", 0, 0), lock("redlock", 0, 0)];
    let told = headline(&Group::by_lock(&runs));
    assert!(told[0].starts_with("No two leases valid at once: quorum 0 of 1,000"), "{told:?}");
    assert!(told[1].starts_with("No two holders acting at once: quorum 0 of 1,000"), "{told:?}");
    assert!(told[2].starts_with("p99 of acquire: quorum "), "{told:?}");
}

#[test]
fn without_a_run_that_may_be_used_nothing_is_claimed() {
    let told = headline(&[]);
    assert!(told.len() == 1 && told[0].starts_with("None of these runs may be used"), "{told:?}");
}
