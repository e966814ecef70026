//! `yika-bench`: what Yika costs, as one table, beside what the machine itself costs in the same run.
//!
//! Promises: nothing is measured on a file system in memory but the rows that say so, no figure is left out because it is bad, and every
//! budget of the design stands beside its figure. It judges by medians and never fails a run for being slow.

mod alloc;
mod city;
mod codec_run;
mod core_run;
mod driver_run;
mod e2e;
mod error;
mod growth;
mod instructions;
mod journal_run;
mod keys_run;
mod latency;
mod machine;
mod measure;
mod memory;
mod micro;
mod nowhere;
mod pin;
mod place;
mod process;
mod profile;
mod relay;
mod report;
mod rivals;
mod stage;
mod svg;

use clap::{Parser, Subcommand};
use error::BenchError;
use place::Place;
use report::Report;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measured costs of the codec, keystore, core, journal and the whole switch, as ratios to bare limits
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Shorter runs, about 30 s in all: for a look, not for a record
    #[arg(long, global = true)]
    quick: bool,
    /// One JSON object instead of the table
    #[arg(long, global = true)]
    json: bool,
    /// Where journals are written: a folder on a disk (default: the system's folder for temporary files)
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand, Clone)]
enum Part {
    /// Codec, keystore, core and driver: no disk, no socket
    Micro,
    /// The codec alone, with instructions counted by valgrind, which takes half a minute more
    Codec,
    /// What a switch asks of its keys: PINs, MACs, DUKPT, cards and taps
    Keys,
    /// Commits by batch size beside fdatasync alone, and recovery
    Journal,
    /// The whole switch beside bare relays
    E2e,
    /// Latency under an open load, at parts of the rate that the switch reaches; two minutes, and not in the table of all
    Latency {
        /// Draw it as latency.svg in this folder
        #[arg(long)]
        svg: Option<PathBuf>,
    },
    /// How cost grows with connections, cards, the journal and cores; three minutes, and not in the table of all
    Growth {
        /// Draw it as growth.svg in this folder
        #[arg(long)]
        svg: Option<PathBuf>,
    },
    /// Where the time of a payment goes, by perf; run as `cargo xtask bench profile`, and not in the table of all
    Profile,
    /// One operation of the codec, for valgrind to count
    #[command(hide = true)]
    Operation {
        /// As in the table
        #[arg(long)]
        name: String,
        /// How many times
        #[arg(long)]
        count: u32,
    },
    /// A bare relay: what the end-to-end figures are compared with
    #[command(hide = true)]
    Relay {
        /// Where to pass everything on to, in turn
        #[arg(long, required = true, value_delimiter = ',')]
        upstream: Vec<SocketAddr>,
        /// Make everything durable in this file before it is passed on
        #[arg(long)]
        journal: Option<PathBuf>,
        /// Bytes written for one message
        #[arg(long, default_value_t = 350)]
        record_bytes: usize,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yika-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), BenchError> {
    if let Some(Part::Relay { upstream, journal, record_bytes }) = &cli.part {
        return relay::run(upstream, journal.as_deref(), *record_bytes);
    }
    if let Some(Part::Operation { name, count }) = &cli.part {
        return instructions::repeat(name, *count);
    }
    let place = Place::make(cli.dir.as_deref())?;
    let mut report = Report::new(machine::describe(&place)?, cli.quick);
    // What was measured before something failed is still worth its minutes.
    let measured = measure(cli, &place, &mut report);
    report.print(cli.json)?;
    measured
}

fn measure(cli: &Cli, place: &Place, report: &mut Report) -> Result<(), BenchError> {
    let wanted = |part: &Part| {
        cli.part.as_ref().is_none_or(|own| std::mem::discriminant(own) == std::mem::discriminant(part))
    };
    machine::noise(place, report)?;
    if wanted(&Part::Micro) {
        codec_run::run(cli.quick, false, report)?;
        micro::run(cli.quick, report)?;
        core_run::memory(cli.quick, report)?;
        core_run::run(cli.quick, report)?;
        driver_run::run(cli.quick, report)?;
    }
    if wanted(&Part::Keys) {
        keys_run::run(cli.quick, report)?;
    }
    if wanted(&Part::Journal) {
        journal_run::run(place, cli.quick, report)?;
    }
    if wanted(&Part::E2e) {
        e2e::run(place, cli.quick, report)?;
    }
    match &cli.part {
        Some(Part::Codec) => codec_run::run(cli.quick, true, report)?,
        Some(Part::Latency { svg }) => latency::run(place, cli.quick, svg.as_deref(), report)?,
        Some(Part::Growth { svg }) => growth::run(place, cli.quick, svg.as_deref(), report)?,
        Some(Part::Profile) => profile::run(place, cli.quick, report)?,
        _ => {}
    }
    machine::noise(place, report)
}
