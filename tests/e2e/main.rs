//! The real processes over real sockets: killed, starved, flooded, asked and stopped as in life.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod books;
mod chaos;
mod city;
mod commands;
mod convert;
mod crowd;
mod dialects;
mod disk;
mod drain;
mod health;
mod hsm;
mod key_life;
mod keys;
mod kill;
mod leaks;
mod memory;
mod messages;
mod operator;
mod peer;
mod rotation;
mod running;
mod secrets;
mod start;
mod tools;
