//! A network and mounts of our own: this program runs itself again inside them, so that packets can be lost and small
//! disks be mounted without anybody else noticing, and so that all of it is gone when the program is.

use std::os::unix::process::CommandExt;
use std::process::Command;
use yika_tests::small_disk::run;

/// Says that this process is the one inside.
const INSIDE: &str = "YIKA_CHAOS_INSIDE";

/// One packet of a hundred is lost, one of ten thousand is answered with a reset.
const RULES: [&str; 4] = [
    "add table ip yika_chaos",
    "add chain ip yika_chaos in { type filter hook input priority 0; policy accept; }",
    "add rule ip yika_chaos in meta l4proto tcp numgen random mod 100 < 1 counter drop",
    "add rule ip yika_chaos in meta l4proto tcp numgen random mod 10000 < 1 counter reject with tcp reset",
];

/// Goes on inside, where the system allows it: this process is replaced then, and the call returns in the new one.
///
/// # Errors
/// Why there is no network of our own; then we go on where we are.
pub(crate) fn enter() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return run(Command::new("ip").args(["link", "set", "lo", "up"]));
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--"]);
        command
    };
    run(unshare().args(["ip", "link", "set", "lo", "up"]))
        .map_err(|why| format!("no network of its own ({why})"))?;
    let own = std::env::current_exe().map_err(|e| format!("where this program is: {e}"))?;
    let why = unshare().arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1").exec();
    Err(format!("no network of its own ({why})"))
}

/// Whether packets can be lost here.
pub(crate) fn can_lose() -> Result<(), String> {
    run(Command::new("nft").args(["list", "ruleset"])).map_err(|why| format!("no nft ({why})"))
}

/// Packets are lost from now on, until [`heal`].
pub(crate) fn lose() -> Result<(), String> {
    run(Command::new("nft").arg(RULES.join("\n")))
}

/// No packet is lost any more; how many were.
pub(crate) fn heal() -> Result<u64, String> {
    let list = Command::new("nft").args(["list", "table", "ip", "yika_chaos"]).output();
    let text = list.map_err(|e| format!("nft: {e}"))?.stdout;
    run(Command::new("nft").args(["delete", "table", "ip", "yika_chaos"]))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let counts = text.split("counter packets ").skip(1).filter_map(|rest| rest.split(' ').next());
    Ok(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
}
