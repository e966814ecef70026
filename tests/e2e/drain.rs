//! SIGTERM: what is in flight is finished, what is new is refused, and the process ends by itself.

use crate::city::{Settings, Town};
use crate::peer::{Bank, Peer, purchase};
use std::net::TcpStream;
use std::time::Duration;
use yika_switch::admin::control::status;
use yika_tests::city::Keys;
use yika_tests::process::{Yika, get, wait_for};

const CARD: &str = "4111111111111111";
const SLOW: Settings =
    Settings { keyed: false, keys: Keys::PUBLISHED, timeout: "15s", segment: "4MiB", limits: String::new() };

#[test]
fn a_payment_in_flight_is_answered_while_the_switch_drains() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let town = Town::build(folder.path(), &bank, &other, &SLOW);
    let mut yika = Yika::start(folder.path());
    let admin = yika.addresses().unwrap().admin.unwrap();
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"));
    let (mut first, mut second) =
        (Peer::connect(town.listener, "iso87-ascii"), Peer::connect(town.listener, "iso87-ascii"));
    first.sends(&purchase("iso87-ascii", CARD, 1, 100));
    let request = bank.hears();
    yika.signal("TERM");
    wait_for("the drain", Duration::from_secs(10), || {
        status(&yika.data()).is_ok_and(|status| status.draining)
    });
    assert_eq!(second.asks(&purchase("iso87-ascii", CARD, 2, 200)).code(), "96", "no new work is taken");
    let ready = get(admin, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("draining"), "{ready}");
    wait_for("the listener to close", Duration::from_secs(10), || TcpStream::connect(town.listener).is_err());
    assert!(yika.is_alive(), "a payment is in flight");
    bank.answers(&request, "00");
    assert_eq!(first.hears().code(), "00");
    assert_eq!(yika.wait().code(), Some(0));
    assert!(yika.log().contains("drained and stopped"), "{}", yika.log());
}

#[test]
fn a_second_signal_stops_at_once_and_the_next_start_reverses_what_was_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let town = Town::build(folder.path(), &bank, &other, &SLOW);
    let mut yika = Yika::start(folder.path());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    let sent = purchase("iso87-ascii", CARD, 1, 100);
    terminal.sends(&sent);
    let request = bank.hears();
    yika.signal("TERM");
    wait_for("the drain", Duration::from_secs(10), || yika.log().contains("draining"));
    yika.signal("TERM");
    assert_eq!(yika.wait().code(), Some(0));
    assert!(yika.log().contains("stopped at once"), "{}", yika.log());
    assert!(terminal.hears_or_ends().is_none(), "nobody decided, so nothing is said");
    let yika = Yika::start(folder.path());
    let reversal = bank.hears();
    assert_eq!(crate::peer::names(&reversal.wire), request.wire.stan());
    bank.answers(&reversal, "00");
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    assert_eq!(terminal.asks(&sent.repeated()).code(), "68", "P4: in doubt, and told so");
    wait_for("nothing to be owed", Duration::from_secs(20), || {
        status(&yika.data()).is_ok_and(|status| status.open_obligations == 0 && status.unaccounted == 0)
    });
    assert!(yika.stop().success());
}
