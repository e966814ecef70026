//! From a decoded message to the core's facts and custody. The only place that reads request fields to
//! decide anything; what does not fit gets the code that its originator will see.

use super::rim::ListenerRim;
use crate::core::clock::nearest_moment;
use crate::core::entry::CUSTODY_BYTES_MAX;
use crate::core::facts::{CardFacts, CardPrefix, Coupon, Facts, OriginalRef};
use crate::core::ids::{CardToken, Currency, ListenerNo};
use yika_codec::{Code, FieldMask, FieldSet, Kind, Message, Mti, ReversalStyle};
use yika_keystore::Tokenizer;

/// What an obligation may need of a request (design.md, custody): never PIN, track or card codes.
const CUSTODY: FieldMask = FieldMask::of(&[2, 3, 12, 13, 14, 18, 22, 23, 25, 26, 32, 33, 38, 41, 42, 43, 49]);
/// F60 and F61 mean something only where the dialect gives them fixed parts (batch, original).
const CUSTODY_POS: FieldMask = FieldMask::of(&[60, 61]);
/// The chip data that a reversal may carry: TVR, issuer application data, ATC, interface device serial number.
const CUSTODY_TAGS: [u32; 4] = [0x95, 0x9f10, 0x9f36, 0x9f1e];
/// Room for what nearly every message has.
const CUSTODY_BYTES_USUAL: usize = 192;

/// Why a request cannot become facts.
pub struct Unfit {
    pub code: Code,
    pub what: &'static str,
}

pub fn facts(
    message: &Message<'_>,
    listener: &ListenerRim,
    no: ListenerNo,
    wall_ms: u64,
    zone_minutes: i32,
    tokens: &Tokenizer,
) -> Result<(Facts, FieldSet), Unfit> {
    let codes = listener.dialect.codes();
    let format = |what| Unfit { code: codes.format, what };
    let kind =
        message.kind().ok_or(Unfit { code: codes.unsupported, what: "no kind of transaction fits" })?;
    if message.missing().is_some() {
        return Err(format("a mandatory field is missing"));
    }
    if message.forbidden().is_some() {
        return Err(format("a field is there that its message type forbids"));
    }
    let stan = small(message.number(11)).ok_or_else(|| format("F11 is missing or no number"))?;
    let terminal = message.digits::<8>(41);
    let network = message.mti().class() == 0x08;
    if terminal.is_none() && !network {
        return Err(format("F41 is missing"));
    }
    let currency = match message.has(49) {
        false => listener.currency,
        true => Currency(small(message.number(49)).ok_or_else(|| format("F49 is no number"))? as u16),
    };
    let amount = match message.has(4) {
        false => 0,
        true => message.number(4).ok_or_else(|| format("F4 is no number"))?,
    };
    let card = card(message, tokens);
    let (sent_at, sent_ms) = sent(message, wall_ms).map_err(format)?;
    let local_at = local(message).map_err(format)?;
    let made_ms = sent_ms.or_else(|| nearest_moment(local_at?, zone_minutes, wall_ms));
    let coupon = if may_name_coupon(kind) { coupon(message).map_err(format)? } else { None };
    if coupon.is_some() && kind != Kind::Purchase {
        return Err(Unfit { code: codes.unsupported, what: "only a purchase can be paid with a coupon" });
    }
    let custody = custody(message);
    if custody.byte_len() > CUSTODY_BYTES_MAX {
        return Err(format("the fields to keep are longer than 1 KiB"));
    }
    let facts = Facts {
        kind,
        mti: message.mti(),
        listener: no,
        acquirer: listener.participant,
        terminal: terminal.unwrap_or([b' '; 8]),
        merchant: message.digits::<15>(42).unwrap_or([b' '; 15]),
        stan,
        sent_at,
        local_at,
        made_ms,
        rrn: message.digits::<12>(37),
        batch: pos_batch(message),
        card,
        amount,
        currency,
        processing: message.digits::<6>(3).unwrap_or([b'0'; 6]),
        has_pin: message.has(52),
        original: original(message, kind),
        coupon,
        replacement: replaces(message),
    };
    Ok((facts, custody))
}

