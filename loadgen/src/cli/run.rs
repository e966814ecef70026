//! `yika-loadgen run`: from options to a run, from a report to an exit code.

use super::{CliError, Exit, WireArgs, option, until_stopped};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use yika_loadgen::{Arrivals, Limits, Load, Policy, RunConfig, Share, Verdict, parse_duration, run};

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Address of the host; several share the connections
    #[arg(long, required = true, value_name = "ADDRESS")]
    target: Vec<SocketAddr>,
    #[command(flatten)]
    wire: WireArgs,
    /// Requests per second, by a schedule that waits for nobody
    #[arg(long, default_value_t = 100.0, value_name = "PER_SECOND")]
    rate: f64,
    /// Distances between requests
    #[arg(long, value_enum, default_value_t = ArrivalsArg::Even)]
    arrivals: ArrivalsArg,
    /// Terminals of the open schedule: the most requests under way
    #[arg(long, default_value_t = 1000)]
    terminals: u32,
    /// Instead of a schedule: this many requests under way on each connection, always
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["rate", "arrivals", "terminals"])]
    window: Option<u32>,
    /// Connections
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// How long requests begin
    #[arg(long, default_value = "10s", value_name = "TIME")]
    duration: String,
    /// Time at the start that is not measured
    #[arg(long, default_value = "0s", value_name = "TIME")]
    warm_up: String,
    /// Kinds by weight: purchase, coupon, void, refund, pre-auth, completion, pre-auth-cancel, completion-cancel,
    /// balance, reversal, advice
    #[arg(long, default_value = "purchase=100")]
    mix: String,
    /// Smallest and largest amount, fen
    #[arg(long, default_value = "100-20000", value_name = "MIN-MAX")]
    amounts: String,
    /// Test card prefixes
    #[arg(long, value_delimiter = ',', default_value = "411111,6210,6222")]
    prefixes: Vec<String>,
    /// Cards under each prefix
    #[arg(long, default_value_t = 1000)]
    cards: u32,
    /// First two characters of each terminal id
    #[arg(long, default_value = "LG", value_name = "XX")]
    terminal_prefix: String,
    /// How long a terminal waits for an answer
    #[arg(long, default_value = "5s", value_name = "TIME")]
    answer_timeout: String,
    /// How often it repeats before it reverses
    #[arg(long, default_value_t = 2)]
    repeats: u32,
    /// How long the end may wait for what is unanswered
    #[arg(long, default_value = "60s", value_name = "TIME")]
    drain: String,
    /// Payments with a PIN, such as 20%
    #[arg(long, default_value = "0%", value_name = "SHARE")]
    pin_share: String,
    /// Sign on by 0800 on each connection
    #[arg(long)]
    sign_on: bool,
    /// Do not connect again when a connection is lost
    #[arg(long)]
    no_reconnect: bool,
    /// Seed of kinds, amounts, cards and arrivals
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Limit: 99 % of requests are answered in this time, from when they were due
    #[arg(long, value_name = "TIME")]
    p99_max: Option<String>,
    /// The same for 99.9 %
    #[arg(long, value_name = "TIME")]
    p999_max: Option<String>,
    /// Limit: the most that may fail, such as 0.1%
    #[arg(long, value_name = "SHARE")]
    errors_max: Option<String>,
    /// Limit: at least this many are answered per second
    #[arg(long, value_name = "PER_SECOND")]
    rate_min: Option<f64>,
    /// Write what the terminals believe to this file
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// No live figures
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ArrivalsArg {
    Even,
    Poisson,
}

/// How often live figures are printed.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn run(args: RunArgs) -> Result<Exit, CliError> {
    let config = config(&args)?;
    let drain = option("--drain", parse_duration(&args.drain))?;
    let duration = config.duration;
    let handle = run::start(config)?;
    // Making cards takes a while, and requests begin after it.
    let begin = Instant::now();
    until_stopped(PROGRESS_EVERY, || {
        if !args.quiet {
            eprintln!("{}", handle.progress());
        }
        handle.is_done() || begin.elapsed() >= duration
    })?;
    let report = handle.finish(drain)?;
    if let Some(path) = &args.ledger {
        report.ledger.save(path)?;
    }
    if args.json {
        let json = serde_json::to_string_pretty(&report);
        println!(
            "{}",
            json.map_err(|error| CliError::System { what: "report as JSON", source: error.into() })?
        );
    } else {
        println!("{report}");
    }
    Ok(match report.verdict {
        Verdict::Pass => Exit::Pass,
        Verdict::LimitsNotMet(_) => Exit::LimitsNotMet,
        Verdict::Invalid(_) => Exit::Invalid,
    })
}

fn config(args: &RunArgs) -> Result<RunConfig, CliError> {
    let duration = |name, text: &str| option(name, parse_duration(text));
    let maybe = |name, text: &Option<String>| text.as_deref().map(|text| duration(name, text)).transpose();
    let arrivals = match args.arrivals {
        ArrivalsArg::Even => Arrivals::Even,
        ArrivalsArg::Poisson => Arrivals::Poisson,
    };
    let load = match args.window {
        Some(outstanding) => Load::Closed { outstanding },
        None => Load::Open { rate: args.rate, arrivals, terminals: args.terminals },
    };
    let terminal_prefix: Option<[u8; 2]> = args.terminal_prefix.as_bytes().try_into().ok();
    let letters = terminal_prefix.filter(|prefix| prefix.iter().all(u8::is_ascii_alphanumeric));
    let errors_max = args.errors_max.as_deref().map(|text| option("--errors-max", text.parse::<Share>()));
    Ok(RunConfig {
        targets: args.target.clone(),
        load,
        connections: args.connections,
        duration: duration("--duration", &args.duration)?,
        warm_up: duration("--warm-up", &args.warm_up)?,
        mix: option("--mix", args.mix.parse())?,
        amounts_fen: option("--amounts", amounts(&args.amounts))?,
        prefixes: args.prefixes.clone(),
        cards: args.cards,
        terminal_prefix: option("--terminal-prefix", letters.ok_or("expected two letters or digits"))?,
        policy: Policy {
            answer_timeout: duration("--answer-timeout", &args.answer_timeout)?,
            repeats: args.repeats,
            ..Policy::default()
        },
        pin: args.wire.pin()?,
        pin_share: option("--pin-share", args.pin_share.parse())?,
        reconnect: !args.no_reconnect,
        sign_on: args.sign_on,
        seed: args.seed,
        limits: Limits {
            p99_max: maybe("--p99-max", &args.p99_max)?,
            p999_max: maybe("--p999-max", &args.p999_max)?,
            errors_max: errors_max.transpose()?,
            rate_min: args.rate_min,
        },
        // At least one target: clap demands it.
        ..RunConfig::new(args.target[0], args.wire.wire()?)
    })
}

fn amounts(text: &str) -> Result<(u64, u64), &'static str> {
    const EXPECTED: &str = "expected the smallest and the largest amount in fen, such as 100-20000";
    let (min, max) = text.split_once('-').ok_or(EXPECTED)?;
    Ok((min.parse().map_err(|_| EXPECTED)?, max.parse().map_err(|_| EXPECTED)?))
}
