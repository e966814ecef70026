//! `yika-loadgen issuer`: a simulated host until its time is over or it is told to stop; then its ledger.

use super::{CliError, Exit, WireArgs, option, until_stopped};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use yika_loadgen::{IssuerConfig, Role, issuer};

#[derive(Args)]
pub(crate) struct IssuerArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7200", value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    wire: WireArgs,
    /// What to play
    #[arg(long, value_enum, default_value_t = RoleArg::Issuer)]
    role: RoleArg,
    /// Faults and declines, such as decline=2%,silence=0.5%,late=0.2%:3500ms,delay=1ms-5ms
    #[arg(long, default_value = "")]
    script: String,
    /// Name in the ledger
    #[arg(long, default_value = "issuer")]
    name: String,
    /// Seed of the fates of messages
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End by itself after this many seconds
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Write what was booked to this file at the end
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Print the counts at the end as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    Issuer,
    CouponPlatform,
}

pub(crate) fn run(args: IssuerArgs) -> Result<Exit, CliError> {
    let config = IssuerConfig {
        role: match args.role {
            RoleArg::Issuer => Role::Issuer,
            RoleArg::CouponPlatform => Role::CouponPlatform,
        },
        script: option("--script", args.script.parse())?,
        pin: args.wire.pin()?,
        seed: args.seed,
        ..IssuerConfig::new(&args.name, args.listen, args.wire.wire()?)
    };
    let host = issuer::start(config)?;
    eprintln!("{} listens on {}; Ctrl-C ends it", host.name(), host.addr());
    let (begin, limit) = (Instant::now(), Duration::from_secs(args.seconds));
    until_stopped(Duration::from_millis(200), || begin.elapsed() >= limit)?;
    let stats = host.stats()?;
    let ledger = host.stop()?;
    if let Some(path) = &args.ledger {
        ledger.save(path)?;
    }
    if args.json {
        let json = serde_json::to_string_pretty(&stats);
        println!(
            "{}",
            json.map_err(|error| CliError::System { what: "counts as JSON", source: error.into() })?
        );
    } else {
        println!("{stats:#?}");
    }
    Ok(Exit::Pass)
}
