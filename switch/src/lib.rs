//! The transaction switch as a library: the binary `yika`, the tests and the bench share it.

pub mod admin;
pub mod cli;
pub mod config;
pub mod core;
pub mod data_dir;
pub mod demo;
pub mod driver;
pub mod journal;
pub mod logs;
pub mod net;
pub mod planted;
pub mod start;
mod wipe;
