//! What was seen on the wires, written down by somebody who is not the switch: requests that reached banks and their
//! answers, and answers that reached terminals.

use std::collections::{BTreeMap, BTreeSet};
use yika_codec::{Dialect, Layout, Message, Mti};
use yika_keystore::MacKey;

/// A request as its bank knows it: F11 and F37 under its message type without the repeat digit.
pub(super) type LegKey = (&'static str, Mti, u32, [u8; 12]);
/// A request as its terminal knows it: F41, message type of the answer, F11, F37.
pub(super) type AskKey = ([u8; 8], Mti, u32, [u8; 12]);

#[derive(Default)]
pub(super) struct Seen {
    /// Requests at banks, and F4 of each.
    pub(super) legs: BTreeMap<LegKey, u64>,
    /// Requests whose approval came back to the switch, whole and over what was asked.
    pub(super) approved: BTreeSet<LegKey>,
    /// Those of them that may not be in the journal yet.
    fresh: Vec<LegKey>,
    /// Every code that each request was answered with, in order.
    pub(super) answers: BTreeMap<AskKey, Vec<[u8; 2]>>,
    /// Requests that their terminal has reversed, by F41 and F37.
    pub(super) reversals: BTreeSet<([u8; 8], [u8; 12])>,
    layout: Layout,
    /// Records that gateways were told to be stored.
    pub(super) stored: BTreeSet<Vec<u8>>,
}

impl Seen {
    /// A frame reached a bank.
    pub(super) fn at_bank(&mut self, bank: &'static str, dialect: &Dialect, payload: &[u8]) {
        if dialect.decode(payload, &mut self.layout).is_err() {
            return;
        }
        let message = dialect.message(payload, &self.layout);
        if let (Some((mti, stan, rrn)), true) = (identity(&message), message.mti().is_request()) {
            let amount = message.number(4).unwrap_or(0);
            self.legs.insert((bank, mti.without_repeat(), stan, rrn), amount);
        }
    }

    /// A frame of a bank reached the switch.
    pub(super) fn by_bank(
        &mut self,
        bank: &'static str,
        dialect: &Dialect,
        key: Option<&MacKey>,
        payload: &[u8],
    ) {
        if dialect.decode(payload, &mut self.layout).is_err() {
            return;
        }
        let message = dialect.message(payload, &self.layout);
        let proves = |key: &MacKey| {
            let proof = message.mac_input().zip(message.mac());
            proof.is_some_and(|(input, mac)| key.verify(input, &mac, ()).is_ok())
        };
        let Some((mti, stan, rrn)) = identity(&message).filter(|_| key.is_none_or(proves)) else { return };
        let leg = (bank, Mti::new(mti.bcd().wrapping_sub(0x10)), stan, rrn);
        let (Some(amount), Some(code)) = (self.legs.get(&leg), message.digits::<2>(39)) else { return };
        let approves =
            code == *b"10" || code == *b"00" && message.number(4).is_none_or(|told| told <= *amount);
        if approves && self.approved.insert(leg) {
            self.fresh.push(leg);
        }
    }

    /// All that came back so far is in the journal, or never will be.
    pub(super) fn durable(&mut self) {
        self.fresh.clear();
    }

    /// The process is gone: what came back and was not in the journal came to nobody.
    pub(super) fn died(&mut self) {
        for leg in self.fresh.drain(..) {
            self.approved.remove(&leg);
        }
    }

    /// A frame reached a terminal.
    pub(super) fn at_terminal(&mut self, dialect: &Dialect, payload: &[u8]) {
        if dialect.decode(payload, &mut self.layout).is_err() {
            return;
        }
        let message = dialect.message(payload, &self.layout);
        let (Some((mti, stan, rrn)), Some(terminal)) = (identity(&message), message.digits::<8>(41)) else {
            return;
        };
        if let Some(code) = message.digits::<2>(39) {
            self.answers.entry((terminal, mti, stan, rrn)).or_default().push(code);
        }
    }

    /// A terminal sent a frame.
    pub(super) fn by_terminal(&mut self, dialect: &Dialect, payload: &[u8]) {
        if dialect.decode(payload, &mut self.layout).is_err() {
            return;
        }
        let message = dialect.message(payload, &self.layout);
        if let (Some((mti, _, rrn)), Some(terminal)) = (identity(&message), message.digits::<8>(41))
            && mti.class() == 0x04
        {
            self.reversals.insert((terminal, rrn));
        }
    }
}

/// A frame for people, and F37 of the payment that it is of.
pub(super) fn describe(dialect: &Dialect, payload: &[u8]) -> (Option<[u8; 12]>, String) {
    let mut layout = Layout::default();
    if let Err(error) = dialect.decode(payload, &mut layout) {
        return (None, format!("{} bytes that are no message: {error}", payload.len()));
    }
    let message = dialect.message(payload, &layout);
    let mut text = format!("{}", message.mti());
    let kind = message.kind().map(|kind| format!(" {}", kind.as_str()));
    text.push_str(&kind.unwrap_or_default());
    for n in [41, 11, 4, 39, 37, 90, 61] {
        let mut value = Vec::new();
        message.copy(n, &mut value);
        if !value.is_empty() {
            text.push_str(&format!("  F{n} {}", String::from_utf8_lossy(&value).trim_end()));
        }
    }
    (message.digits::<12>(37), text)
}

pub(super) fn is_reversal(dialect: &Dialect, payload: &[u8]) -> bool {
    let mut layout = Layout::default();
    dialect.decode(payload, &mut layout).is_ok() && dialect.message(payload, &layout).mti().class() == 0x04
}

fn identity(message: &Message<'_>) -> Option<(Mti, u32, [u8; 12])> {
    let stan = u32::try_from(message.number(11)?).ok()?;
    (message.mti().class() != 0x08).then_some((message.mti(), stan, message.digits::<12>(37)?))
}
