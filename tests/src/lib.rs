//! A small world around the real driver, core and journal: scripted terminals and banks in virtual time, on
//! a disk that can crash. Tests speak the domain here; sockets, threads and clocks are left out.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

pub mod city;
pub mod gateway;
pub mod hostile;
pub mod keys;
pub mod process;
pub mod setup;
pub mod sim;
pub mod small_disk;
pub mod wire;
pub mod world;

pub use keys::KeyRing;
pub use wire::{Frame, Wire, purchase};
pub use world::{BankRequest, Terminal, World};
// The fuzzer has it by this name too, from its own crate.
pub use yika_switch::cli::convert as converter;
