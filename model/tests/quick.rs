//! The slices and controls that are small enough to run with every test run; `make prove` runs them all.

use leasehold_model::slices::{slices, trials};

const THREADS: usize = 2;

#[test]
fn in_every_state_of_the_small_slices_what_must_hold_holds() {
    for slice in slices().iter().filter(|slice| slice.quick) {
        let outcome = slice.explore(None, THREADS);
        assert!(outcome.failed.is_empty(), "{}: {:#?}", slice.name, outcome.failed);
        assert!(outcome.unseen.is_empty(), "{}: never came to see {:?}", slice.name, outcome.unseen);
    }
}

#[test]
fn every_control_of_a_small_slice_is_found() {
    let slices = slices();
    for trial in trials() {
        let slice = slices.iter().find(|slice| slice.name == trial.slice).expect("its slice is there");
        if !slice.quick {
            continue;
        }
        let failed = slice.explore(Some(trial.control), THREADS).failed;
        let found = failed.iter().any(|(property, _)| *property == trial.property);
        assert!(found, "{:?} in {}: {failed:#?}", trial.control, trial.slice);
    }
}
