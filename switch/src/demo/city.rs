//! The demo's city: two banks, the coupon platform and the terminals, and the configuration that the switch
//! gets. Its keys are published test keys.

use super::folder::Folder;
use super::{DemoError, DemoOptions};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use yika_keystore::{MacKey, PinKey};

use yika_loadgen::{
    Arrivals, IssuerConfig, IssuerHandle, Ledger, Load, Mix, Policy, Role, RunConfig, RunHandle, Script,
    Share, Wire, issuer, run, test_mac_key, test_pin_key,
};

const ACQUIRER_MAC: &str = "2B7E151628AED2A6ABF7158809CF4F3C";
const BANK_MAC: &str = "000102030405060708090A0B0C0D0E0F";
const ACQUIRER_PIN: &str = "0123456789ABCDEFFEDCBA9876543210";
const BANK_PIN: &str = "1C1C2A2A4F4F707089ABCDEF01234567";

pub(super) struct City {
    bank_a: IssuerHandle,
    bank_b: IssuerHandle,
    coupons: IssuerHandle,
    listener: SocketAddr,
}

impl City {
    /// Starts the banks and writes the switch's configuration for them.
    pub(super) fn start(folder: &Folder, options: &DemoOptions) -> Result<City, DemoError> {
        let ordinary = if options.calm {
            "decline=2%,delay=exp:1ms"
        } else {
            "decline=2%,delay=exp:1ms,silence=0.05%,late=0.05%:1500ms,duplicate=0.2%,garble=0.02%"
        };
        let bank = |name: &str, dialect: &str, role: Role, script: &str, seed: u64| -> Result<_, DemoError> {
            let wire = Wire::named(dialect, None, Some(mac(BANK_MAC)?))
                .map_err(|e| DemoError::Config(e.to_string()))?;
            let mut config = IssuerConfig::new(name, any_port(), wire);
            config.role = role;
            config.seed = seed;
            config.script = script.parse::<Script>().map_err(|e| DemoError::Config(e.to_string()))?;
            config.pin = (role == Role::Issuer).then(|| pin(BANK_PIN)).transpose()?;
            Ok(issuer::start(config)?)
        };
        let bank_a = bank("bank-a", "iso87-ascii", Role::Issuer, ordinary, 1)?;
        let bank_b = bank("bank-b", "pos-bcd", Role::Issuer, ordinary, 2)?;
        let coupons = bank("coupons", "iso87-ascii", Role::CouponPlatform, "partial=10%", 3)?;
        let listener = free_port()?;
        let text = configuration(folder, listener, &bank_a, &bank_b, &coupons);
        std::fs::write(folder.config(), text).map_err(|source| DemoError::Io {
            doing: "write",
            what: folder.config().display().to_string(),
            source,
        })?;
        Ok(City { bank_a, bank_b, coupons, listener })
    }

    pub(super) fn listener(&self) -> SocketAddr {
        self.listener
    }

    pub(super) fn bank_a(&self) -> &IssuerHandle {
        &self.bank_a
    }

    pub(super) fn bank_b(&self) -> &IssuerHandle {
        &self.bank_b
    }

    pub(super) fn coupons(&self) -> &IssuerHandle {
        &self.coupons
    }

    pub(super) fn start_terminals(&self, options: &DemoOptions) -> Result<RunHandle, DemoError> {
        let wire = Wire::named("iso87-ascii", None, Some(mac(ACQUIRER_MAC)?))
            .map_err(|e| DemoError::Config(e.to_string()))?;
        let mut config = RunConfig::new(self.listener, wire);
        let mix = "purchase=76,coupon=5,void=2,refund=2,pre-auth=4,completion=3,pre-auth-cancel=1,completion-cancel=2,balance=2,\
             reversal=2,advice=1";
        config.mix = mix.parse::<Mix>().map_err(|e| DemoError::Config(e.to_string()))?;
        // As many terminals as are busy while the switch restarts: each waits for its own answer.
        let terminals = options.rate.saturating_mul(8).clamp(100, 500_000);
        config.load = Load::Open { rate: f64::from(options.rate), arrivals: Arrivals::Poisson, terminals };
        config.connections = 16;
        config.duration = Duration::from_secs(options.seconds);
        config.warm_up = Duration::from_millis(500).min(config.duration / 10);
        config.policy = Policy {
            answer_timeout: Duration::from_secs(3),
            repeats: 3,
            retry_pause: Duration::from_millis(500),
        };
        config.pin = Some(pin(ACQUIRER_PIN)?);
        config.pin_share = "20%".parse::<Share>().map_err(|e| DemoError::Config(e.to_string()))?;
        Ok(run::start(config)?)
    }

