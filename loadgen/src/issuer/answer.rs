//! From the bytes of a request to what the books are asked, and from their decision to the bytes of an answer.
//! Nothing here trusts a request: what is missing or wrong ends as a format error or as silence.

use crate::books::{Asked, Decided, Named, Role};
use crate::cards::TEST_PIN;
use crate::clock::digits;
use crate::script::Delivery;
use crate::wire::Wire;
use yika_codec::{Code, Draft, Kind, Message, Mti, ReversalStyle};
use yika_keystore::{EncryptedPin, PinFormat, PinKey, matches_test_pin};

/// What an answer takes over from its request, as it stands there.
const ECHOED: [u8; 13] = [2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42];

/// The balance of every card: 88.88 yuan, as account type, kind, currency, sign and amount (ISO 8583:1987, F54).
const BALANCE: &[u8; 20] = b"0002156C000000008888";

/// The books' view of a request; `None` if it lacks what an answer needs.
pub(super) fn asked(message: &Message<'_>, kind: Kind, pin: PinFound) -> Option<Asked> {
    let mut terminal = [b' '; 8];
    message.text(41, &mut terminal)?;
    let at = message.number(7).or_else(|| {
        let (date, time) = (message.number(13)?, message.number(12)?);
        Some(date * 1_000_000 + time)
    });
    let stan = u32::try_from(message.number(11)?).ok()?;
    Some(Asked {
        kind,
        mti: message.mti(),
        terminal,
        rrn: message.digits(37),
        stan,
        at: at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0),
        amount: message.number(4).unwrap_or(0),
        currency: message.number(49).and_then(|code| u16::try_from(code).ok()).unwrap_or(156),
        pan: message.pan(),
        original: if kind == Kind::Reversal {
            named(message, stan)
        } else {
            Named { batch: named_batch(message), ..Named::default() }
        },
        batch: own_batch(message),
        pin_wrong: pin == PinFound::Wrong,
    })
}

/// What was found in F52.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PinFound {
    None,
    Good,
    Wrong,
}

/// Checks the PIN block, if there is one and a key to check it with.
pub(super) fn check_pin(message: &Message<'_>, key: Option<&PinKey>) -> PinFound {
    let (Some(key), Some(block)) = (key, message.pin_block()) else { return PinFound::None };
    let good = message.pan().is_some_and(|pan| {
        let block = EncryptedPin::from_bytes(block.bytes());
        block
            .and_then(|block| matches_test_pin(key, PinFormat::Iso0, pan.digits(), &block, TEST_PIN))
            .unwrap_or(false)
    });
    if good { PinFound::Good } else { PinFound::Wrong }
}

/// The original of a reversal: F90 (type, trace, time), or F61 (batch, trace, date), or the same trace number.
fn named(message: &Message<'_>, own_stan: u32) -> Named {
    let number = |text: Option<&[u8]>| {
        let text = std::str::from_utf8(text?).ok()?;
        text.parse::<u32>().ok()
    };
    if let Some(original) = message.digits::<42>(90) {
        let mti = original.first_chunk().and_then(|digits| Mti::from_digits(*digits));
        let stan = number(original.get(4..10)).unwrap_or(own_stan);
        let at = number(original.get(10..20)).unwrap_or(0);
        return Named { mti, stan, at, batch: named_batch(message) };
    }
    let mut text = [0; 29];
    let original = message.text(61, &mut text).and_then(|len| number(text.get(..len)?.get(6..12)));
    Named { mti: None, stan: original.unwrap_or(own_stan), at: 0, batch: named_batch(message) }
}

/// The batch in F61 (batch 6, trace 6, date 4); zero without one.
fn named_batch(message: &Message<'_>) -> u32 {
    batch(message, 61, 0)
}

/// The batch in F60 (type 2, batch 6, network code 3); zero without one.
fn own_batch(message: &Message<'_>) -> u32 {
    batch(message, 60, 2)
}

/// Six digits at a place in a field of dialects whose reversals name their original by F61; zero without them.
fn batch(message: &Message<'_>, field: u8, at: usize) -> u32 {
    if message.dialect().reversal() != ReversalStyle::F61Request {
        return 0;
    }
    let mut text = [0; 29];
    let digits = message.text(field, &mut text).and_then(|len| text.get(..len)?.get(at..at + 6));
    digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}

/// Appends the answer, in whatever state the script wants it to arrive.
pub(super) fn write(wire: &Wire, role: Role, request: &Message<'_>, decided: &Decided, out: &mut Vec<u8>) {
    let start = out.len();
    let mut header = Vec::new();
    wire.dialect.reply_header(request.header(), &mut header);
    let wrong = (decided.delivery == Delivery::WrongAmount).then(|| request.number(4).unwrap_or(0) + 1);
    let amount = wrong.or(decided.amount).map(digits::<12>);
    let code = *decided.code.bytes();
    let mut draft = Draft::new(request.mti().response());
    draft.header(&header);
    for n in ECHOED {
        draft.splice(request, n);
    }
    draft.splice(request, 49);
    draft.splice(request, 60);
    if role == Role::CouponPlatform {
        draft.splice(request, 48);
    }
    if let Some(amount) = &amount {
        draft.set(4, amount);
    }
    draft.set(39, &code);
    if let Some(approval) = &decided.approval {
        draft.set(38, approval);
    }
    let balance = decided.approval.is_some() && request.kind() == Some(Kind::Balance);
    if balance {
        draft.set(54, BALANCE);
    }
    if wire.write(&mut draft, out).is_err() {
        // Only fields of the request and fixed values are in it; a dialect without F38 or F54 gets a short one.
        draft.unset(38);
        draft.unset(54);
        if wire.write(&mut draft, out).is_err() {
            out.truncate(start);
        }
    }
    spoil(decided.delivery, wire, start, out);
}

/// Appends the answer to a network message, with a MAC if the request had one; false if there can be none.
pub(super) fn write_network(wire: &Wire, request: &Message<'_>, kind: Kind, out: &mut Vec<u8>) -> bool {
    let known = matches!(kind, Kind::SignOn | Kind::SignOff | Kind::Echo | Kind::CutOver);
    let code = if known { Code::APPROVED } else { Code::new(*b"40") };
    let mut header = Vec::new();
    wire.dialect.reply_header(request.header(), &mut header);
    let mut draft = Draft::new(request.mti().response());
    draft.header(&header);
    for n in [7, 11, 12, 13, 32, 33, 41, 42, 60, 70] {
        draft.splice(request, n);
    }
    draft.set(39, code.bytes());
    let sealed = request.mac().is_some();
    if sealed { wire.write(&mut draft, out) } else { wire.write_plain(&mut draft, out) }.is_ok()
}

/// Breaks a message that was just written at `start`, as the script asks.
fn spoil(delivery: Delivery, wire: &Wire, start: usize, out: &mut [u8]) {
    let Some(frame) = out.get_mut(start..) else { return };
    match delivery {
        Delivery::Garble => {
            let mti_at = wire.framing.prefix.bytes() + wire.dialect.default_header().len();
            // No message type begins with a byte like this, in ASCII or BCD.
            if let Some(byte) = frame.get_mut(mti_at) {
                *byte = 0xFF;
            }
        }
        Delivery::BadMac if wire.mac.is_some() => {
            // Another digit or character of the same kind, so that the message still decodes.
            if let Some(byte) = frame.last_mut() {
                *byte = if *byte == b'0' { b'1' } else { b'0' };
            }
        }
        _ => {}
    }
}
