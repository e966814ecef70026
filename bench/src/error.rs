//! Why a figure could not be taken. A slow figure is no error.

use std::io;
use yika_switch::config::ConfigErrors;
use yika_switch::journal::recovery::RecoveryError;
use yika_switch::journal::writer::WriteError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("cannot {doing} {what}: {source}")]
    Io { doing: &'static str, what: String, source: io::Error },
    #[error(
        "{folder} is on tmpfs: nothing there is durable, so every figure with a sync in it would be a pretence; name a \
         folder on a disk with --dir"
    )]
    Tmpfs { folder: String },
    #[error(
        "there is no {path}: build it first with `cargo build --release -p yika-switch -p yika-loadgen`, or run `cargo xtask bench`"
    )]
    NoBinary { path: String },
    #[error("{who} {what}; it said: {said}")]
    Process { who: String, what: String, said: String },
    #[error("the bench's own configuration is refused: {0}")]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error("{part} cannot be measured: {why}")]
    Setup { part: &'static str, why: String },
}

impl BenchError {
    /// For `map_err`.
    pub(crate) fn io(doing: &'static str, what: impl ToString) -> impl FnOnce(io::Error) -> BenchError {
        let what = what.to_string();
        move |source| BenchError::Io { doing, what, source }
    }

    pub(crate) fn setup(part: &'static str) -> impl Fn(&dyn std::fmt::Display) -> BenchError {
        move |why| BenchError::Setup { part, why: why.to_string() }
    }
}
