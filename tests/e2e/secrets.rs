//! P10: after a busy session at the most talkative log level, no card number, PIN block, track or key is in anything
//! that was written or said, by the switch or by the load generator.

use crate::city::{ACQUIRER_MAC, City, mac};
use crate::leaks::Leaks;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use yika_codec::Pan;
use yika_loadgen::{Load, TEST_PREFIXES, run};
use yika_tests::Wire;
use yika_tests::process::{Yika, get, run as command, wait_for};

const PAN: &str = "4111111111111111";
const TRACK: &str = "4111111111111111=29122010000000000";
const PIN_BLOCK: [u8; 8] = [0x0c, 0xde, 0x5e, 0xc2, 0xe7, 0x91, 0xa5, 0x3f];
/// Cards of each prefix that the terminals use.
const CARDS: u32 = 5;

#[test]
fn p10_nothing_that_was_written_or_said_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "decline=5%,silence=1%,garble=1%,delay=1ms");
    let yika = Yika::start_with(folder.path(), &[("YIKA_LOG", "trace")]);
    for (dialect, mix) in
        [("iso87-ascii", "purchase=8,coupon=1,void=1,advice=1"), ("pos-bcd", "purchase=8,void=1,reversal=1")]
    {
        let mut config = city.terminals(dialect);
        config.load = Load::Closed { outstanding: 2 };
        config.connections = 4;
        config.cards = CARDS;
        config.duration = Duration::from_secs(1);
        config.mix = mix.parse().unwrap();
        let report = run::run(config, Duration::from_secs(30), |_| {}).unwrap();
        assert!(report.totals.ended > 0, "{report}");
        report.ledger.save(&folder.path().join(format!("{dialect}.ledger"))).unwrap();
        std::fs::write(folder.path().join(format!("{dialect}.report")), report.to_string()).unwrap();
    }
    one_with_everything(&city);
    let leaks =
        Leaks::of(&cards(), &[("a track", b"2912201000"), ("an encrypted PIN block", PIN_BLOCK.as_slice())]);
    // While the switch runs, as well.
    asks_everything(&yika, &leaks);
    assert!(leaks.none_below(&yika.data()) >= 5, "segments, anchor, lock, addresses");
    assert!(yika.log().contains("journal replayed"));
    let data = yika.data().display().to_string();
    assert!(yika.stop().success());
    for bank in city.banks {
        let name = bank.name().to_owned();
        bank.stop().unwrap().save(&folder.path().join(format!("{name}.ledger"))).unwrap();
    }
    said(&leaks, &["journal", "dump", "--json", "--data", &data]);
    // Data, log, ledgers, reports, and the configuration, whose test keys are components.
    assert!(leaks.none_below(folder.path()) >= 12);
    ledgers_are_there(folder.path());
}

/// Every test card of the run, and the one that is sent by hand.
fn cards() -> Vec<String> {
    let numbers = (1..=CARDS).flat_map(|number| TEST_PREFIXES.map(|prefix| (prefix, number)));
    let mut cards: Vec<String> = numbers
        .map(|(prefix, number)| {
            let account = format!("{prefix}{number:0width$}", width = 15 - prefix.len());
            let check = char::from(Pan::check_digit(account.as_bytes()));
            format!("{account}{check}")
        })
        .collect();
    cards.push(PAN.to_owned());
    cards
}

/// The banks and terminals of both dialects wrote what they believe.
fn ledgers_are_there(folder: &Path) {
    for name in ["iso87-ascii", "pos-bcd", "bank-a", "bank-b", "coupons"] {
        let ledger = yika_loadgen::Ledger::load(&folder.join(format!("{name}.ledger"))).unwrap();
        assert!(!ledger.entries.is_empty(), "{name}");
    }
}

/// What a command says is of no use to a thief either.
fn said(leaks: &Leaks, arguments: &[&str]) -> String {
    let (code, out, err) = command("yika", arguments);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    leaks.none_in(&arguments.join(" "), out.as_bytes());
    leaks.none_in(&arguments.join(" "), err.as_bytes());
    out
}

/// Metrics, health, and every command that shows something.
fn asks_everything(yika: &Yika, leaks: &Leaks) {
    let admin = yika.addresses().unwrap().admin.unwrap();
    let metrics = get(admin, "/metrics");
    assert!(
        metrics.contains("yika_requests_total") && metrics.contains("yika_request_duration_seconds_bucket")
    );
    leaks.none_in("the metrics", metrics.as_bytes());
    leaks.none_in("the readiness", get(admin, "/readyz").as_bytes());
    let data = yika.data().display().to_string();
    for arguments in [
        ["saf", "list", "--data", &data].as_slice(),
        &["saf", "list", "--json", "--data", &data],
        &["status", "--data", &data],
        &["status", "--json", "--data", &data],
        &["journal", "stats", "--data", &data],
        &["journal", "verify", "--data", &data],
    ] {
        said(leaks, arguments);
    }
    let dump = said(leaks, &["journal", "dump", "--data", &data]);
    assert!(dump.contains("411111******1111"), "the dump shows cards masked");
}

/// A purchase with PIN and track, and then garbage that holds a card number.
fn one_with_everything(city: &City) {
    let dialect = yika_tests::setup::dialect("iso87-ascii");
    let wire = yika_tests::purchase(100)
        .with(11, "900001")
        .with(7, "1123233015")
        .with(35, TRACK)
        .with(52, PIN_BLOCK)
        .with(64, [0; 8]);
    let mut bytes = wire.encode(&dialect, &[]);
    let mut layout = yika_codec::Layout::default();
    dialect.decode(&bytes[2..], &mut layout).unwrap();
    let input = dialect.message(&bytes[2..], &layout).mac_input().unwrap().to_vec();
    let made = mac(ACQUIRER_MAC).generate(&input);
    let hex: String = made.iter().map(|byte| format!("{byte:02X}")).collect();
    let at = bytes.len() - hex.len();
    bytes[at..].copy_from_slice(hex.as_bytes());
    let mut stream = TcpStream::connect(city.listener).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut head = [0; 6];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head[2..], b"0210");
    let garbage = Wire::new(0x0200).with(2, PAN).with(4, "000000000100").encode(&dialect, &[]);
    stream.write_all(&garbage[..garbage.len() - 3]).unwrap();
    stream.write_all(b"\x00\x000200").unwrap();
    wait_for("the garbage to be refused", Duration::from_secs(10), || {
        matches!(stream.read(&mut [0; 512]), Ok(0) | Err(_))
    });
}
