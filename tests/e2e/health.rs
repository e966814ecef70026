//! What a supervisor and a scrape see: whether traffic may come and why not, and metrics that say what they are.

use crate::city::{Settings, Town};
use crate::peer::{Bank, Peer, purchase};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use yika_tests::process::{Yika, get, program, wait_for};

const CARD: &str = "4111111111111111";
const SEGMENT_BYTES: u64 = 1 << 20;

fn banks() -> (Bank, Bank) {
    (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"))
}

fn limit_files(yika: &Yika, soft: &str) {
    let limit = format!("--fsize={soft}:unlimited");
    let done = Command::new("prlimit").args(["--pid", &yika.pid().to_string(), &limit]).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_switch_that_can_make_no_spare_segment_is_live_says_so_once_and_is_not_ready_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = banks();
    let settings = Settings { segment: "1MiB", ..Settings::default() };
    Town::build(folder.path(), &a, &b, &settings);
    assert!(Yika::start(folder.path()).stop().success(), "it leaves spare segments of full length");
    // No file may become as long as a segment (getrlimit(2), RLIMIT_FSIZE): the start takes one spare that is
    // there, and cannot make another.
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--fsize={}:unlimited", SEGMENT_BYTES - 4096)).arg(program("yika"));
    let yika = Yika::try_start(folder.path(), limited).unwrap();
    let admin = yika.addresses().unwrap().admin.unwrap();
    wait_for("the trouble to be told", Duration::from_secs(10), || {
        let ready = get(admin, "/readyz");
        ready.starts_with("HTTP/1.1 503") && ready.contains("no spare segment can be made")
    });
    assert!(get(admin, "/readyz").contains("segment-"), "the reason names the file");
    assert!(get(admin, "/livez").starts_with("HTTP/1.1 200"));
    let lines = |text: &str| yika.log().lines().filter(|line| line.contains(text)).count();
    let (begins, ends) = ("no spare segment can be made:", "spare segments can be made again");
    // The log has its own thread: a line may come after what it tells is seen elsewhere.
    wait_for("the trouble to be in the log", Duration::from_secs(10), || lines(begins) > 0);
    assert_eq!((lines(begins), lines(ends)), (1, 0), "{}", yika.log());
    let line = yika.log().lines().find(|line| line.contains(begins)).unwrap().to_owned();
    assert!(
        line.contains("ERROR") && line.contains("segment-") && line.contains("Free disk space"),
        "{line}"
    );
    limit_files(&yika, "unlimited");
    wait_for("the switch to be ready again", Duration::from_secs(10), || {
        get(admin, "/readyz").starts_with("HTTP/1.1 200")
    });
    wait_for("the end to be told", Duration::from_secs(10), || lines(ends) > 0);
    assert_eq!((lines(begins), lines(ends)), (1, 1), "{}", yika.log());
    assert!(yika.stop().success());
}

/// Name and labels of every sample.
fn series(admin: SocketAddr) -> BTreeSet<String> {
    let text = get(admin, "/metrics");
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let samples = body.lines().filter(|line| line.starts_with("yika_"));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn no_label_of_a_metric_comes_from_a_message_and_each_metric_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, other) = banks();
    let town = Town::build(folder.path(), &bank, &other, &Settings::default());
    let yika = Yika::start(folder.path());
    let admin = yika.addresses().unwrap().admin.unwrap();
    let before = series(admin);
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    for (stan, code) in [(1, "Q7"), (2, "Z9"), (3, "00")] {
        let sent = purchase("iso87-ascii", CARD, stan, 100).with(41, format!("ODD{stan:05}"));
        terminal.sends(&sent);
        let request = bank.hears();
        bank.answers(&request, code);
        assert_eq!(terminal.hears().code(), code);
    }
    assert_eq!(
        terminal.asks(&purchase("iso87-ascii", "6222000000000000", 4, 1)).code(),
        "68",
        "it is silent"
    );
    let after = series(admin);
    assert_eq!(before, after, "traffic made a new series");
    let version = format!("yika_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert!(after.contains(&version), "{after:?}");
    let participants: BTreeSet<&str> =
        after.iter().filter_map(|one| one.split_once("participant=\"")?.1.split('"').next()).collect();
    assert_eq!(participants, BTreeSet::from(["bank-a", "bank-b"]));
    let text = get(admin, "/metrics");
    for one in &after {
        let name = one.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end).filter(|name| *name == "yika_request_duration_seconds"))
            .unwrap_or(name);
        assert!(text.contains(&format!("# HELP {family} ")), "{family} has no HELP");
        assert!(text.contains(&format!("# TYPE {family} ")), "{family} has no TYPE");
    }
    assert!(yika.stop().success());
}
