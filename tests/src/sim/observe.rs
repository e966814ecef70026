//! What was seen on the wires, written down by somebody who is not the switch: requests that reached banks, and
//! answers that reached terminals.

use std::collections::{BTreeMap, BTreeSet};
use yika_codec::{Dialect, Layout, Message, Mti};

/// A request as its bank knows it: F11 and F37 under its message type without the repeat digit.
pub(super) type LegKey = (&'static str, Mti, u32, [u8; 12]);
/// A request as its terminal knows it: F41, message type of the answer, F11, F37.
pub(super) type AskKey = ([u8; 8], Mti, u32, [u8; 12]);

#[derive(Default)]
pub(super) struct Seen {
    /// Requests at banks.
    pub(super) legs: BTreeSet<LegKey>,
    /// Every code that each request was answered with, in order.
    pub(super) answers: BTreeMap<AskKey, Vec<[u8; 2]>>,
    /// Requests that their terminal has reversed, by F41 and F37.
    pub(super) reversals: BTreeSet<([u8; 8], [u8; 12])>,
    layout: Layout,
}

impl Seen {
    /// A frame reached a bank.
    pub(super) fn at_bank(&mut self, bank: &'static str, dialect: &Dialect, payload: &[u8]) {
        if dialect.decode(payload, &mut self.layout).is_err() {
            return;
        }
        let message = dialect.message(payload, &self.layout);
        if let (Some((mti, stan, rrn)), true) = (identity(&message), message.mti().is_request()) {
            self.legs.insert((bank, mti.without_repeat(), stan, rrn));
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

pub(super) fn is_reversal(dialect: &Dialect, payload: &[u8]) -> bool {
    let mut layout = Layout::default();
    dialect.decode(payload, &mut layout).is_ok() && dialect.message(payload, &layout).mti().class() == 0x04
}

fn identity(message: &Message<'_>) -> Option<(Mti, u32, [u8; 12])> {
    let stan = u32::try_from(message.number(11)?).ok()?;
    (message.mti().class() != 0x08).then_some((message.mti(), stan, message.digits::<12>(37)?))
}
