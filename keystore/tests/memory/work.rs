//! Everything a keystore does with the keys of `keys`, each kind of work in a thread of its own that then waits: its stack
//! stays as the work left it, and its handles stay open.

use super::keys::{DUKPT_BASE, KEYS, KSN, MASTERS, PAN, master, pin, split};
use std::any::Any;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use yika_keystore::{
    Algorithm, ArpcKey, CardKeyOption, CvvKind, DecimalTable, DukptAesKsn, DukptTdesKsn, DukptWay, EmvCard,
    EmvPadding, EmvScheme, EmvSession, EmvTransaction, EncryptedPin, Export, GateSide, Keystore, Lmk, Mode,
    PinFormat, ScriptMode, ScriptSession, Share, TacRecord, Usage, ValidationData, WrapForm,
    encrypt_test_pin, matches_test_pin, translate_pin,
};
use zeroize::Zeroize as _;

/// Handles in use.
type Held = Vec<Box<dyn Any + Send>>;
/// What one thread does.
type Job = Box<dyn FnOnce(&Stores) -> Held + Send>;

/// The store that is looked for, and one under the test master key with the same keys, which alone makes and compares PINs.
struct Stores {
    real: Keystore,
    test: Keystore,
}

/// Threads that wait behind their work, and what they work with.
pub(crate) struct Waiting {
    threads: Vec<(Sender<()>, JoinHandle<()>)>,
    stores: Arc<Stores>,
}

impl Waiting {
    /// How many threads there are.
    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    pub(crate) fn end(self) {
        for (sender, thread) in self.threads {
            drop(sender);
            thread.join().expect("the work was done before");
        }
        drop(self.stores);
    }
}

pub(crate) fn everything(folder: &Path) -> Waiting {
    let path = folder.join("keys");
    let store = Keystore::create(&path, lmk(MASTERS[0])).expect("a key file");
    load(&store);
    drop(store);
    let real = Keystore::open(&path, lmk(MASTERS[0])).expect("the same key file");
    let test = Keystore::in_memory(Lmk::test());
    load(&test);
    let stores = Arc::new(Stores { real, test });
    let (done, all_done) = channel();
    let done = Arc::new(Mutex::new(done));
    let start = |job: Job| {
        let (go_on, wait): (Sender<()>, Receiver<()>) = channel();
        let (stores, done) = (Arc::clone(&stores), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            let held = job(&stores);
            done.lock().expect("nobody panics with it").send(()).expect("the test waits");
            // Ends when the test drops the other end.
            let _ = wait.recv();
            drop(held);
        });
        (go_on, thread)
    };
    let threads: Vec<_> = jobs().into_iter().map(start).collect();
    threads.iter().for_each(|_| all_done.recv().expect("a thread ended in a panic, which is told above"));
    Waiting { threads, stores }
}

/// Finely divided: what a thread does last is what its stack still shows.
fn jobs() -> Vec<Job> {
    let mut jobs: Vec<Job> = vec![
        Box::new(|stores| tokens(&stores.real)),
        Box::new(|stores| data(&stores.real)),
        Box::new(|stores| seals(&stores.real)),
        Box::new(|stores| gate(&stores.real)),
        Box::new(|stores| exchange_rest(&stores.real)),
        Box::new(|stores| cryptograms(&stores.real)),
        Box::new(|stores| dynamic_codes(&stores.real)),
        Box::new(|stores| card_values(&stores.real)),
        Box::new(|stores| tacs(&stores.real)),
        Box::new(|_| shares()),
        Box::new(|_| next_master()),
        Box::new(|stores| {
            load_one(&stores.real);
            Vec::new()
        }),
    ];
    for key in KEYS.iter().filter(|key| key.name.starts_with("mac.")) {
        jobs.push(Box::new(|stores| macs(&stores.real, key.name)));
    }
    for from in WAYS {
        for to in WAYS {
            jobs.push(Box::new(move |stores| moved(stores, from, to)));
        }
        jobs.push(Box::new(move |stores| compared(stores, from)));
        jobs.push(Box::new(move |stores| entered(stores, from).1));
        jobs.push(Box::new(move |stores| pvvs(stores, from)));
        jobs.push(Box::new(move |stores| offsets(stores, from)));
    }
    for (kek, name, form) in CARRIED {
        jobs.push(Box::new(move |stores| exchange(&stores.real, kek, name, form)));
    }
    let scripts = [ScriptSession::Common { cryptogram: [9; 8] }, ScriptSession::Visa { counter: [0, 7] }];
    for session in scripts {
        jobs.push(Box::new(move |stores| script_macs(&stores.real, session)));
        jobs.push(Box::new(move |stores| script_secrets(&stores.real, session)));
    }
    for step in 0..DUKPT_STEPS {
        jobs.push(Box::new(move |stores| dukpt_tdes(stores, step)));
        jobs.push(Box::new(move |stores| dukpt_aes(&stores.real, step)));
    }
    jobs
}

