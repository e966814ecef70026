//! P10: after a busy session at the most talkative log level, no card number, PIN block, track or key is in
//! anything that was written or said.

use crate::city::{ACQUIRER_MAC, ACQUIRER_PIN, BANK_MAC, BANK_PIN, City, mac};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use yika_loadgen::{Load, run};
use yika_tests::Wire;
use yika_tests::process::{Yika, get, run as command, wait_for};

const PAN: &str = "4111111111111111";
const TRACK: &str = "4111111111111111=29122010000000000";
const PIN_BLOCK: [u8; 8] = [0x0c, 0xde, 0x5e, 0xc2, 0xe7, 0x91, 0xa5, 0x3f];

#[test]
fn p10_nothing_that_was_written_or_said_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "decline=5%,silence=1%,garble=1%,delay=1ms");
    let yika = Yika::start_with(folder.path(), &[("YIKA_LOG", "trace")]);
    let mut config = city.terminals("iso87-ascii");
    config.load = Load::Closed { outstanding: 2 };
    config.connections = 4;
    config.cards = 5;
    config.duration = Duration::from_secs(1);
    config.mix = "purchase=8,coupon=1,void=1,advice=1".parse().unwrap();
    run::run(config, Duration::from_secs(30), |_| {}).unwrap();
    one_with_everything(&city);
    let addresses = yika.addresses().unwrap();
    let admin = addresses.admin.unwrap();
    let mut said = Vec::new();
    let metrics = get(admin, "/metrics");
    assert!(
        metrics.contains("yika_requests_total") && metrics.contains("yika_request_duration_seconds_bucket")
    );
    said.push(metrics);
    said.push(get(admin, "/readyz"));
    let data = yika.data().display().to_string();
    for arguments in [
        ["saf", "list", "--data", &data].as_slice(),
        &["status", "--json", "--data", &data],
        &["journal", "dump", "--data", &data],
        &["journal", "stats", "--data", &data],
        &["journal", "verify", "--data", &data],
    ] {
        let (code, out, err) = command("yika", arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        said.extend([out, err]);
    }
    assert!(said.iter().any(|text| text.contains("411111******1111")), "the dump shows cards masked");
    let log = yika.log();
    assert!(yika.stop().success());
    said.push(log);
    for entry in std::fs::read_dir(folder.path().join("data/journal")).unwrap() {
        said.push(String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned());
    }
    let pin_hex: String = PIN_BLOCK.iter().map(|byte| format!("{byte:02X}")).collect();
    for text in &said {
        let upper = text.to_ascii_uppercase();
        for secret in [PAN, "2912201000", &pin_hex, ACQUIRER_MAC, BANK_MAC, ACQUIRER_PIN, BANK_PIN] {
            if let Some(at) = upper.find(secret) {
                panic!("a secret was written: ...{}", &upper[at.saturating_sub(60)..at]);
            }
        }
    }
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
