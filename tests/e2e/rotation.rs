//! Rule 15 under load: working keys that change every second, in either direction, while 0800s come twice, late or never and
//! the bank hangs up in the middle. No message is declined, and none dropped, because two sides had different keys.
//!
//! Ten seconds in each direction; `YIKA_ROTATION_SECONDS` makes it minutes.

use crate::city::{BANK_MAC, BANK_PIN, City, Settings, mac};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use yika_codec::Dialect;
use yika_keystore::{
    Algorithm, EncryptedPin, Export, Keystore, Lmk, LmkBlock, MacKey, Mode, PinFormat, PinKey, Usage,
    WrapForm, Wrapped, matches_test_pin,
};
use yika_loadgen::{Load, run, test_pin_key};
use yika_switch::core::clock::month_to_second;
use yika_tests::city::{Keys, configuration};
use yika_tests::process::{Yika, free_port, get, passes};
use yika_tests::setup::dialect;
use yika_tests::world::mti;
use yika_tests::{Frame, Wire};

const ONE: [u8; 32] = [0x3A; 32];
const TWO: [u8; 32] = *b"the other part of a zone's key..";
const KEK: &str = "zone";
/// A bank takes what was made under the keys before for a while, as the switch does.
const KEYS_KEPT: usize = 4;

fn seconds() -> u64 {
    std::env::var("YIKA_ROTATION_SECONDS").map_or(10, |text| text.parse().expect("a number of seconds"))
}

/// A bank that answers every payment with 00 and keeps its keys through whatever happens to its lines.
struct RotatingBank {
    dialect: Arc<Dialect>,
    keys: Keystore,
    held: Mutex<Held>,
    lines: Mutex<Vec<Arc<Mutex<TcpStream>>>>,
    payments: AtomicU64,
    /// Messages under no key that it has.
    mac_failures: AtomicU64,
    pin_failures: AtomicU64,
    /// 0800s that came so late that the key of their MAC was replaced twice.
    late: AtomicU64,
}

struct Held {
    /// Newest last.
    macs: VecDeque<MacKey>,
    pins: VecDeque<PinKey>,
    /// Sent and not answered: its F11, and the key.
    pending: Option<(String, MacKey)>,
    taken: u64,
    offers: u64,
}

impl RotatingBank {
    fn open() -> (Arc<RotatingBank>, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Keystore::in_memory(Lmk::test());
        let parts = [ONE.to_vec(), TWO.to_vec()];
        keys.import_components(KEK, Usage::Kek, Algorithm::Aes, Mode::Both, Export::N, &parts).unwrap();
        let held = Held {
            macs: [mac(BANK_MAC)].into(),
            pins: [test_pin_key(BANK_PIN).unwrap()].into(),
            pending: None,
            taken: 0,
            offers: 0,
        };
        let bank = Arc::new(RotatingBank {
            dialect: dialect("iso87-ascii"),
            keys,
            held: Mutex::new(held),
            lines: Mutex::default(),
            payments: AtomicU64::new(0),
            mac_failures: AtomicU64::new(0),
            pin_failures: AtomicU64::new(0),
            late: AtomicU64::new(0),
        });
        let own = bank.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        (bank, address)
    }

    fn serve(self: Arc<RotatingBank>, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let line = Arc::new(Mutex::new(stream.try_clone().unwrap()));
        self.lines.lock().unwrap().push(line.clone());
        let (mut bytes, mut part) = (Vec::new(), vec![0; 64 << 10]);
        while let Ok(count @ 1..) = stream.read(&mut part) {
            bytes.extend_from_slice(&part[..count]);
            let mut out = Vec::new();
            for frame in Wire::take_all(&self.dialect, &mut bytes) {
                self.handle(&frame, &line, &mut out);
            }
            if line.lock().unwrap().write_all(&out).is_err() {
                return;
            }
        }
    }

