//! A configuration and the banks for it: simulated ones with keys, or scripted ones without. Shared by the end-to-end
//! tests and the chaos program.

use crate::process::free_port;
use std::net::SocketAddr;
use std::path::Path;
use yika_loadgen::{IssuerConfig, IssuerHandle, Role, RunConfig, Wire, issuer, test_mac_key, test_pin_key};

pub const ACQUIRER_MAC: &str = "2B7E151628AED2A6ABF7158809CF4F3C";
pub const BANK_MAC: &str = "000102030405060708090A0B0C0D0E0F";
pub const ACQUIRER_PIN: &str = "0123456789ABCDEFFEDCBA9876543210";
pub const BANK_PIN: &str = "1C1C2A2A4F4F707089ABCDEF01234567";

/// The keys of a city, hex.
#[derive(Clone, Copy)]
pub struct Keys {
    pub acquirer_mac: &'static str,
    pub bank_mac: &'static str,
    pub acquirer_pin: &'static str,
    pub bank_pin: &'static str,
}

impl Keys {
    /// Those of most tests: published values.
    pub const PUBLISHED: Keys = Keys {
        acquirer_mac: ACQUIRER_MAC,
        bank_mac: BANK_MAC,
        acquirer_pin: ACQUIRER_PIN,
        bank_pin: BANK_PIN,
    };
}

pub struct City {
    pub banks: Vec<IssuerHandle>,
    pub keys: Keys,
    pub listener: SocketAddr,
    pub pos_listener: SocketAddr,
}

impl City {
    /// Starts two banks and the coupon platform with this script, and writes `yika.toml` for them.
    pub fn build(folder: &Path, script: &str) -> City {
        City::build_with(folder, script, &Settings { keyed: true, ..Settings::default() })
    }

    /// The same with other settings; they have to be keyed, as these banks are.
    pub fn build_with(folder: &Path, script: &str, settings: &Settings) -> City {
        assert!(settings.keyed, "these banks have keys");
        let bank = |name: &str, dialect: &str, role: Role, seed: u64| {
            let wire = Wire::named(dialect, None, Some(mac(settings.keys.bank_mac))).unwrap();
            let mut config = IssuerConfig::new(name, ([127, 0, 0, 1], 0).into(), wire);
            config.role = role;
            config.seed = seed;
            config.script = script.parse().unwrap();
            config.pin = (role == Role::Issuer).then(|| test_pin_key(settings.keys.bank_pin).unwrap());
            issuer::start(config).unwrap()
        };
        let banks = vec![
            bank("bank-a", "iso87-ascii", Role::Issuer, 1),
            bank("bank-b", "pos-bcd", Role::Issuer, 2),
            bank("coupons", "iso87-ascii", Role::CouponPlatform, 3),
        ];
        let listeners = [(free_port(), "iso87-ascii"), (free_port(), "pos-bcd")];
        let [a, b, coupons] = &banks[..] else { panic!("three were started") };
        let hosts = [
            (a.name(), "issuer", "iso87-ascii", a.addr()),
            (b.name(), "issuer", "pos-bcd", b.addr()),
            (coupons.name(), "coupon-platform", "iso87-ascii", coupons.addr()),
        ];
        std::fs::write(folder.join("yika.toml"), configuration(&hosts, &listeners, settings)).unwrap();
        City { banks, keys: settings.keys, listener: listeners[0].0, pos_listener: listeners[1].0 }
    }

    /// Terminals for one of the listeners.
    pub fn terminals(&self, dialect: &str) -> RunConfig {
        let target = if dialect == "pos-bcd" { self.pos_listener } else { self.listener };
        let mut config =
            RunConfig::new(target, Wire::named(dialect, None, Some(mac(self.keys.acquirer_mac))).unwrap());
        config.pin = Some(test_pin_key(self.keys.acquirer_pin).unwrap());
        config.pin_share = "20%".parse().unwrap();
        config.terminal_prefix = if dialect == "pos-bcd" { *b"PB" } else { *b"IA" };
        config
    }
}

/// Name, role, dialect and address.
pub type Host<'a> = (&'a str, &'a str, &'a str, SocketAddr);