    pub(super) fn stop(self) -> Result<Vec<Ledger>, DemoError> {
        Ok(vec![self.bank_a.stop()?, self.bank_b.stop()?, self.coupons.stop()?])
    }
}

fn mac(key: &str) -> Result<MacKey, DemoError> {
    test_mac_key(&format!("cmac:{key}")).map_err(|e| DemoError::Config(e.to_string()))
}

fn pin(key: &str) -> Result<PinKey, DemoError> {
    test_pin_key(key).map_err(|e| DemoError::Config(e.to_string()))
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A port that stays the same over the restart: taken once to learn its number.
fn free_port() -> Result<SocketAddr, DemoError> {
    let failed = |source| DemoError::Io { doing: "find", what: "a free port".into(), source };
    TcpListener::bind(any_port()).and_then(|socket| socket.local_addr()).map_err(failed)
}

fn configuration(
    folder: &Folder,
    listener: SocketAddr,
    bank_a: &IssuerHandle,
    bank_b: &IssuerHandle,
    coupons: &IssuerHandle,
) -> String {
    let mut text = format!(
        "# Written by `yika demo`; the keys are published test keys.\n\
         [switch]\nenvironment = \"test\"\ndata_dir = {:?}\ninstitution = \"10000001\"\ntime_zone = \"+08:00\"\n\
         [limits]\ndedupe_window = \"1h\"\n[journal]\nsegment = \"16MiB\"\n",
        folder.data().display().to_string()
    );
    for (name, usage, algorithm, key) in [
        ("acquirer-mac", "mac-cmac", "aes", ACQUIRER_MAC),
        ("bank-mac", "mac-cmac", "aes", BANK_MAC),
        ("acquirer-pin", "pin", "tdes", ACQUIRER_PIN),
        ("bank-pin", "pin", "tdes", BANK_PIN),
    ] {
        let (one, two) = split(key);
        text += &format!(
            "[[test_key]]\nname = \"{name}\"\nusage = \"{usage}\"\nalgorithm = \"{algorithm}\"\nmode = \"both\"\ncomponents = [\"{one}\", \"{two}\"]\n"
        );
    }
    text += "[[participant]]\nname = \"city\"\nrole = \"acquirer\"\nmac_key = \"acquirer-mac\"\npin_key = \"acquirer-pin\"\n";
    for (name, role, dialect, host) in [
        ("bank-a", "issuer", "iso87-ascii", bank_a),
        ("bank-b", "issuer", "pos-bcd", bank_b),
        ("coupons", "coupon-platform", "iso87-ascii", coupons),
    ] {
        text += &format!(
            "[[participant]]\nname = \"{name}\"\nrole = \"{role}\"\ndialect = \"{dialect}\"\nconnect = [\"{}\"]\nlines = 2\n\
             timeout = \"1s\"\nsign_on = \"required\"\nreconnect_first = \"50ms\"\nreconnect_max = \"500ms\"\n\
             backoff_first = \"200ms\"\nbackoff_max = \"2s\"\nsaf_window = 64\nmac_key = \"bank-mac\"\n",
            host.addr()
        );
        if role == "issuer" {
            text += "pin_key = \"bank-pin\"\n\
                     stand_in = { per_transaction = 20000, card_count = 50, card_sum = 200000, issuer_sum = 1000000000 }\n";
        }
    }
    text += &format!(
        "[[listener]]\naddress = \"{listener}\"\nparticipant = \"city\"\ndialect = \"iso87-ascii\"\ndeadline = \"2500ms\"\n"
    );
    for (prefix, to) in [("411111", "bank-a"), ("6210", "bank-a"), ("6222", "bank-b")] {
        text += &format!("[[route]]\nprefix = \"{prefix}\"\nto = \"{to}\"\n");
    }
    text
}

/// Two components whose exclusive-or is the key: the configuration takes keys in no other form.
fn split(key: &str) -> (String, String) {
    let nibble = |at: usize| u8::try_from(at * 7 % 16).unwrap_or(0);
    let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    let one: String = (0..key.len()).map(|at| hex(nibble(at))).collect();
    let two = key.chars().enumerate().map(|(at, c)| hex(c.to_digit(16).unwrap_or(0) as u8 ^ nibble(at)));
    (one, two.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_make_the_key_again() {
        let (one, two) = split(BANK_PIN);
        let number = |text: &str| u128::from_str_radix(text, 16).unwrap();
        assert_eq!(number(&one) ^ number(&two), number(BANK_PIN));
        assert_ne!(one, two);
    }
}
