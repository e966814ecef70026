//! The configuration that is measured: one acquirer, a bank in iso87-ascii and one in pos-bcd, a MAC on both
//! sides and PIN keys. The same text runs the core in memory, the journal and the whole switch. Its keys are
//! published test keys.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

pub(crate) const ACQUIRER_MAC: &str = "2B7E151628AED2A6ABF7158809CF4F3C";
pub(crate) const BANK_MAC: &str = "000102030405060708090A0B0C0D0E0F";
pub(crate) const ACQUIRER_PIN: &str = "0123456789ABCDEFFEDCBA9876543210";
pub(crate) const BANK_PIN: &str = "1C1C2A2A4F4F707089ABCDEF01234567";

/// Connections that the switch holds to each bank.
pub(crate) const LINES: usize = 4;
/// Keys that a run may put into the dedupe window: above what it can make, so that nothing is refused.
pub(crate) const DEDUPE_MAX: usize = 20_000_000;
pub(crate) const DEDUPE_WINDOW: &str = "1h";

/// How messages of both sides are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mac {
    Cmac,
    Retail,
}

impl Mac {
    /// A key as the load generator takes it.
    pub(crate) fn option(self, key: &str) -> String {
        match self {
            Mac::Cmac => format!("cmac:{key}"),
            Mac::Retail => format!("retail:{key}"),
        }
    }

    fn usage(self) -> (&'static str, &'static str) {
        match self {
            Mac::Cmac => ("mac-cmac", "aes"),
            Mac::Retail => ("mac-retail", "tdes"),
        }
    }
}

/// What `yika serve` gets.
pub(crate) fn configuration(data: &Path, mac: Mac, bank_a: SocketAddr, bank_b: SocketAddr) -> String {
    let mut text = format!(
        "[switch]\nenvironment = \"test\"\ndata_dir = {:?}\nadmin = \"127.0.0.1:0\"\n\
         [limits]\ndedupe_window = \"{DEDUPE_WINDOW}\"\ndedupe_max = {DEDUPE_MAX}\n",
        data.display().to_string()
    );
    let (usage, algorithm) = mac.usage();
    for (name, usage, algorithm, key) in [
        ("acquirer-mac", usage, algorithm, ACQUIRER_MAC),
        ("bank-mac", usage, algorithm, BANK_MAC),
        ("acquirer-pin", "pin", "tdes", ACQUIRER_PIN),
        ("bank-pin", "pin", "tdes", BANK_PIN),
    ] {
        let (one, two) = components(key);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "[[test_key]]\nname = \"{name}\"\nusage = \"{usage}\"\nalgorithm = \"{algorithm}\"\nmode = \"both\"\n\
             components = [\"{one}\", \"{two}\"]"
        );
    }
    text.push_str(
        "[[participant]]\nname = \"city\"\nrole = \"acquirer\"\nmac_key = \"acquirer-mac\"\npin_key = \"acquirer-pin\"\n",
    );
    for (name, dialect, host) in [("bank-a", "iso87-ascii", bank_a), ("bank-b", "pos-bcd", bank_b)] {
        let _ = writeln!(
            text,
            "[[participant]]\nname = \"{name}\"\nrole = \"issuer\"\ndialect = \"{dialect}\"\nconnect = [\"{host}\"]\n\
             lines = {LINES}\ntimeout = \"5s\"\nreconnect_first = \"50ms\"\nmac_key = \"bank-mac\"\npin_key = \"bank-pin\""
        );
    }
    text.push_str(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nparticipant = \"city\"\ndialect = \"iso87-ascii\"\ndeadline = \"15s\"\n",
    );
    for (prefix, to) in [("411111", "bank-a"), ("6210", "bank-a"), ("6222", "bank-b")] {
        let _ = writeln!(text, "[[route]]\nprefix = \"{prefix}\"\nto = \"{to}\"");
    }
    text
}

/// Two components whose exclusive-or is the key: a configuration takes keys in no other form.
fn components(key: &str) -> (String, String) {
    let hex = |nibble: u32| char::from_digit(nibble, 16).map_or('0', |digit| digit.to_ascii_uppercase());
    let mask = |at: usize| u32::try_from(at * 7 % 16).unwrap_or(0);
    let digits = key.chars().filter_map(|digit| digit.to_digit(16)).enumerate();
    digits.map(|(at, digit)| (hex(mask(at)), hex(digit ^ mask(at)))).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use yika_switch::config::parse;

    #[test]
    fn the_switch_takes_both_configurations() {
        let any = SocketAddr::from(([127, 0, 0, 1], 7200));
        for mac in [Mac::Cmac, Mac::Retail] {
            let config =
                parse("bench", &configuration(Path::new("data"), mac, any, any), Path::new(".")).unwrap();
            assert_eq!((config.participants.len(), config.routes.len()), (3, 3));
            assert_eq!(config.bounds.dedupe_max, DEDUPE_MAX);
            assert!(config.participants.iter().all(|one| one.mac_key.is_some() && one.pin_key.is_some()));
        }
    }
}