    fn handle(self: &Arc<RotatingBank>, frame: &Frame, line: &Arc<Mutex<TcpStream>>, out: &mut Vec<u8>) {
        let wire = &frame.wire;
        let mut held = self.held.lock().unwrap();
        let pending = held.pending.as_ref().map(|(_, key)| key);
        let good = held.macs.iter().rev().chain(pending).any(|key| frame.is_under(key, &self.dialect));
        if !good {
            self.mac_failures.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if wire.mti == mti(0x0810) {
            let asked = held.pending.as_ref().is_some_and(|(stan, _)| *stan == wire.stan());
            if asked && wire.code() == "00" {
                let (_, key) = held.pending.take().unwrap();
                held.use_mac(key);
            }
            return;
        }
        if wire.mti == mti(0x0800) && wire.text(70) == "101" {
            return self.takes_offer(&mut held, frame, line, out);
        }
        if let Some(block) = wire.fields.get(52) {
            let (block, pan) = (EncryptedPin::from_bytes(block).unwrap(), wire.fields.get(2).unwrap());
            let holds =
                |key: &PinKey| matches_test_pin(key, PinFormat::Iso0, pan, &block, b"1234") == Ok(true);
            if !held.pins.iter().rev().any(holds) {
                self.pin_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.payments.fetch_add(1, Ordering::Relaxed);
        out.extend(self.answer(&held, frame, "00"));
    }

    fn answer(&self, held: &Held, frame: &Frame, code: &str) -> Vec<u8> {
        let mut answer = Wire { mti: frame.wire.mti.response(), fields: Default::default() };
        for n in [2, 3, 4, 7, 11, 12, 13, 37, 41, 42, 49, 70] {
            if let Some(value) = frame.wire.fields.get(n) {
                answer = answer.with(n, value);
            }
        }
        let answer = answer.with(38, "A12345").with(39, code);
        answer.encode_under(held.macs.back(), &self.dialect, &frame.header)
    }

    /// The switch offers a key. One answer in four is lost, one comes late, one comes twice.
    fn takes_offer(
        self: &Arc<RotatingBank>,
        held: &mut Held,
        frame: &Frame,
        line: &Arc<Mutex<TcpStream>>,
        out: &mut Vec<u8>,
    ) {
        let carried = frame.wire.text(48);
        let wrapped = Wrapped::KeyBlock(carried[5..].to_owned());
        // Answered under the key it came under: the new one is in use from here on.
        let answer = self.answer(held, frame, "00");
        if frame.wire.text(53).starts_with('2') {
            let block = self.keys.rewrap(KEK, &wrapped, Usage::MacCmac, Algorithm::Aes, Mode::Both).unwrap();
            held.use_mac(self.keys.mac_key_from_block(&block).unwrap());
        } else {
            let block = self.keys.rewrap(KEK, &wrapped, Usage::Pin, Algorithm::Tdes, Mode::Both).unwrap();
            held.use_pin(self.keys.pin_key_from_block(&block).unwrap());
        }
        held.offers += 1;
        match held.offers % 4 {
            1 => {}
            2 => {
                let line = line.clone();
                std::thread::spawn(move || {
                    passes(Duration::from_millis(200));
                    let _ = line.lock().unwrap().write_all(&answer);
                });
            }
            3 => {
                out.extend_from_slice(&answer);
                out.extend_from_slice(&answer);
            }
            _ => out.extend_from_slice(&answer),
        }
    }

    /// A key of the bank's own, once a second: one in three is lost at first, one comes twice, and each comes again after
    /// the next.
    fn changes_keys(&self, until: Instant) {
        let mut last: Option<Vec<u8>> = None;
        let mut round = 0_u32;
        while Instant::now() < until {
            let block: LmkBlock = self.keys.new_working_key(Usage::MacCmac, Algorithm::Aes).unwrap();
            let Wrapped::KeyBlock(carried) =
                self.keys.export_working(&block, KEK, WrapForm::KeyBlock).unwrap()
            else {
                panic!("an AES key carries blocks");
            };
            round += 1;
            let stan = format!("{round:06}");
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
            let wire = Wire::new(0x0800)
                .with(7, format!("{:010}", month_to_second(now, 0)))
                .with(11, &stan)
                .with(48, format!("NK{:03}{carried}", carried.len()))
                .with(53, "2000000000000000")
                .with(70, "101");
            let key = self.keys.mac_key_from_block(&block).unwrap();
            let bytes = {
                let mut held = self.held.lock().unwrap();
                held.pending = Some((stan, key));
                wire.encode_under(held.macs.back(), &self.dialect, self.dialect.default_header())
            };
            let due = Instant::now() + Duration::from_secs(1);
            if round % 3 != 1 {
                self.says(&bytes);
            }
            if round % 3 == 2 {
                self.says(&bytes);
            }
            while Instant::now() < due {
                passes(Duration::from_millis(200));
                if self.held.lock().unwrap().pending.is_some() {
                    self.says(&bytes);
                }
            }
            // The one before, long delayed.
            if let Some(late) = last.replace(bytes) {
                self.late.fetch_add(1, Ordering::Relaxed);
                self.says(&late);
            }
        }
    }

    fn says(&self, bytes: &[u8]) {
        let lines = self.lines.lock().unwrap();
        for line in lines.iter().rev() {
            if line.lock().unwrap().write_all(bytes).is_ok() {
                return;
            }
        }
    }

    /// All lines are cut; what was on its way is lost, the keys are not.
    fn restarts(&self) {
        for line in self.lines.lock().unwrap().drain(..) {
            let _ = line.lock().unwrap().shutdown(Shutdown::Both);
        }
    }
}

impl Held {
    fn use_mac(&mut self, key: MacKey) {
        if self.macs.back().is_some_and(|held| held.check_value() == key.check_value()) {
            return;
        }
        self.taken += 1;
        self.macs.push_back(key);
        if self.macs.len() > KEYS_KEPT {
            self.macs.pop_front();
        }
    }

    fn use_pin(&mut self, key: PinKey) {
        if self.pins.back().is_some_and(|held| held.check_value() == key.check_value()) {
            return;
        }
        self.pins.push_back(key);
        if self.pins.len() > KEYS_KEPT {
            self.pins.pop_front();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A switch with this bank, to which it may offer keys of its own.
fn city(folder: &Path, bank: SocketAddr, offers: bool) -> City {
    let listener = free_port();
    let settings = Settings { keyed: true, ..Settings::default() };
    let text =
        configuration(&[("bank-a", "issuer", "iso87-ascii", bank)], &[(listener, "iso87-ascii")], &settings);
    let change = if offers { "key_change = \"1s\"\n" } else { "" };
    let text = text
        .replace("pin_key = \"bank-pin\"\n", &format!("pin_key = \"bank-pin\"\nkek = \"{KEK}\"\n{change}"));
    let kek = format!(
        "[[test_key]]\nname = \"{KEK}\"\nusage = \"kek\"\nalgorithm = \"aes\"\ncomponents = [\"{}\", \"{}\"]\n",
        hex(&ONE),
        hex(&TWO)
    );
    std::fs::write(folder.join("yika.toml"), text + &kek).unwrap();
    City { banks: Vec::new(), keys: Keys::PUBLISHED, listener, pos_listener: listener }
}

/// Full load while `rotate` runs; then nobody may have been declined for a key, and keys must have changed.
fn under_load(offers: bool, rotate: impl FnOnce(&RotatingBank, Instant) + Send + 'static) {
    let folder = tempfile::tempdir().unwrap();
    let (bank, address) = RotatingBank::open();
    let city = city(folder.path(), address, offers);
    let yika = Yika::start(folder.path());
    let admin = yika.addresses().unwrap().admin.unwrap();
    let mut terminals = city.terminals("iso87-ascii");
    terminals.load = Load::Closed { outstanding: 16 };
    terminals.connections = 8;
    terminals.prefixes = vec!["411111".into()];
    terminals.duration = Duration::from_secs(seconds());
    let until = Instant::now() + terminals.duration;
    let going = run::start(terminals).unwrap();
    let own = bank.clone();
    let rotating = std::thread::spawn(move || rotate(&own, until));
    passes(until.saturating_duration_since(Instant::now()) / 2);
    bank.restarts();
    rotating.join().unwrap();
    let report = going.finish(Duration::from_secs(20)).unwrap();

    let taken = bank.held.lock().unwrap().taken;
    assert!(taken >= seconds() * 2 / 3, "{taken} keys in {} s", seconds());
    let codes = &report.codes;
    assert!(codes["00"] > 1_000, "{codes:?}");
    // Cut off from its bank in the middle, a payment times out or finds nobody; nothing else may happen to it.
    let others: Vec<_> =
        codes.iter().filter(|(code, _)| !["00", "68", "91"].contains(&code.as_str())).collect();
    assert!(others.is_empty(), "declined: {others:?}");
    let failures = [&bank.mac_failures, &bank.pin_failures].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(failures, [0, 0], "messages under keys that the bank does not have: MACs, PINs");
    let metrics = get(admin, "/metrics");
    let metric = |name: &str| -> u64 {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        value.parse().unwrap()
    };
    assert_eq!(metric("yika_refusals_total{by=\"mac\"}"), 0);
    let late = bank.late.load(Ordering::Relaxed);
    assert!(metric("yika_invalid_answers_total{field=\"mac\"}") <= late, "more than the {late} late 0800s");
    assert!(yika.stop().success());
}

#[test]
fn rule_15_a_bank_that_changes_its_key_every_second_under_load_has_nobody_declined_for_it() {
    under_load(false, |bank, until| bank.changes_keys(until));
}

#[test]
fn rule_15_a_switch_that_changes_its_keys_every_second_under_load_has_nobody_declined_for_it() {
    under_load(true, |_, until| passes(until.saturating_duration_since(Instant::now())));
}
