//! The sockets. One current-thread runtime reads, writes and turns the driver; nothing here knows a
//! message or decides anything. A read fills the driver, the driver turns once everyone who is ready was
//! read, and each connection it touched gets one write; with many sessions to answer another thread makes those writes.

mod clock;
mod connection;
mod hsm;
mod listen;
mod sender;
mod serve;
mod signals;

pub use clock::ClockJudge;
pub(crate) use serve::wall_ms;
pub use serve::{ServeError, Stop, raise_open_files, serve};
pub use signals::outlive_file_size_limit;
