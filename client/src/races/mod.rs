//! Schedules of the shell, explored (`make races`): who goes on at each lock, atomic, notification and timer is shuttle's choice.
//! Clients, tasks and queues are those that run in production (`sync` says what is not explored); the servers are the ones in memory,
//! and time is virtual. The package is `races/`, where the patches are that a scene must find.
//!
//! - `leases`: renewal, release, drop and loss of one lease. `lines`: waiters of one process and of two. `endings`: a client that
//!   is shut down, or finds its clock off. `queues`: the queue before an endpoint.
//! - `explore`: plays a scene under many schedules. `scene`: what scenes are made of. `controls`: what is broken on purpose is found.

mod controls;
mod endings;
mod explore;
mod leases;
mod lines;
mod queues;
mod scene;
