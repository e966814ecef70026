//! A payment's whole life over real sockets, in each dialect of terminals with each dialect of banks: approved,
//! declined, repeated, timed out, reversed.

use crate::city::Settings;
use crate::peer::{Bank, Peer, names, purchase, reversal};
use std::time::Duration;
use yika_switch::admin::control::status;
use yika_tests::Wire;
use yika_tests::city::configuration;
use yika_tests::process::{Yika, free_port, get, wait_for};

const CARD_OF_A: &str = "4111111111111111";
const CARD_OF_B: &str = "6222000000000004";

/// A dialect of terminals and a bank, and what they have done so far.
struct Way<'a> {
    dialect: &'static str,
    card: &'static str,
    terminal: Peer,
    bank: &'a mut Bank,
    stan: u32,
    /// What was reversed, as the bank knows it.
    undone: Vec<String>,
}

#[test]
fn a_payment_lives_its_life_between_any_two_dialects() {
    lives("iso87-ascii", "pos-bcd", &["iso87-ascii", "pos-bcd"]);
}

#[test]
fn a_payment_lives_its_life_in_ebcdic_in_binary_and_behind_a_header_of_46_bytes() {
    lives("cups-ascii", "iso87-ebcdic", &["iso87-binary", "cups-ascii", "iso87-ebcdic"]);
}

/// Payments from terminals of each of these dialects to a bank of the one and a bank of the other.
fn lives(dialect_a: &'static str, dialect_b: &'static str, of_terminals: &[&'static str]) {
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Bank::open("bank-a", dialect_a), Bank::open("bank-b", dialect_b));
    let hosts = [&a, &b].map(|bank| (bank.name, "issuer", bank.dialect, bank.address()));
    let listeners: Vec<_> = of_terminals.iter().map(|dialect| (free_port(), *dialect)).collect();
    let text = configuration(&hosts, &listeners, &Settings::default());
    std::fs::write(folder.path().join("yika.toml"), text).unwrap();
    let yika = Yika::start(folder.path());
    wait_for("both lines", Duration::from_secs(20), || {
        status(&yika.data()).is_ok_and(|status| status.participants.iter().all(|one| one.lines_open == 1))
    });
    let mut ways = 0;
    for (address, dialect) in listeners {
        for card in [CARD_OF_A, CARD_OF_B] {
            let bank = if card == CARD_OF_A { &mut a } else { &mut b };
            let terminal = Peer::connect(address, dialect);
            let mut way = Way { dialect, card, terminal, bank, stan: ways * 100, undone: Vec::new() };
            let (sent, answer, at_bank) = way.is_approved();
            way.is_declined();
            way.is_repeated(&sent, &answer);
            way.times_out();
            way.is_reversed(&sent, &at_bank);
            ways += 1;
        }
    }
    wait_for("nothing to be owed", Duration::from_secs(20), || {
        status(&yika.data()).is_ok_and(|status| status.open_obligations == 0)
    });
    assert_eq!(status(&yika.data()).unwrap().unaccounted, 0, "P7");
    let metrics = get(yika.addresses().unwrap().admin.unwrap(), "/metrics");
    for (name, count) in [
        // Each way: a purchase and a reversal; a decline and a time-out.
        ("yika_outcomes_total{result=\"approved\"}", 2 * ways),
        ("yika_outcomes_total{result=\"declined\"}", 2 * ways),
        ("yika_time_outs_total", ways),
        ("yika_repeats_answered_total", 3 * ways),
        ("yika_obligations_discharged_total", 2 * ways),
    ] {
        assert!(metrics.lines().any(|line| line == format!("{name} {count}")), "{name} {count}\n{metrics}");
    }
    assert!(yika.stop().success());
}

impl Way<'_> {
    fn purchase(&mut self, minor: u64) -> Wire {
        self.stan += 1;
        purchase(self.dialect, self.card, self.stan, minor)
    }

    /// The request and its answer as the terminal has them, and its trace number at the bank.
    fn is_approved(&mut self) -> (Wire, Wire, String) {
        let sent = self.purchase(1234);
        self.terminal.sends(&sent);
        let request = self.bank.hears();
        assert_eq!((request.wire.mti.to_string(), request.wire.amount()), ("0200".into(), 1234));
        assert_eq!(request.wire.text(2), self.card);
        self.bank.answers(&request, "00");
        let answer = self.terminal.hears();
        assert_eq!((answer.mti.to_string(), answer.code()), ("0210".into(), "00".into()));
        assert_eq!((answer.text(38), answer.amount()), ("A12345".into(), 1234));
        assert_eq!((answer.stan(), answer.text(41)), (sent.stan(), sent.text(41)));
        (sent, answer, request.wire.stan())
    }

    fn is_declined(&mut self) {
        let sent = self.purchase(50);
        self.terminal.sends(&sent);
        let request = self.bank.hears();
        self.bank.answers(&request, "51");
        let answer = self.terminal.hears();
        assert_eq!((answer.code(), answer.text(38)), ("51".into(), String::new()));
    }

    /// The same answer, twice; what the bank hears next shows that it never heard of it.
    fn is_repeated(&mut self, sent: &Wire, answer: &Wire) {
        for _ in 0..2 {
            assert_eq!(&self.terminal.asks(&sent.repeated()), answer);
        }
    }

    fn times_out(&mut self) {
        let sent = self.purchase(777);
        self.terminal.sends(&sent);
        let request = self.bank.hears();
        assert_eq!(request.wire.amount(), 777, "the bank heard nothing of the repeats before");
        let answer = self.terminal.hears();
        let no_answer = if self.dialect == "pos-bcd" { "98" } else { "68" };
        assert_eq!(answer.code(), no_answer);
        self.takes_reversal_of(&request.wire.stan(), 777);
    }

    fn is_reversed(&mut self, sent: &Wire, at_bank: &str) {
        self.stan += 1;
        let answer = self.terminal.asks(&reversal(self.dialect, sent, self.stan));
        assert_eq!((answer.mti.class(), answer.code()), (0x04, "00".into()));
        self.takes_reversal_of(at_bank, 1234);
        let again = self.terminal.asks(&sent.repeated());
        assert_ne!(again.code(), "00", "rule 5: what was reversed is declined from then on");
    }

    /// The bank gets the reversal of its own request, and agrees.
    fn takes_reversal_of(&mut self, stan: &str, minor: u64) {
        let mut request = self.bank.hears();
        // On a slow machine an answer may be late, and what it answered comes again.
        while self.undone.contains(&names(&request.wire)) {
            self.bank.answers(&request, "00");
            request = self.bank.hears();
        }
        self.undone.push(names(&request.wire));
        let expected = if self.bank.dialect == "pos-bcd" { "0400" } else { "0420" };
        assert_eq!(request.wire.mti.without_repeat().to_string(), expected);
        assert_eq!(request.wire.amount(), minor);
        assert_eq!(names(&request.wire), stan, "it names the message that the bank got");
        self.bank.answers(&request, "00");
    }
}