/// F95 (ISO 8583:1987: the actual amounts, 42 digits) with something in it: a part is to stay. Zeros say that all is
/// reversed.
fn replaces(message: &Message<'_>) -> bool {
    let mut text = [0; 42];
    message.has(95)
        && message.text(95, &mut text).is_none_or(|len| text[..len].iter().any(|c| (b'1'..=b'9').contains(c)))
}

fn card(message: &Message<'_>, tokens: &Tokenizer) -> Option<CardFacts> {
    let pan = message.pan()?;
    let digits = pan.digits();
    let mut prefix = 0u32;
    for at in 0..8 {
        let digit = digits.get(at).map_or(0, |digit| u32::from(digit.wrapping_sub(b'0')));
        prefix = prefix * 10 + digit.min(9);
    }
    Some(CardFacts { token: CardToken(tokens.token(digits)), prefix: CardPrefix(prefix) })
}

/// F7, and the moment that it is.
///
/// # Errors
/// It is no date and time.
fn sent(message: &Message<'_>, wall_ms: u64) -> Result<(Option<u32>, Option<u64>), &'static str> {
    let zone = i32::from(message.dialect().f7_offset_minutes());
    let sent_at = small(message.number(7));
    let sent_ms = sent_at.and_then(|stamp| nearest_moment(stamp, zone, wall_ms));
    if message.has(7) && sent_ms.is_none() {
        return Err("F7 is no date and time");
    }
    Ok((sent_at, sent_ms))
}

/// F13 and F12 as MMDDhhmmss; None where one is missing, or has another form than in ISO 8583:1987.
///
/// # Errors
/// One of them is no date or time of day. They are a part of the dedupe key (rule 3): garbage must not pass for a
/// moment.
fn local(message: &Message<'_>) -> Result<Option<u32>, &'static str> {
    let date = message.digits::<4>(13).map(|text| number(&text).filter(|date| is_date(*date)));
    let time = message.digits::<6>(12).map(|text| number(&text).filter(|time| is_time(*time)));
    match (date, time) {
        (Some(None), _) => Err("F13 is no date"),
        (_, Some(None)) => Err("F12 is no time of day"),
        (Some(Some(date)), Some(Some(time))) => Ok(Some(date * 1_000_000 + time)),
        _ => Ok(None),
    }
}

/// MMDD of any year.
fn is_date(date: u32) -> bool {
    let days = match date / 100 {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&(date % 100))
}

/// hhmmss
fn is_time(time: u32) -> bool {
    time / 10_000 < 24 && time / 100 % 100 < 60 && time % 100 < 60
}

/// F90, or F61 (batch 6, F11 6, date 4) where the dialect says so, and F37.
fn original(message: &Message<'_>, kind: Kind) -> OriginalRef {
    let rrn = message.digits::<12>(37);
    let likely = if kind == Kind::Reversal { message.original_mti() } else { None };
    if message.dialect().reversal() == ReversalStyle::F61Request {
        let named = message.digits::<16>(61).or_else(|| {
            let mut text = [0; 64];
            let len = message.text(61, &mut text)?;
            text.get(..len.min(16))?.try_into().ok()
        });
        return OriginalRef {
            stan: named.and_then(|text| number(&text[6..12])),
            batch: named.and_then(|text| number(&text[..6])).filter(|batch| *batch != 0),
            rrn,
            likely,
            ..OriginalRef::default()
        };
    }
    let Some(named) = message.digits::<42>(90) else {
        return OriginalRef { rrn, likely, ..OriginalRef::default() };
    };
    let mti = named[..4].try_into().ok().and_then(Mti::from_digits);
    OriginalRef {
        // Zeros name none, and a repeat is still the same message.
        mti: mti.filter(|mti| mti.bcd() != 0).map(Mti::without_repeat),
        stan: number(&named[4..10]),
        sent_at: number(&named[10..20]).filter(|stamp| *stamp != 0),
        rrn,
        batch: None,
        likely,
    }
}

/// Kinds that ask for money now: with a coupon that is not heeded they would charge the whole (rule 18).
fn may_name_coupon(kind: Kind) -> bool {
    matches!(kind, Kind::Purchase | Kind::Authorization | Kind::PreAuthorization | Kind::Cash)
}

/// F48 is a row of elements, each a two-letter usage, three digits of length, and that many characters. `CP`
/// holds the coupon's id (12) and the amount asked of it (12 digits). None where it names no coupon: a private F48
/// may have any other form.
///
/// # Errors
/// It names a coupon that cannot be read: the whole amount must not be charged instead (rule 18).
fn coupon(message: &Message<'_>) -> Result<Option<Coupon>, &'static str> {
    let mut text = [0; 999];
    let Some(len) = message.text(48, &mut text) else { return Ok(None) };
    let whole = &text[..len];
    let (mut rest, mut found) = (whole, None);
    while !rest.is_empty() {
        let Some((usage, value, after)) = element(rest) else {
            let named = found.is_some() || rest.starts_with(b"CP") || shows_coupon(whole);
            return if named { Err("F48 names a coupon and its elements cannot be read") } else { Ok(None) };
        };
        if usage == b"CP" {
            let asked = asked(value).ok_or("F48 CP is not a coupon's id (12) and an amount (12 digits)")?;
            if found.replace(Coupon { asked }).is_some() {
                return Err("F48 names more than one coupon");
            }
        }
        rest = after;
    }
    Ok(found)
}

/// The first element of F48: usage, value, and what follows it.
fn element(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (head, tail) = text.split_at_checked(5)?;
    let (value, after) = tail.split_at_checked(number(&head[2..])? as usize)?;
    Some((&head[..2], value, after))
}

/// Whether what cannot be read may hold a coupon all the same: its usage, and the first digit of a length.
fn shows_coupon(text: &[u8]) -> bool {
    text.windows(3).any(|seen| seen.starts_with(b"CP") && seen[2].is_ascii_digit())
}

/// The amount of a `CP` of exactly its length.
fn asked(value: &[u8]) -> Option<u64> {
    let amount: &[u8; 12] = value.get(12..)?.try_into().ok()?;
    let (high, low) = (number(&amount[..4])?, number(&amount[4..])?);
    Some(u64::from(high) * 100_000_000 + u64::from(low))
}

fn pos_batch(message: &Message<'_>) -> Option<u32> {
    if message.dialect().reversal() != ReversalStyle::F61Request {
        return None;
    }
    let mut text = [0; 32];
    let len = message.text(60, &mut text)?;
    number(text[..len].get(2..8)?)
}

fn custody(message: &Message<'_>) -> FieldSet {
    let mut kept = FieldSet::with_capacity(CUSTODY_BYTES_USUAL);
    let pos = message.dialect().reversal() == ReversalStyle::F61Request;
    let mask = if pos { CUSTODY.or(CUSTODY_POS) } else { CUSTODY };
    message.collect(&mask, &mut kept);
    if !kept.has(2)
        && let Some(pan) = message.pan()
    {
        kept.set(2, pan.digits());
    }
    if !kept.has(14)
        && let Some(expiry) = message.expiry()
    {
        kept.set(14, &expiry);
    }
    if !kept.has(23)
        && let Some(sequence) = message.card_sequence()
    {
        kept.set(23, &sequence);
    }
    if message.has(55) {
        let chip = custody_tags(message);
        if !chip.is_empty() {
            kept.set(55, &chip);
        }
    }
    kept
}

fn custody_tags(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut value = Vec::new();
    for tag in CUSTODY_TAGS {
        value.clear();
        // Lengths of these tags are below 128: one byte (EMV Book 3, B2).
        if message.emv(tag, &mut value) && value.len() < 128 {
            let bytes = tag.to_be_bytes();
            out.extend_from_slice(if tag > 0xff { &bytes[2..] } else { &bytes[3..] });
            out.push(value.len() as u8);
            out.extend_from_slice(&value);
        }
    }
    out
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |sum, digit| {
        let digit = u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn small(number: Option<u64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}
