//! A configuration and the banks for it.

use std::net::SocketAddr;
use std::path::Path;
use yika_loadgen::{IssuerConfig, IssuerHandle, Role, RunConfig, Wire, issuer, test_mac_key, test_pin_key};

pub(crate) const ACQUIRER_MAC: &str = "2B7E151628AED2A6ABF7158809CF4F3C";
pub(crate) const BANK_MAC: &str = "000102030405060708090A0B0C0D0E0F";
pub(crate) const ACQUIRER_PIN: &str = "0123456789ABCDEFFEDCBA9876543210";
pub(crate) const BANK_PIN: &str = "1C1C2A2A4F4F707089ABCDEF01234567";

pub(crate) struct City {
    pub(crate) banks: Vec<IssuerHandle>,
    pub(crate) listener: SocketAddr,
    pub(crate) pos_listener: SocketAddr,
}

impl City {
    /// Starts two banks and the coupon platform with this script, and writes `yika.toml` for them.
    pub(crate) fn build(folder: &Path, script: &str) -> City {
        let bank = |name: &str, dialect: &str, role: Role, seed: u64| {
            let wire = Wire::named(dialect, None, Some(mac(BANK_MAC))).unwrap();
            let mut config = IssuerConfig::new(name, ([127, 0, 0, 1], 0).into(), wire);
            config.role = role;
            config.seed = seed;
            config.script = script.parse().unwrap();
            config.pin = (role == Role::Issuer).then(|| test_pin_key(BANK_PIN).unwrap());
            issuer::start(config).unwrap()
        };
        let banks = vec![
            bank("bank-a", "iso87-ascii", Role::Issuer, 1),
            bank("bank-b", "pos-bcd", Role::Issuer, 2),
            bank("coupons", "iso87-ascii", Role::CouponPlatform, 3),
        ];
        let city = City {
            banks,
            listener: yika_tests::process::free_port(),
            pos_listener: yika_tests::process::free_port(),
        };
        std::fs::write(folder.join("yika.toml"), city.configuration()).unwrap();
        city
    }

    fn configuration(&self) -> String {
        let mut text = String::from(
            "[switch]\nenvironment = \"test\"\ndata_dir = \"data\"\nadmin = \"127.0.0.1:0\"\n\
             [limits]\ndedupe_window = \"10min\"\n[journal]\nsegment = \"4MiB\"\n",
        );
        for (name, usage, algorithm, key) in [
            ("acquirer-mac", "mac-cmac", "aes", ACQUIRER_MAC),
            ("bank-mac", "mac-cmac", "aes", BANK_MAC),
            ("acquirer-pin", "pin", "tdes", ACQUIRER_PIN),
            ("bank-pin", "pin", "tdes", BANK_PIN),
        ] {
            let (one, two) = split(key);
            text += &format!(
                "[[test_key]]\nname = \"{name}\"\nusage = \"{usage}\"\nalgorithm = \"{algorithm}\"\ncomponents = [\"{one}\", \"{two}\"]\n"
            );
        }
        text += "[[participant]]\nname = \"city\"\nrole = \"acquirer\"\nmac_key = \"acquirer-mac\"\npin_key = \"acquirer-pin\"\n";
        for (bank, role, dialect) in [
            (&self.banks[0], "issuer", "iso87-ascii"),
            (&self.banks[1], "issuer", "pos-bcd"),
            (&self.banks[2], "coupon-platform", "iso87-ascii"),
        ] {
            text += &format!(
                "[[participant]]\nname = \"{}\"\nrole = \"{role}\"\ndialect = \"{dialect}\"\nconnect = [\"{}\"]\nlines = 2\n\
                 timeout = \"700ms\"\nsign_on = \"required\"\nreconnect_first = \"20ms\"\nreconnect_max = \"200ms\"\n\
                 backoff_first = \"100ms\"\nbackoff_max = \"500ms\"\nsaf_window = 64\nmac_key = \"bank-mac\"\n",
                bank.name(),
                bank.addr()
            );
            if role == "issuer" {
                text += "pin_key = \"bank-pin\"\n";
            }
        }
        for (address, dialect) in [(self.listener, "iso87-ascii"), (self.pos_listener, "pos-bcd")] {
            text += &format!(
                "[[listener]]\naddress = \"{address}\"\nparticipant = \"city\"\ndialect = \"{dialect}\"\ndeadline = \"2s\"\n"
            );
        }
        for (prefix, to) in [("411111", "bank-a"), ("6210", "bank-a"), ("6222", "bank-b")] {
            text += &format!("[[route]]\nprefix = \"{prefix}\"\nto = \"{to}\"\n");
        }
        text
    }

    /// Terminals for one of the listeners.
    pub(crate) fn terminals(&self, dialect: &str) -> RunConfig {
        let target = if dialect == "pos-bcd" { self.pos_listener } else { self.listener };
        let mut config = RunConfig::new(target, Wire::named(dialect, None, Some(mac(ACQUIRER_MAC))).unwrap());
        config.pin = Some(test_pin_key(ACQUIRER_PIN).unwrap());
        config.pin_share = "20%".parse().unwrap();
        config.terminal_prefix = if dialect == "pos-bcd" { *b"PB" } else { *b"IA" };
        config
    }
}

pub(crate) fn mac(key: &str) -> yika_keystore::MacKey {
    test_mac_key(&format!("cmac:{key}")).unwrap()
}

/// Two components whose exclusive-or is the key.
fn split(key: &str) -> (String, String) {
    let mask = |at: usize| (at * 7 % 16) as u8;
    let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap().to_ascii_uppercase();
    let two = key.chars().enumerate().map(|(at, c)| hex(c.to_digit(16).unwrap() as u8 ^ mask(at))).collect();
    ((0..key.len()).map(|at| hex(mask(at))).collect(), two)
}
