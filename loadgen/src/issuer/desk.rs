//! A host without sockets and clock: a frame goes in, its answers and how long they wait come out.

use super::answer::{self, PinFound, asked, check_pin};
use super::{IssuerConfig, IssuerStats};
use crate::books::{Books, Decided, Role};
use crate::ledger::Ledger;
use crate::script::{Delivery, Script};
use crate::wire::{MacCheck, Wire};
use std::time::Duration;
use yika_codec::{Code, Framing, Kind, Layout, Message};
use yika_keystore::PinKey;

const MAC_ERROR: Code = Code::new(*b"A0");
const UNSUPPORTED: Code = Code::new(*b"40");

/// The books of a host and how it speaks.
pub struct Desk {
    name: String,
    wire: Wire,
    role: Role,
    pin: Option<PinKey>,
    pub(super) books: Books,
    pub(super) stats: IssuerStats,
    layout: Layout,
}

impl Desk {
    /// Empty books.
    pub fn new(config: &IssuerConfig) -> Desk {
        let IssuerConfig { role, script, seed, reversal_unknown, payments, .. } = *config;
        Desk {
            name: config.name.clone(),
            wire: config.wire.clone(),
            role,
            pin: config.pin.clone(),
            books: Books::new(role, script, seed, reversal_unknown, payments),
            stats: IssuerStats::default(),
            layout: Layout::default(),
        }
    }

    /// How frames are cut.
    pub fn framing(&self) -> Framing {
        self.wire.framing
    }

    /// Follows another script from now on.
    pub fn set_script(&mut self, script: Script) {
        self.books.script = script;
    }

    /// What stands in the books.
    pub fn ledger(&self) -> Ledger {
        self.books.ledger(&self.name)
    }

    /// What was counted so far; connections are counted by whoever holds them.
    pub fn stats(&self) -> IssuerStats {
        IssuerStats { books: self.books.counts, ..self.stats }
    }

    /// Takes one frame and appends its answers, none or more, which are to go out after the time returned.
    pub fn take_frame(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Duration {
        let mut layout = std::mem::take(&mut self.layout);
        let dialect = self.wire.dialect.clone();
        let decoded = dialect.decode(payload, &mut layout).is_ok();
        let message = dialect.message(payload, &layout);
        let delay = if decoded && message.mti().is_request() {
            self.stats.requests += 1;
            self.take_request(&message, out)
        } else {
            self.stats.parse_errors += 1;
            Duration::ZERO
        };
        self.layout = layout;
        delay
    }

    fn take_request(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> Duration {
        let kind = message.kind();
        let network =
            matches!(kind, Some(Kind::SignOn | Kind::SignOff | Kind::Echo | Kind::KeyChange | Kind::CutOver));
        let mac = self.wire.check_mac(message);
        if mac != MacCheck::Holds && !(network && mac == MacCheck::Missing) {
            self.stats.mac_failures += 1;
            return self.refuse(message, MAC_ERROR, out);
        }
        match kind {
            Some(kind) if network => {
                self.stats.network += 1;
                self.stats.answers += u64::from(answer::write_network(&self.wire, message, kind, out));
                Duration::ZERO
            }
            Some(kind) => self.take_payment(message, kind, out),
            None => self.refuse(message, UNSUPPORTED, out),
        }
    }

    fn refuse(&mut self, message: &Message<'_>, code: Code, out: &mut Vec<u8>) -> Duration {
        answer::write(&self.wire, self.role, message, &Decided::now(code), out);
        self.stats.answers += 1;
        Duration::ZERO
    }

    /// Lets the answer go now, later, twice or never.
    fn take_payment(&mut self, message: &Message<'_>, kind: Kind, out: &mut Vec<u8>) -> Duration {
        let pin = check_pin(message, self.pin.as_ref());
        self.stats.pins_good += u64::from(pin == PinFound::Good);
        self.stats.pins_wrong += u64::from(pin == PinFound::Wrong);
        let Some(asked) = asked(message, kind, pin) else {
            self.stats.parse_errors += 1;
            return Duration::ZERO;
        };
        let decided = self.books.handle(&asked);
        if matches!(decided.delivery, Delivery::Silence | Delivery::Lost) {
            self.stats.silenced += 1;
            return Duration::ZERO;
        }
        let copies = if decided.twice { 2 } else { 1 };
        (0..copies).for_each(|_| answer::write(&self.wire, self.role, message, &decided, out));
        self.stats.answers += copies;
        decided.delay
    }
}
