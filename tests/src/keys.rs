//! The other side of a key change: keys that a participant shares with the switch, and new ones on their way
//! under a key-encryption key. Every key follows from its name; none of them ever guarded anything.

use yika_keystore::{
    Algorithm, Export, GateKey, Keystore, Lmk, LmkBlock, MacKey, Mode, PinKey, Usage, WrapForm, Wrapped,
};

/// What a participant holds.
pub struct KeyRing(Keystore);

/// Carries keys as X9.143 blocks.
pub const KEK_AES: &str = "kek-aes";
/// Carries keys as bare cryptograms with a check value.
pub const KEK_DES: &str = "kek-des";

impl KeyRing {
    /// A participant's keys, and a keystore for the switch that holds the key-encryption keys and `shared`.
    /// Names tell the kind: `mac-..` is AES-CMAC, `retail-..` a retail MAC, `pin-..` TDES, `zone-..` a zone key.
    pub fn agreed(shared: &[&str]) -> (KeyRing, Keystore) {
        let (ring, switch) = (Keystore::in_memory(Lmk::test()), Keystore::in_memory(Lmk::test()));
        for store in [&ring, &switch] {
            add(store, KEK_AES);
            add(store, KEK_DES);
        }
        shared.iter().for_each(|name| add(&switch, name));
        (KeyRing(ring), switch)
    }

    pub fn mac(&self, name: &str) -> MacKey {
        self.has(name);
        self.0.mac_key(name).unwrap()
    }

    /// A zone key, of a name that begins with `zone`.
    pub fn gate(&self, name: &str) -> GateKey {
        self.has(name);
        self.0.gate_key(name).unwrap()
    }

    pub fn pin(&self, name: &str) -> PinKey {
        self.has(name);
        self.0.pin_key(name).unwrap()
    }

    /// The key as F48 carries it: `NK`, length, and what the form makes of it.
    pub fn carried(&self, name: &str, form: WrapForm) -> String {
        self.has(name);
        let kek = match form {
            WrapForm::KeyBlock => KEK_AES,
            WrapForm::TdesEcb | WrapForm::VariantKeyBlock => KEK_DES,
        };
        let text = match self.0.export_wrapped(name, kek, form).unwrap() {
            Wrapped::KeyBlock(block) => block,
            Wrapped::TdesEcb { cryptogram, check_value } => hex(&cryptogram) + &hex(&check_value[..3]),
        };
        format!("NK{:03}{text}", text.len())
    }

    /// A key as F96 carries it: the cryptogram alone.
    pub fn cryptogram(&self, name: &str, kek: &str) -> Vec<u8> {
        self.has(name);
        match self.0.export_wrapped(name, kek, WrapForm::TdesEcb).unwrap() {
            Wrapped::TdesEcb { cryptogram, .. } => cryptogram,
            Wrapped::KeyBlock(_) => panic!("expected a bare cryptogram"),
        }
    }

    /// The MAC key that the switch sent in F48, under this key-encryption key.
    pub fn taken_mac(&self, carried: &str, kek: &str) -> MacKey {
        let (usage, algorithm) = match kek {
            KEK_DES => (Usage::MacRetail, Algorithm::Tdes),
            _ => (Usage::MacCmac, Algorithm::Aes),
        };
        let block = self.0.rewrap(kek, &wrapped(carried, kek), usage, algorithm, Mode::Both).unwrap();
        self.0.mac_key_from_block(&block).unwrap()
    }

    /// As `taken_mac`, a PIN key.
    pub fn taken_pin(&self, carried: &str, kek: &str) -> PinKey {
        let block =
            self.0.rewrap(kek, &wrapped(carried, kek), Usage::Pin, Algorithm::Tdes, Mode::Both).unwrap();
        self.0.pin_key_from_block(&block).unwrap()
    }

    /// A MAC key from F62 of a sign-in's answer, under the terminal's master key.
    pub fn terminal_mac(&self, tmk: &str, usage: Usage, cryptogram: &[u8], check_value: &[u8]) -> MacKey {
        self.0.mac_key_from_block(&self.of_terminal(tmk, usage, cryptogram, check_value)).unwrap()
    }

    /// As `terminal_mac`, a PIN key.
    pub fn terminal_pin(&self, tmk: &str, cryptogram: &[u8], check_value: &[u8]) -> PinKey {
        self.0.pin_key_from_block(&self.of_terminal(tmk, Usage::Pin, cryptogram, check_value)).unwrap()
    }

    fn of_terminal(&self, tmk: &str, usage: Usage, cryptogram: &[u8], check_value: &[u8]) -> LmkBlock {
        self.has(tmk);
        let algorithm = if cryptogram.len() == 8 { Algorithm::Des } else { Algorithm::Tdes };
        let wrapped = Wrapped::TdesEcb { cryptogram: cryptogram.to_vec(), check_value: check_value.to_vec() };
        self.0.rewrap(tmk, &wrapped, usage, algorithm, Mode::Both).unwrap()
    }

    fn has(&self, name: &str) {
        if self.0.info(name).is_none() {
            add(&self.0, name);
        }
    }
}

fn add(store: &Keystore, name: &str) {
    let kind = name.split('-').next().unwrap_or(name);
    let (usage, algorithm, bytes) = match (kind, name) {
        ("mac", _) => (Usage::MacCmac, Algorithm::Aes, 16),
        ("cbc", _) => (Usage::MacIso9797Alg1, Algorithm::Des, 8),
        ("retail", _) => (Usage::MacRetail, Algorithm::Tdes, 16),
        ("pin", _) => (Usage::Pin, Algorithm::Tdes, 16),
        ("zone", _) => (Usage::Derivation, Algorithm::Aes, 16),
        (_, KEK_DES) => (Usage::Kek, Algorithm::Tdes, 16),
        // Of three parts: it carries keys of three parts.
        ("tmk", _) => (Usage::Kek, Algorithm::Tdes, 24),
        _ => (Usage::Kek, Algorithm::Aes, 32),
    };
    let letters = name.bytes().cycle().zip(0u8..bytes);
    let first: Vec<u8> =
        letters.map(|(letter, at)| letter.wrapping_mul(31).wrapping_add(at.wrapping_mul(73))).collect();
    let second: Vec<u8> = (0..bytes).map(|at| at.wrapping_mul(57).wrapping_add(91)).collect();
    store.import_components(name, usage, algorithm, Mode::Both, Export::S, &[first, second]).unwrap();
}

/// What F48 carries.
fn wrapped(carried: &str, kek: &str) -> Wrapped {
    let key = carried.strip_prefix("NK").and_then(|rest| rest.get(3..)).unwrap();
    assert_eq!(carried[2..5], format!("{:03}", key.len()));
    if kek == KEK_AES {
        return Wrapped::KeyBlock(key.to_owned());
    }
    let (cryptogram, check_value) = key.split_at(key.len() - 6);
    let unhex = |text: &str| yika_codec::unhex(text).unwrap();
    Wrapped::TdesEcb { cryptogram: unhex(cryptogram), check_value: unhex(check_value) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
