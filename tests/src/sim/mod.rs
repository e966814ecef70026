//! The simulator: the real codec, sessions, lines, driver, core, journal and recovery in a world made of one seed.
//! Only sockets, files, clock and random numbers are replaced. Terminals and banks are those of the load generator, with
//! their own ledgers. Everything that happens follows from the seed and the list of faults, so that a failing run can
//! be replayed, and its faults be left out one by one.

mod check;
pub mod coverage;
pub mod fault;
mod gateways;
mod journal;
pub mod kinds;
pub mod matrix;
mod observe;
mod operator;
mod rest;
pub mod run;
mod setting;
pub mod start;
mod trace;
mod traffic;
mod world;

pub use coverage::Coverage;
pub use fault::{Fault, FaultKind};
pub use run::{Outcome, Violation, run, shrink};
