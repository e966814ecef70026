//! Towns: where terminals connect to a switch whose banks are scripted. Cities, whose banks are simulated, are the
//! library's.

use crate::peer::Bank;
use std::net::SocketAddr;
use std::path::Path;
pub(crate) use yika_tests::city::{ACQUIRER_MAC, ACQUIRER_PIN, BANK_MAC, BANK_PIN, City, Settings, mac};
use yika_tests::city::{Host, configuration};
use yika_tests::process::{Yika, free_port};

/// Where terminals connect to a switch whose banks are scripted: without keys, in both dialects.
pub(crate) struct Town {
    pub(crate) listener: SocketAddr,
    pub(crate) pos_listener: SocketAddr,
}

impl Town {
    /// Writes `yika.toml` for a switch with these banks.
    pub(crate) fn build(folder: &Path, a: &Bank, b: &Bank, settings: &Settings) -> Town {
        let host = |bank: &Bank| (bank.name, "issuer", bank.dialect, bank.address());
        Town::with_hosts(folder, &[host(a), host(b)], settings)
    }

    pub(crate) fn with_hosts(folder: &Path, hosts: &[Host<'_>], settings: &Settings) -> Town {
        let listeners = [(free_port(), "iso87-ascii"), (free_port(), "pos-bcd")];
        std::fs::write(folder.join("yika.toml"), configuration(hosts, &listeners, settings)).unwrap();
        Town { listener: listeners[0].0, pos_listener: listeners[1].0 }
    }
}

/// A switch in service, with two scripted banks that live as long as they are held: bank-a in iso87-ascii, which most tests
/// speak to, and bank-b in pos-bcd.
pub(crate) fn in_service(folder: &Path) -> (Bank, Bank, Town, Yika) {
    let (bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let town = Town::build(folder, &bank, &other, &Settings::default());
    (bank, other, town, Yika::start(folder))
}
