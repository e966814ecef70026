//! The transaction switch as a library: the binary `yika`, the tests and the bench share it.

pub mod core;
pub mod journal;
pub mod config;
pub mod driver;