fn lmk(name: &str) -> Lmk {
    let parts = master(name);
    let mut components = [*parts[0], *parts[1]];
    let lmk = Lmk::from_components(&components).expect("two components");
    components.zeroize();
    lmk
}

fn load(store: &Keystore) {
    for key in KEYS {
        put(store, key.name, key.usage, key.algorithm, key.components());
    }
    let base = split("dukpt.base", &DUKPT_BASE).iter().map(|part| part.to_vec()).collect();
    put(store, "dukpt.base", Usage::DukptBase, Algorithm::Tdes, base);
}

fn load_one(store: &Keystore) {
    let key = &KEYS[1];
    put(store, "loaded.last", key.usage, key.algorithm, key.components());
}

fn put(store: &Keystore, name: &str, usage: Usage, algorithm: Algorithm, mut components: Vec<Vec<u8>>) {
    let added = store.import_components(name, usage, algorithm, Mode::Both, Export::S, &components);
    components.iter_mut().for_each(|component| component.zeroize());
    added.unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn held(handles: impl Any + Send) -> Held {
    vec![Box::new(handles)]
}

fn macs(store: &Keystore, name: &str) -> Held {
    let handle = store.mac_key(name).expect(name);
    for bytes in [0, 1, 16, 100, 3000] {
        let data = vec![0x31; bytes];
        let mac = handle.generate(&data);
        assert!(handle.verify(&data, &mac, ()).is_ok());
    }
    let (makes, checks) = (store.mac_generate_key(name), store.mac_verify_key(name));
    held((handle, makes.expect(name), checks.expect(name)))
}

fn tokens(store: &Keystore) -> Held {
    let tokens = store.tokenizer();
    assert_ne!(tokens.token(PAN), [0; 16]);
    held((tokens, store.hash_seed()))
}

/// A PIN key and a format of its blocks.
type Way = (&'static str, PinFormat);

const WAYS: [Way; 4] = [
    ("pin.tdes", PinFormat::Iso0),
    ("pin.tdes-3", PinFormat::Iso3),
    ("pin.aes", PinFormat::Iso4),
    ("pin.sm4", PinFormat::Sm4),
];

/// A block as a terminal makes it.
fn entered(stores: &Stores, (name, format): Way) -> (EncryptedPin, Held) {
    let terminal = stores.test.pin_key(name).expect(name);
    let block = encrypt_test_pin(&terminal, format, PAN, &pin()).expect(name);
    (block, held(terminal))
}

fn moved(stores: &Stores, from: Way, to: Way) -> Held {
    let (block, _) = entered(stores, from);
    let source = stores.real.pin_decrypt_key(from.0).expect(from.0);
    let target = stores.real.pin_encrypt_key(to.0).expect(to.0);
    let refused = translate_pin(&source, from.1, &target, to.1, b"4999999999999999", &block);
    assert!(refused.is_err() || from.1 != PinFormat::Iso0);
    let moved = translate_pin(&source, from.1, &target, to.1, PAN, &block).expect(to.0);
    held((source, target, moved))
}

fn compared(stores: &Stores, (name, format): Way) -> Held {
    let (block, terminal) = entered(stores, (name, format));
    let issuer = stores.test.pin_key(name).expect(name);
    assert!(matches_test_pin(&issuer, format, PAN, &block, &pin()).expect(name));
    held((terminal, issuer))
}

fn pvvs(stores: &Stores, way: Way) -> Held {
    let ((block, _), store) = (entered(stores, way), &stores.real);
    let source = store.pin_decrypt_key(way.0).expect(way.0);
    let (makes, checks) = (store.pvv_generate_key("pvk"), store.pvv_verify_key("pvk"));
    let pvv = makes.expect("pvk").generate(&source, way.1, PAN, &block, 1).expect(way.0);
    assert!(checks.expect("pvk").verify(&source, way.1, PAN, &block, 1, &pvv).expect(way.0));
    held(source)
}

fn offsets(stores: &Stores, way: Way) -> Held {
    let ((block, _), store) = (entered(stores, way), &stores.real);
    let source = store.pin_decrypt_key(way.0).expect(way.0);
    let table = DecimalTable::new(b"0123456789012345").expect("a table");
    let data = ValidationData::of_pan(PAN, 0, 12, 0xF).expect("a part of the PAN");
    let (makes, checks) = (store.ibm3624_generate_key("pgk"), store.ibm3624_verify_key("pgk"));
    let offset = makes.expect("pgk").offset(&source, way.1, PAN, &block, &data, &table).expect(way.0);
    assert!(checks.expect("pgk").verify(&source, way.1, PAN, &block, &data, &table, &offset).expect(way.0));
    held(source)
}

fn data(store: &Keystore) -> Held {
    let mut all = Held::new();
    for (name, iv) in [("data.tdes", &[1; 8][..]), ("data.aes", &[1; 16])] {
        let encrypt = store.data_encrypt_key(name).expect(name);
        let decrypt = store.data_decrypt_key(name).expect(name);
        let mut data = b"a field of a message".to_vec();
        encrypt.encrypt(iv, &mut data).expect(name);
        decrypt.decrypt(iv, &mut data).expect(name);
        assert_eq!(data, b"a field of a message");
        all.extend(held((encrypt, decrypt)));
    }
    all
}

fn seals(store: &Keystore) -> Held {
    let (seal, wrapped) = store.new_data_key().expect("a data key");
    let mut data = b"a frame of the journal".to_vec();
    seal.seal(1, b"head", &mut data);
    let again = store.open_data_key(&wrapped).expect("the same data key");
    assert_eq!(again.open(1, b"head", &mut data).expect("sealed"), b"a frame of the journal");
    held((seal, again))
}

const CARRIED: [(&str, &str, WrapForm); 5] = [
    ("kek.aes", "mac.cmac", WrapForm::KeyBlock),
    ("kek.aes", "pin.tdes", WrapForm::KeyBlock),
    ("kek.aes", "mac.hmac", WrapForm::KeyBlock),
    ("kek.tdes", "pin.tdes", WrapForm::VariantKeyBlock),
    ("kek.tdes", "mac.retail", WrapForm::TdesEcb),
];

fn exchange(store: &Keystore, kek: &str, name: &str, form: WrapForm) -> Held {
    let info = store.info(name).expect(name);
    let wrapped = store.export_wrapped(name, kek, form).unwrap_or_else(|error| panic!("{name}: {error}"));
    let again = format!("{name}.again.{kek}");
    store
        .import_wrapped(&again, kek, &wrapped, info.usage, info.algorithm, info.mode)
        .unwrap_or_else(|error| panic!("{again}: {error}"));
    let working = store.rewrap(kek, &wrapped, info.usage, info.algorithm, info.mode).expect(name);
    // A bare cryptogram says of no key that it may go on.
    assert_eq!(store.export_working(&working, kek, form).is_ok(), form != WrapForm::TdesEcb, "{name}");
    Held::new()
}

fn exchange_rest(store: &Keystore) -> Held {
    store.new_terminal_key("kek.tdes", Usage::Pin, Algorithm::Tdes, 16).expect("a terminal's key");
    store.rotate("kek.aes-old", "kek.next").expect_err("there is none");
    store.rotate("mac.cmac-tdes", "mac.next").expect("a key that takes its place");
    Held::new()
}

fn gate(store: &Keystore) -> Held {
    let key = store.gate_key("gate").expect("gate");
    let client = key.session(GateSide::Client, b"hello", b"answer");
    let server = key.session(GateSide::Server, b"hello", b"answer");
    let mac = client.make.generate(b"frame");
    assert!(server.check.verify(b"frame", &mac, ()).is_ok());
    held((key, client, server))
}

/// PIN key, translation, MACs, data.
const DUKPT_STEPS: usize = 4;

fn dukpt_tdes(stores: &Stores, step: usize) -> Held {
    let store = &stores.real;
    let ksn = DukptTdesKsn::from_bytes(&KSN).expect("a serial number");
    let ours = store.dukpt_tdes_base_key("dukpt.tdes").expect("dukpt.tdes");
    let ours = (ours.initial_key(ksn.device()).expect("an initial key"), ours);
    let base = store.dukpt_tdes_base_key("dukpt.base").expect("dukpt.base");
    let initial = base.initial_key(ksn.device()).expect("an initial key");
    if step == 0 {
        return held((initial.pin_key(&ksn).expect("a PIN key"), base, initial, ours));
    }
    if step == 1 {
        // The block of annex A.4.2: a PIN that is not ours, for another card.
        let block = EncryptedPin::from_bytes(b"\x1B\x9C\x18\x45\xEB\x99\x3A\x7A").expect("a block");
        let (iso, pan) = (PinFormat::Iso0, concat!("401234", "5678909").as_bytes());
        let target = store.pin_encrypt_key("pin.tdes").expect("pin.tdes");
        initial.translate_pin(&ksn, iso, &target, iso, pan, &block).expect("the standard's PIN");
    }
    if step == 2 {
        let mac = initial.generate_mac(&ksn, DukptWay::BothWays, b"some data of a request").expect("a MAC");
        assert!(initial.verify_mac(&ksn, b"some data of a request", &mac, ()).is_ok());
    }
    if step == 3 {
        let mut data = [7; 32];
        initial.encrypt(&ksn, DukptWay::OneWay, &[0; 8], &mut data).expect("data");
        initial.decrypt(&ksn, &[0; 8], &mut data).expect("data");
    }
    held((base, initial, ours))
}

fn dukpt_aes(store: &Keystore, step: usize) -> Held {
    let serial = b"\x12\x34\x56\x78\x90\x12\x34\x56\x00\x00\x12\x07";
    let ksn = DukptAesKsn::from_bytes(serial).expect("a serial number");
    let base = store.dukpt_aes_base_key("dukpt.aes").expect("dukpt.aes");
    let stored = store.dukpt_aes_initial_key("dukpt.aes-initial", ksn.device()).expect("dukpt.aes-initial");
    let mut all = Held::new();
    for initial in [base.initial_key(ksn.device()).expect("an initial key"), stored] {
        if step == 0 {
            all.extend(held(initial.pin_key(&ksn).expect("a PIN key")));
        }
        if step == 2 {
            let mac = initial.generate_mac(&ksn, DukptWay::BothWays, b"data").expect("a MAC");
            assert!(initial.verify_mac(&ksn, DukptWay::BothWays, b"data", &mac, ()).is_ok());
        }
        if step == 3 {
            let mut data = [7; 32];
            initial.encrypt(&ksn, DukptWay::OneWay, &[0; 16], &mut data).expect("data");
            initial.decrypt(&ksn, DukptWay::OneWay, &[0; 16], &mut data).expect("data");
        }
        all.extend(held(initial));
    }
    all.extend(held(base));
    all
}

const CARD: EmvCard<'_> = EmvCard { pan: PAN, sequence: 1, option: CardKeyOption::A };
const OF: EmvTransaction<'_> =
    EmvTransaction { counter: [0, 7], unpredictable: [1, 2, 3, 4], data: &[5; 40] };

fn cryptograms(store: &Keystore) -> Held {
    let key = store.emv_cryptogram_key("emv.ac").expect("emv.ac");
    for session in [EmvSession::None, EmvSession::Common, EmvSession::Mastercard] {
        let scheme = EmvScheme::new(session, EmvPadding::Byte80, ArpcKey::Card);
        assert!(key.verify_arqc(&CARD, scheme, &OF, &[0; 8]).is_err());
    }
    held(key)
}

fn dynamic_codes(store: &Keystore) -> Held {
    let dynamic = store.emv_dynamic_number_key("emv.dn").expect("emv.dn");
    dynamic.verify_cvc3(&CARD, &OF, b"123").expect("a code");
    held(dynamic)
}

fn script_macs(store: &Keystore, session: ScriptSession) -> Held {
    let integrity = store.emv_integrity_key("emv.mac").expect("emv.mac");
    integrity.script_mac(&CARD, session, &[1; 20]).expect("a MAC");
    held(integrity)
}

fn script_secrets(store: &Keystore, session: ScriptSession) -> Held {
    let secrecy = store.emv_confidentiality_key("emv.enc").expect("emv.enc");
    secrecy.encrypt_script(&CARD, session, ScriptMode::Cbc, &mut [2; 16]).expect("a script");
    held(secrecy)
}

fn card_values(store: &Keystore) -> Held {
    let (makes, checks) =
        (store.cvv_generate_key("cvk").expect("cvk"), store.cvv_verify_key("cvk").expect("cvk"));
    let value = makes.generate(PAN, b"2912", CvvKind::Printed).expect("a value");
    assert!(checks.verify(PAN, b"2912", CvvKind::Printed, &value).expect("a value"));
    held((makes, checks))
}

fn tacs(store: &Keystore) -> Held {
    let mut all = Held::new();
    for name in ["tac", "tac.sm4"] {
        let tac = store.tac_master_key(name).expect(name);
        let mut verdicts = Vec::new();
        let record = TacRecord { card: [3; 8], data: &[4; 30], tac: [0; 4] };
        tac.verify_all(&[record, record], &mut verdicts);
        all.extend(held(tac));
    }
    all
}

fn shares() -> Held {
    let shares = lmk(MASTERS[0]).split(2, 3).expect("shares");
    let read = |share: &Share| Share::parse(share.text().as_bytes()).expect("a share");
    let joined = Lmk::from_shares(&[read(&shares[0]), read(&shares[2])]).expect("the key");
    assert_eq!(joined.check_value(), lmk(MASTERS[0]).check_value());
    held(joined)
}

fn next_master() -> Held {
    let store = Keystore::in_memory(lmk(MASTERS[0]));
    load(&store);
    let store = store.rewrap_under(lmk(MASTERS[1])).expect("another master key");
    let mac = store.mac_key("mac.cmac").expect("mac.cmac");
    held((store, mac))
}
