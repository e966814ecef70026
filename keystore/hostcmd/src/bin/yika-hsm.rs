//! The command `yika-hsm`: the simulator of a payShield, for tests of hosts. It holds no production keys.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use yika_hostcmd::Accepting;
use yika_hostcmd::hsm::{Simulator, SimulatorConfig, serve};
use yika_keystore::{Keystore, Lmk};
use zeroize::Zeroizing;

/// A simulator of a payShield: host commands over TCP, with the keystore of this process behind them. Test keys only
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:1500", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Bytes of the message header
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8))]
    header_length: u8,
    /// File with two or more components of the master key, 64 hex digits a line; without it the well-known test key
    #[arg(long, value_name = "FILE")]
    lmk_file: Option<PathBuf>,
    /// Answer so many milliseconds later
    #[arg(long, default_value_t = 0, value_name = "N")]
    delay_ms: u64,
    /// Answer every Nth command by error 41; 0 for none
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_every: u64,
    /// Answer every Nth command not at all; 0 for none
    #[arg(long, default_value_t = 0, value_name = "N")]
    drop_every: u64,
    /// The most connections at a time
    #[arg(long, default_value_t = 64, value_name = "N")]
    connections_max: usize,
    /// Listen where other machines can reach it, who can then use every key they have
    #[arg(long)]
    allow_remote: bool,
    /// Certificate chain in PEM; with it connections are under TLS
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key in PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Issuers of the certificates that clients have to show
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_clients: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yika-hsm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return Err(format!(
            "{} can be reached by other machines: say --allow-remote if they may",
            args.listen
        ));
    }
    let lmk = match &args.lmk_file {
        Some(file) => read_lmk(file)?,
        None => Lmk::test(),
    };
    let store = Arc::new(Keystore::in_memory(lmk));
    let config = SimulatorConfig {
        header_bytes: usize::from(args.header_length),
        delay: Duration::from_millis(args.delay_ms),
        fail_every: args.fail_every,
        drop_every: args.drop_every,
        connections_max: args.connections_max,
        ..SimulatorConfig::default()
    };
    let accepting = accepting(args)?;
    let check_value: String = store.lmk_check_value().iter().map(|byte| format!("{byte:02X}")).collect();
    let simulator = Arc::new(Simulator::new(store, config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("cannot start: {e}"))?.block_on(async {
        let cannot = |e| format!("cannot listen on {}: {e}", args.listen);
        let listener = TcpListener::bind(args.listen).await.map_err(cannot)?;
        let addr = listener.local_addr().map_err(cannot)?;
        let mut terminated =
            signal(SignalKind::terminate()).map_err(|e| format!("cannot hear signals: {e}"))?;
        eprintln!("yika-hsm: THIS IS A SIMULATOR. It protects nothing and must never see a production key.");
        println!("yika-hsm listens on {addr}, master key {check_value}");
        let stopped = async {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        serve(listener, simulator, accepting, stopped).await;
        eprintln!("yika-hsm: stopped");
        Ok(())
    })
}

#[cfg(feature = "tls")]
fn accepting(args: &Args) -> Result<Accepting, String> {
    use yika_hostcmd::tls;
    let (Some(certificates), Some(key)) = (&args.tls_certificate, &args.tls_key) else {
        return Ok(Accepting::Plain);
    };
    let identity = tls::Identity { certificates: certificates.clone(), key: key.clone() };
    tls::accepting(&identity, args.tls_clients.as_deref()).map_err(|e| e.to_string())
}

#[cfg(not(feature = "tls"))]
fn accepting(_: &Args) -> Result<Accepting, String> {
    Ok(Accepting::Plain)
}

fn read_lmk(file: &Path) -> Result<Lmk, String> {
    let says = |what: &str| format!("{}: {what}", file.display());
    let text = Zeroizing::new(fs::read_to_string(file).map_err(|e| says(&e.to_string()))?);
    let mut components = Zeroizing::new(Vec::new());
    for (n, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let component =
            component(line).ok_or_else(|| says(&format!("line {}: expected 64 hex digits", n + 1)))?;
        components.push(component);
    }
    Lmk::from_components(&components).map_err(|e| says(&e.to_string()))
}

fn component(line: &str) -> Option<[u8; 32]> {
    let digits = line.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let text = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(text, 16).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
    }
    Some(bytes)
}
