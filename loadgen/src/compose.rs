//! From a terminal's operation to the bytes it sends: first, repeated, or reversed.
//!
//! Every copy of a message is made anew from the same record, so that it says the same each time. Only the repeat
//! digit changes (and nothing at all in a reversal of the terminals' own dialect).

use crate::cards::TestCard;
use crate::clock::{Stamp, digits};
use crate::ledger::State;
use crate::wire::Wire;
use yika_codec::{Draft, EncodeError, Kind, KindRow, Mti, ReversalStyle};

/// One message of a terminal, and how it ended. The terminal's ledger is made of these.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) terminal: u32,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    pub(crate) with_pin: bool,
    pub(crate) stan: u32,
    /// When it was made; F7, F12 and F13 of every copy.
    pub(crate) made_s: u32,
    /// F37 as a number; an operation on an earlier payment has that one's.
    pub(crate) number: u64,
    pub(crate) amount: u64,
    /// How much a coupon is asked to pay; 0 for none.
    pub(crate) coupon_asked: u64,
    /// What was told as approved, and the part of it that the coupon paid.
    pub(crate) told: u64,
    pub(crate) coupon_paid: u64,
    pub(crate) card: u32,
    pub(crate) approval: [u8; 6],
    pub(crate) code: [u8; 2],
}

/// Which copy of an operation is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copy {
    First,
    Repeat,
    /// The reversal, with its own trace number and time.
    Reversal {
        repeat: bool,
        stan: u32,
        made_s: u32,
        reason: [u8; 2],
    },
}

/// What the messages of one run have in common.
pub(crate) struct Composer {
    pub(crate) wire: Wire,
    pub(crate) cards: Vec<TestCard>,
    /// First two characters of each F41; six digits follow.
    pub(crate) terminal_prefix: [u8; 2],
    /// First four characters of each F37, so that runs do not share references.
    pub(crate) run_tag: [u8; 4],
}

const MERCHANT: &[u8; 15] = b"YIKALOADGEN0001";
const EXPIRY: &[u8; 4] = b"3012";
const CURRENCY: &[u8; 3] = b"156";
/// PAN read by chip, with and without PIN entry.
const ENTRY_WITH_PIN: &[u8; 3] = b"051";
const ENTRY_WITHOUT_PIN: &[u8; 3] = b"052";
/// Batch number of terminals that have one.
const BATCH: &[u8; 6] = b"000001";
const COUPON_ID: &[u8; 12] = b"CQTEST000001";

/// Values that a draft borrows.
struct Values {
    f3: [u8; 6],
    f4: [u8; 12],
    stamp: Stamp,
    f11: [u8; 6],
    f25: [u8; 2],
    f37: [u8; 12],
    f41: [u8; 8],
    f48: [u8; 29],
    f60: [u8; 11],
    f61: [u8; 16],
    f90: [u8; 42],
}

impl Composer {
    /// F41 of a terminal.
    pub(crate) fn terminal_id(&self, terminal: u32) -> [u8; 8] {
        let mut id = [0; 8];
        id[..2].copy_from_slice(&self.terminal_prefix);
        id[2..].copy_from_slice(&digits::<6>(u64::from(terminal)));
        id
    }

