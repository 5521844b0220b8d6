//! What is broken on purpose is found, in each family of scenes: a rule of what tasks share is broken, and the scene fails.
//!
//! Rules of the client's own are broken in `races/controls`, a line of its source each.

use super::explore::finds;
use super::{endings, leases, lines, queues};
use crate::sync::Control;

#[test]
fn who_waits_for_the_end_of_a_lease_and_is_not_told() {
    assert!(finds(Control::WaitsLate, leases::renewed_and_released));
}

#[test]
fn a_place_that_moves_up_and_is_not_told() {
    assert!(finds(Control::PermitLost, lines::of_one_process));
}

#[test]
fn who_looks_at_its_place_before_it_waits() {
    assert!(finds(Control::WaitsLate, lines::of_one_process));
}

#[test]
fn a_shutdown_that_looks_for_leases_before_it_waits() {
    assert!(finds(Control::WaitsLate, endings::shut_down_with_grace));
}

#[test]
fn a_queue_that_is_filled_and_nobody_is_told() {
    assert!(finds(Control::PermitLost, queues::filled_emptied_and_closed));
}