/// What differs between the configurations of the tests.
pub struct Settings {
    /// MAC and PIN keys, sign-on and two lines to each bank.
    pub keyed: bool,
    /// Which, when they are keyed.
    pub keys: Keys,
    /// How long a bank may take.
    pub timeout: &'static str,
    pub segment: &'static str,
    /// The lines of `[limits]`; a dedupe window of ten minutes when empty.
    pub limits: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            keyed: false,
            keys: Keys::PUBLISHED,
            timeout: "700ms",
            segment: "4MiB",
            limits: String::new(),
        }
    }
}

/// The text of `yika.toml`.
pub fn configuration(hosts: &[Host<'_>], listeners: &[(SocketAddr, &str)], settings: &Settings) -> String {
    let mut text = format!(
        "[switch]\nenvironment = \"test\"\ndata_dir = \"data\"\nadmin = \"127.0.0.1:0\"\n\
         [limits]\n{}\n[journal]\nsegment = \"{}\"\n",
        if settings.limits.is_empty() { "dedupe_window = \"10min\"" } else { &settings.limits },
        settings.segment
    );
    text += "[[participant]]\nname = \"city\"\nrole = \"acquirer\"\n";
    if settings.keyed {
        text += "mac_key = \"acquirer-mac\"\npin_key = \"acquirer-pin\"\n";
    }
    for (name, role, dialect, address) in hosts {
        text += &format!(
            "[[participant]]\nname = \"{name}\"\nrole = \"{role}\"\ndialect = \"{dialect}\"\nconnect = [\"{address}\"]\n\
             timeout = \"{}\"\nreconnect_first = \"20ms\"\nreconnect_max = \"200ms\"\n\
             backoff_first = \"100ms\"\nbackoff_max = \"500ms\"\nsaf_window = 64\n",
            settings.timeout
        );
        text += match (settings.keyed, *role) {
            (false, _) => "sign_on = \"none\"\n",
            (true, "issuer") => {
                "sign_on = \"required\"\nlines = 2\nmac_key = \"bank-mac\"\npin_key = \"bank-pin\"\n"
            }
            (true, _) => "sign_on = \"required\"\nlines = 2\nmac_key = \"bank-mac\"\n",
        };
    }
    for (address, dialect) in listeners {
        let deadline = if settings.keyed { "2s" } else { "20s" };
        text += &format!(
            "[[listener]]\naddress = \"{address}\"\nparticipant = \"city\"\ndialect = \"{dialect}\"\ndeadline = \"{deadline}\"\n"
        );
    }
    let of_6222 = hosts.get(1).map_or(hosts[0].0, |second| second.0);
    for (prefix, to) in [("411111", hosts[0].0), ("6210", hosts[0].0), ("6222", of_6222)] {
        text += &format!("[[route]]\nprefix = \"{prefix}\"\nto = \"{to}\"\n");
    }
    if settings.keyed { text + &keys(&settings.keys) } else { text }
}

fn keys(keys: &Keys) -> String {
    let keys = [
        ("acquirer-mac", "mac-cmac", "aes", keys.acquirer_mac),
        ("bank-mac", "mac-cmac", "aes", keys.bank_mac),
        ("acquirer-pin", "pin", "tdes", keys.acquirer_pin),
        ("bank-pin", "pin", "tdes", keys.bank_pin),
    ];
    let tables = keys.map(|(name, usage, algorithm, key)| {
        let (one, two) = split(key);
        format!(
            "[[test_key]]\nname = \"{name}\"\nusage = \"{usage}\"\nalgorithm = \"{algorithm}\"\ncomponents = [\"{one}\", \"{two}\"]\n"
        )
    });
    tables.concat()
}

pub fn mac(key: &str) -> yika_keystore::MacKey {
    test_mac_key(&format!("cmac:{key}")).unwrap()
}

/// Two components whose exclusive-or is the key.
fn split(key: &str) -> (String, String) {
    let mask = |at: usize| (at * 7 % 16) as u8;
    let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap().to_ascii_uppercase();
    let two = key.chars().enumerate().map(|(at, c)| hex(c.to_digit(16).unwrap() as u8 ^ mask(at))).collect();
    ((0..key.len()).map(|at| hex(mask(at))).collect(), two)
}
