//! The protocol in small, and every order of its steps: three endpoints, two or three clients, bounded numbers of attempts,
//! renewals and faults.
//!
//! This is the protocol written a second time, not the machines of the client: their states hold moments, random bits and
//! queues, so that hardly two are ever equal, and "every" would never end. The simulator drives the real machines through
//! some orders; this drives the rules through all of them, within bounds that each slice states.
//!
//! What is apart in reality is a step apart: a request leaves, is executed, its answer arrives, each whenever it likes, in
//! any order, or never. Time is kept as ticks left, so that it has no end and yet finitely many states.
//!
//! # Layout
//!
//! * [`rules`]: the numbers of the protocol, and each way to get one rule wrong.
//! * [`state`]: what endpoints store, what is under way, what clients believe.
//! * [`endpoint`]: the operations of the script.
//! * [`attempt`], [`hold`]: a client that acquires, and one that holds.
//! * [`mod@line`]: hand-over: acquires that are parked where the lock is held, and given it there.
//! * [`world`]: all steps that may follow a state, with time and faults.
//! * [`referee`]: what must hold in every state.
//! * [`admission`]: how an endpoint that may have forgotten earns its vote; one endpoint suffices there, and it has faults
//!   that the others need not know.
//! * [`slices`]: what is explored, and which control must be caught where.

pub mod admission;
pub mod attempt;
pub mod endpoint;
pub mod hold;
pub mod line;
pub mod referee;
pub mod rules;
pub mod slices;
pub mod state;
pub mod world;