    /// The terminal of an F41; `None` if it is none of ours.
    pub(crate) fn terminal_of(&self, id: [u8; 8]) -> Option<u32> {
        let number = id.strip_prefix(self.terminal_prefix.as_slice())?;
        number
            .iter()
            .try_fold(0, |sum: u32, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
    }

    /// F37 of a payment.
    pub(crate) fn reference(&self, number: u64) -> [u8; 12] {
        let mut reference = [0; 12];
        reference[..4].copy_from_slice(&self.run_tag);
        reference[4..].copy_from_slice(&base36::<8>(number));
        reference
    }

    /// True if a reversal is a message with a trace number of its own (0420); a terminal's 0400 has the original's.
    pub(crate) fn reversal_has_own_stan(&self) -> bool {
        self.wire.dialect.reversal() == ReversalStyle::F90Advice
    }

    /// The message type of a copy; `None` if the dialect has no such message.
    pub(crate) fn mti(&self, operation: &Operation, copy: Copy) -> Option<Mti> {
        let first = |kind| self.wire.dialect.kind_row(kind).map(|row: &KindRow| row.mti);
        match copy {
            Copy::First => first(operation.kind),
            Copy::Repeat => first(operation.kind).map(Mti::with_repeat),
            Copy::Reversal { repeat, .. } => {
                let marked = repeat && self.wire.dialect.reversal() == ReversalStyle::F90Advice;
                first(Kind::Reversal).map(|mti| if marked { mti.with_repeat() } else { mti })
            }
        }
    }

    /// Appends a copy of `operation`; `original` is the earlier payment it builds on.
    pub(crate) fn write(
        &self,
        operation: &Operation,
        original: Option<&Operation>,
        copy: Copy,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let dialect = &self.wire.dialect;
        let (Some(row), Some(mti)) = (dialect.kind_row(operation.kind), self.mti(operation, copy)) else {
            // `Mix::check` has refused such a kind before the run began.
            return Ok(());
        };
        let named = if matches!(copy, Copy::Reversal { .. }) { Some(operation) } else { original };
        let values = self.values(operation, named, row, copy);
        let mut draft = Draft::new(mti);
        let card = self.cards.get(operation.card as usize);
        if let Some(card) = card {
            draft.set(2, card.pan.digits());
        }
        let utc = self.reversal_has_own_stan();
        draft.set(3, &values.f3);
        if operation.kind != Kind::Balance {
            draft.set(4, &values.f4);
            draft.set(49, CURRENCY);
        }
        if utc {
            draft.set(7, &values.stamp.f7);
        }
        draft.set(11, &values.f11);
        draft.set(12, &values.stamp.f12);
        draft.set(13, &values.stamp.f13);
        draft.set(14, EXPIRY);
        draft.set(22, if operation.with_pin { ENTRY_WITH_PIN } else { ENTRY_WITHOUT_PIN });
        draft.set(25, &values.f25);
        draft.set(37, &values.f37);
        draft.set(41, &values.f41);
        draft.set(42, MERCHANT);
        if let Some(original) = original.filter(|original| original.approval != [0; 6]) {
            draft.set(38, &original.approval);
        }
        if operation.coupon_asked > 0 {
            draft.set(48, &values.f48);
        }
        if let Copy::Reversal { reason, .. } = &copy {
            if !utc {
                draft.set(39, reason);
            }
        } else if let Some(block) =
            card.and_then(|card| card.pin_block.as_ref()).filter(|_| operation.with_pin)
        {
            draft.set(52, block);
        }
        if row.f60_1.is_some() {
            draft.set(60, &values.f60);
        }
        if named.is_some() {
            if utc { draft.set(90, &values.f90) } else { draft.set(61, &values.f61) }
        }
        self.wire.write(&mut draft, out)
    }

    /// Appends the sign-on of a connection, in the name of its first terminal; without a MAC.
    pub(crate) fn write_sign_on(
        &self,
        terminal: u32,
        made_s: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let dialect = &self.wire.dialect;
        let Some(row) = dialect.kind_row(Kind::SignOn) else { return Ok(()) };
        let stamp = Stamp::new(made_s, dialect.f7_offset_minutes());
        let (stan, terminal) = (digits::<6>(u64::from(terminal % 999_999) + 1), self.terminal_id(terminal));
        let mut f60 = *b"00000000000";
        f60[2..8].copy_from_slice(BATCH);
        let mut draft = Draft::new(row.mti);
        draft.set(11, &stan);
        draft.set(41, &terminal);
        draft.set(42, MERCHANT);
        if let Some(code) = &row.f70 {
            draft.set(7, &stamp.f7);
            draft.set(70, code);
        }
        if let Some(code) = &row.f60_3 {
            f60[8..].copy_from_slice(code);
            draft.set(60, &f60);
        }
        self.wire.write_plain(&mut draft, out)
    }

    fn values(&self, operation: &Operation, named: Option<&Operation>, row: &KindRow, copy: Copy) -> Values {
        let zone = self.wire.dialect.f7_offset_minutes();
        let (stan, made_s) = match copy {
            Copy::Reversal { stan, made_s, .. } => (stan, made_s),
            _ => (operation.stan, operation.made_s),
        };
        let mut f3 = *b"000000";
        f3[..2].copy_from_slice(&row.f3.unwrap_or(*b"00"));
        let held = operation.kind == Kind::PreAuthorization;
        let mut f48 = *b"CP024000000000000000000000000";
        f48[5..17].copy_from_slice(COUPON_ID);
        f48[17..].copy_from_slice(&digits::<12>(operation.coupon_asked));
        let mut f60 = *b"00000000000";
        f60[..2].copy_from_slice(&row.f60_1.unwrap_or(*b"00"));
        f60[2..8].copy_from_slice(BATCH);
        let (mut f61, mut f90) = ([b'0'; 16], [b'0'; 42]);
        if let Some(named) = named {
            let stamp = Stamp::new(named.made_s, zone);
            f61[..6].copy_from_slice(BATCH);
            f61[6..12].copy_from_slice(&digits::<6>(u64::from(named.stan)));
            f61[12..].copy_from_slice(&stamp.f13);
            let mti = self.mti(named, Copy::First).unwrap_or(row.mti);
            f90[..4].copy_from_slice(&mti.digits());
            f90[4..10].copy_from_slice(&digits::<6>(u64::from(named.stan)));
            f90[10..20].copy_from_slice(&stamp.f7);
        }
        Values {
            f3,
            f4: digits(operation.amount),
            stamp: Stamp::new(made_s, zone),
            f11: digits(u64::from(stan)),
            f25: if held { *b"06" } else { row.f25.unwrap_or(*b"00") },
            f37: self.reference(operation.number),
            f41: self.terminal_id(operation.terminal),
            f48,
            f60,
            f61,
            f90,
        }
    }
}

/// A number in digits and upper-case letters.
pub(crate) fn base36<const N: usize>(mut value: u64) -> [u8; N] {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        *place = DIGITS[(value % 36) as usize];
        value /= 36;
    }
    text
}
