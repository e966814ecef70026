//! Writes messages: requests to participants in their dialect, with the identity the core assigned, and
//! answers to originators. MAC and PIN are made here, at write time: requests with the current keys, an answer
//! with the one its request verified under (rule 15).

use super::rim::{Keys, LineRim, ListenerRim, ParticipantKeys, Rim};
use crate::core::clock::{month_to_second, nearest_moment};
use crate::core::effect::{Body, Reply, Send, Unsent};
use crate::core::entry::{KeySent, KeyUse, OwedKind};
use crate::core::ids::Now;
use yika_codec::{
    Dialect, Draft, EncodeError, FieldMask, FieldSet, Framing, Kind, Message, ReversalStyle, write_digits,
};
use yika_keystore::{EncryptedPin, MacKey, PinFormat, PinKey, translate_pin};
use zeroize::Zeroize;

/// What a request carries over as it is, when both sides speak the same dialect: all but what the switch sets.
const OURS: FieldMask = FieldMask::of(&[4, 7, 11, 32, 33, 37, 39, 52, 64, 90, 128]);
/// What has the same meaning in every dialect. Private fields (F48, F60 to F63) stay at home.
const COMMON: FieldMask =
    FieldMask::of(&[2, 3, 12, 13, 14, 18, 22, 23, 25, 26, 35, 38, 41, 42, 43, 49, 53, 54, 55, 95]);
/// Between two dialects with batches, the batch as well: a reversal will name it.
const COMMON_POS: FieldMask = COMMON.with(60);
/// What describes a shop or an answer to people and decides nothing: left out where the other side's dialect
/// cannot hold it, such as a name in GBK in a field of ASCII. Any other such field makes a message unwritable.
const DESCRIPTIVE: FieldMask = FieldMask::of(&[43, 44]);
/// What an answer repeats of its request.
const ECHO: FieldMask = FieldMask::of(&[2, 3, 4, 7, 11, 12, 13, 23, 25, 32, 33, 37, 41, 42, 49, 60, 70]);
/// Answer fields that are no echo: the answer record (design.md, section 3).
pub const RECORD: FieldMask = FieldMask::of(&[37, 38, 44, 54, 55, 57, 58, 59, 62, 63]);

/// Reversal reason in F39 of a pos-bcd 0400: no answer came.
const NO_ANSWER: &[u8] = b"98";

/// Scratch that is kept from message to message, so that writing one allocates nothing.
#[derive(Default)]
pub struct Scratch {
    fields: FieldSet,
    header: Vec<u8>,
}

/// Where a message goes, and how that side wants it.
pub struct Towards<'a> {
    pub dialect: &'a Dialect,
    pub framing: Framing,
    pub keys: Option<&'a ParticipantKeys>,
    /// What the message is MACed under.
    pub mac: Option<&'a MacKey>,
    pub institution: &'a str,
    pub zone_minutes: i32,
    pub now: Now,
}

impl<'a> Towards<'a> {
    /// Towards a participant's host.
    pub fn line(line: &'a LineRim, rim: &'a Rim, keys: &'a Keys, now: Now) -> Towards<'a> {
        let keys = keys.of(line.participant);
        Towards::with(&line.link.dialect, line.link.framing, keys, rim, now)
    }

    /// Towards a terminal that sent `message`. Where sign-ins give keys, nothing about the network has a MAC: it comes
    /// before them.
    pub fn listener(
        at: &'a ListenerRim,
        rim: &'a Rim,
        keys: &'a Keys,
        message: &Message<'_>,
        now: Now,
    ) -> Towards<'a> {
        let bare = at.sign_in.is_some() && message.mti().class() == 0x08;
        let keys = keys.at(at, message).filter(|_| !bare);
        Towards::with(&at.dialect, at.framing, keys, rim, now)
    }

    fn with(
        dialect: &'a Dialect,
        framing: Framing,
        keys: Option<&'a ParticipantKeys>,
        rim: &'a Rim,
        now: Now,
    ) -> Towards<'a> {
        let mac = keys.and_then(|keys| keys.mac.as_ref()).map(|epochs| &epochs.current);
        let (institution, zone_minutes) = (rim.institution.as_str(), rim.zone_minutes);
        Towards { dialect, framing, keys, mac, institution, zone_minutes, now }
    }

    /// For an answer: under the epoch its request verified under, while that is good.
    pub fn answering(self, epoch: Option<u32>) -> Towards<'a> {
        let epochs = self.keys.and_then(|keys| keys.mac.as_ref());
        Towards { mac: epochs.map(|epochs| epochs.for_answer(epoch, self.now.mono_us)), ..self }
    }
}

/// Appends one framed request to `out`. Of its PIN comes the key that it is under, or the PIN as an HSM moved it.
///
/// # Errors
/// `Unsent`: `out` is as before, and nothing of the send may be counted as sent.
pub fn write_request(
    send: &Send,
    live: Option<Message<'_>>,
    (from, moved): (Option<&ParticipantKeys>, Option<EncryptedPin>),
    to: &Towards<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Unsent> {
    let mut text = Texts::new(send, to);
    let mut pin = None;
    let mut same = false;
    scratch.fields = FieldSet::new();
    match (&send.body, &live) {
        (Body::Live(_), Some(message)) => {
            pin = match moved {
                None => translated_pin(message, from, to)?,
                moved => moved,
            };
            // Two files may give one name to different dialects; only a dialect itself can be spliced.
            same = std::ptr::eq(message.dialect(), to.dialect);
            if !same {
                let pos = [message.dialect(), to.dialect].map(Dialect::reversal);
                let batches = pos == [ReversalStyle::F61Request; 2];
                message.collect(if batches { &COMMON_POS } else { &COMMON }, &mut scratch.fields);
            }
            text.name_batch(named_by_terminal(message));
            text.sequence = message.card_sequence();
        }
        (Body::Kept(kept), _) => text.name_batch(batch_of_original(send, kept)),
        (Body::Live(_), None) => return Err(Unsent::Unwritable),
    }
    let repeats = send.repeat && to.dialect.reversal() == ReversalStyle::F90Advice;
    let mti = if repeats { send.identity.mti.with_repeat() } else { send.identity.mti };
    let mut draft = Draft::new(mti);
    draft.header(to.dialect.default_header());
    match (&send.body, &live) {
        (Body::Kept(kept), _) => set_kept(&mut draft, to.dialect, kept),
        (Body::Live(_), Some(message)) if same => {
            for n in message.fields().filter(|n| !OURS.has(*n)) {
                draft.splice(message, n);
            }
        }
        (Body::Live(_), _) => set_known(&mut draft, to.dialect, &scratch.fields),
    }
    text.set(&mut draft, send, to);
    if let Some(pin) = &pin {
        draft.set(52, pin.as_bytes());
    }
    frame(&mut draft, to, out).map_err(|()| Unsent::Unwritable)
}

/// The answer to a request, with the fields of it that are said again.
fn begin_reply<'a>(
    request: &Message<'a>,
    echo: &FieldMask,
    to: &Towards<'_>,
    scratch: &'a mut Scratch,
) -> Draft<'a> {
    scratch.header.clear();
    to.dialect.reply_header(request.header(), &mut scratch.header);
    let mut draft = Draft::new(request.mti().response());
    draft.header(&scratch.header);
    for n in request.fields().filter(|n| echo.has(*n)) {
        draft.splice(request, n);
    }
    draft
}

/// Appends one framed answer to `out`; false when it cannot be written in the originator's dialect.
pub fn write_reply(
    reply: &Reply,
    request: &Message<'_>,
    to: &Towards<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> bool {
    let mut amount = [0; 12];
    let mut draft = begin_reply(request, &ECHO, to, scratch);
    set_known(&mut draft, to.dialect, &reply.record);
    // A settlement date is kept in the record only where it is not ours.
    draft.unset(15);
    draft.set(39, reply.code.bytes());
    if let Some(minor) = reply.amount {
        write_digits(minor, &mut amount);
        draft.set(4, &amount);
    }
    frame(&mut draft, to, out).is_ok()
}

/// Appends a refusal of a request that never became facts.
pub fn write_refusal(
    request: &Message<'_>,
    code: yika_codec::Code,
    to: &Towards<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> bool {
    write_bare_refusal(request, &ECHO, code, to, scratch, out)
}

fn write_bare_refusal(
    request: &Message<'_>,
    echo: &FieldMask,
    code: yika_codec::Code,
    to: &Towards<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> bool {
    let mut draft = begin_reply(request, echo, to, scratch);
    draft.set(39, code.bytes());
    frame(&mut draft, to, out).is_ok()
}

/// Appends a network message of our own (0800): sign-on, sign-off, echo. False when the dialect has none.
pub fn write_network(kind: Kind, stan: u32, to: &Towards<'_>, out: &mut Vec<u8>) -> bool {
    write_own(kind, KeySent { sent_at: sent_at(to), stan }, &[], to, out)
}

/// A key change of our own (0800).
pub struct KeyChange<'a> {
    pub usage: KeyUse,
    /// F48.
    pub key: &'a str,
    pub sent: KeySent,
}

/// F7 of what is written now.
pub fn sent_at(to: &Towards<'_>) -> u32 {
    month_to_second(to.now.wall_ms, i32::from(to.dialect.f7_offset_minutes()))
}

/// Appends a key change: F53 says which key, F48 holds it. False when the dialect has none.
pub fn write_key_change(change: &KeyChange<'_>, to: &Towards<'_>, out: &mut Vec<u8>) -> bool {
    let mut which = *b"0000000000000000";
    which[0] = match change.usage {
        KeyUse::Pin => b'1',
        KeyUse::Mac => b'2',
    };
    let carried: [(u8, &[u8]); 2] = [(48, change.key.as_bytes()), (53, &which)];
    write_own(Kind::KeyChange, change.sent, &carried, to, out)
}

/// Appends a network message of our own with these fields beside what its kind says. False when the dialect has none.
fn write_own(kind: Kind, sent: KeySent, fields: &[(u8, &[u8])], to: &Towards<'_>, out: &mut Vec<u8>) -> bool {
    let Some(row) = to.dialect.kind_row(kind) else { return false };
    let (mut moment, mut trace, mut private) = ([0; 10], [0; 6], *b"00000000000");
    write_digits(u64::from(sent.sent_at), &mut moment);
    write_digits(u64::from(sent.stan), &mut trace);
    let mut draft = Draft::new(row.mti);
    draft.header(to.dialect.default_header());
    if to.dialect.knows(7) {
        draft.set(7, &moment);
    }
    draft.set(11, &trace);
    fields.iter().for_each(|&(no, value)| draft.set(no, value));
    if let Some(code) = &row.f70 {
        draft.set(70, code);
    }
    if let Some(code) = &row.f60_3 {
        private[..2].copy_from_slice(row.f60_1.as_ref().unwrap_or(b"00"));
        private[8..].copy_from_slice(code);
        draft.set(60, &private);
    }
    frame(&mut draft, to, out).is_ok()
}

/// The texts of the fields that the switch sets, alive while the draft borrows them.
struct Texts {
    amount: [u8; 12],
    sent_at: [u8; 10],
    stan: [u8; 6],
    local_time: [u8; 6],
    local_date: [u8; 4],
    original: [u8; 42],
    original_pos: [u8; 16],
    private_pos: [u8; 11],
    currency: [u8; 3],
    /// F23 of a card that tells it by its chip alone (rule 14).
    sequence: Option<[u8; 3]>,
}

impl Texts {
    fn new(send: &Send, to: &Towards<'_>) -> Texts {
        let mut text = Texts {
            amount: [0; 12],
            sent_at: [0; 10],
            stan: [0; 6],
            local_time: [0; 6],
            local_date: [0; 4],
            original: [b'0'; 42],
            original_pos: [b'0'; 16],
            private_pos: *b"00000000000",
            currency: [0; 3],
            sequence: None,
        };
        write_digits(send.money.minor, &mut text.amount);
        write_digits(u64::from(send.identity.sent_at), &mut text.sent_at);
        write_digits(u64::from(send.identity.stan), &mut text.stan);
        write_digits(u64::from(send.money.currency.0), &mut text.currency);
        // Of the identity, not of the clock: a repeat must not differ from what it repeats.
        let f7_minutes = i32::from(to.dialect.f7_offset_minutes());
        let made_ms = nearest_moment(send.identity.sent_at, f7_minutes, to.now.wall_ms);
        let local = month_to_second(made_ms.unwrap_or(to.now.wall_ms), to.zone_minutes);
        write_digits(u64::from(local % 1_000_000), &mut text.local_time);
        write_digits(u64::from(local / 1_000_000), &mut text.local_date);
        if let Some(original) = &send.original {
            text.original[..4].copy_from_slice(&original.mti.digits());
            write_digits(u64::from(original.stan), &mut text.original[4..10]);
            write_digits(u64::from(original.sent_at), &mut text.original[10..20]);
            let institution = to.institution.as_bytes();
            let institution = &institution[..institution.len().min(11)];
            text.original[31 - institution.len()..31].copy_from_slice(institution);
            write_digits(u64::from(original.stan), &mut text.original_pos[6..12]);
            write_digits(u64::from(original.sent_at / 1_000_000), &mut text.original_pos[12..16]);
        }
        if let Some(code) = to.dialect.kind_row(send.kind).and_then(|row| row.f60_1) {
            text.private_pos[..2].copy_from_slice(&code);
        }
        text
    }

    /// The batch that the original was in; zeros where nobody named one.
    fn name_batch(&mut self, batch: Option<[u8; 6]>) {
        if let Some(batch) = batch {
            self.original_pos[..6].copy_from_slice(&batch);
        }
    }

    fn set<'a>(&'a self, draft: &mut Draft<'a>, send: &'a Send, to: &Towards<'a>) {
        draft.set(4, &self.amount);
        if to.dialect.knows(7) {
            draft.set(7, &self.sent_at);
        }
        draft.set(11, &self.stan);
        draft.set(37, &send.identity.rrn);
        if !draft.has(12) || !draft.has(13) {
            draft.set(12, &self.local_time);
            draft.set(13, &self.local_date);
        }
        if !draft.has(49) {
            draft.set(49, &self.currency);
        }
        if let Some(sequence) = &self.sequence
            && !draft.has(23)
            && to.dialect.knows(23)
        {
            draft.set(23, sequence);
        }
        if to.dialect.knows(32) && !to.institution.is_empty() {
            draft.set(32, to.institution.as_bytes());
        }
        let Some(row) = to.dialect.kind_row(send.kind) else { return };
        if let Some(condition) = &row.f25
            && !draft.has(25)
        {
            draft.set(25, condition);
        }
        match to.dialect.reversal() {
            ReversalStyle::F90Advice if send.original.is_some() => draft.set(90, &self.original),
            ReversalStyle::F90Advice => {}
            ReversalStyle::F61Request => {
                if send.original.is_some() {
                    draft.set(61, &self.original_pos);
                }
                if send.owed == Some(OwedKind::Reverse) {
                    draft.set(39, NO_ANSWER);
                }
                if !draft.has(60) && row.f60_1.is_some() {
                    draft.set(60, &self.private_pos);
                }
            }
        }
    }
}

/// The batch in the F61 of a terminal that has batches: that of the payment which its void or refund means.
fn named_by_terminal(message: &Message<'_>) -> Option<[u8; 6]> {
    if message.dialect().reversal() != ReversalStyle::F61Request {
        return None;
    }
    let mut text = [0; 64];
    let len = message.text(61, &mut text)?;
    text[..len].first_chunk().copied()
}

/// A reversal means the kept request itself, whose batch stands in F60; a repeat means what the request named.
fn batch_of_original(send: &Send, kept: &FieldSet) -> Option<[u8; 6]> {
    if send.owed == Some(OwedKind::Reverse) {
        return kept.get(60)?.get(2..8)?.try_into().ok();
    }
    kept.get(61)?.first_chunk().copied()
}

/// F52 under the participant's key. Without keys on either side it passes as it is; with a key on one side
/// only, nothing can vouch for it and the payment is refused (99). A terminal whose key just changed may have used
/// the one before: a block that is none under the current key is tried under that.
fn translated_pin(
    message: &Message<'_>,
    from: Option<&ParticipantKeys>,
    to: &Towards<'_>,
) -> Result<Option<EncryptedPin>, Unsent> {
    if !message.has(52) {
        return Ok(None);
    }
    let mut block = [0; 16];
    let len = message.text(52, &mut block).ok_or(Unsent::Pin)?;
    let pin = EncryptedPin::from_bytes(&block[..len]).map_err(|_| Unsent::Pin)?;
    if [from, to.keys].iter().any(|keys| keys.is_some_and(|keys| keys.pin_at_hsm.is_some())) {
        // The HSM moves PINs between its own keys only.
        return Err(Unsent::Pin);
    }
    let from = from.and_then(|keys| keys.pin.as_ref());
    let now_us = to.now.mono_us;
    let (from, to) = match (from, to.keys.and_then(|keys| keys.pin.as_ref())) {
        (None, None) => return Ok(Some(pin)),
        (Some(from), Some(to)) => (from, &to.current),
        _ => return Err(Unsent::Pin),
    };
    let pan = message.pan().ok_or(Unsent::Pin)?;
    let format = if len == 16 { PinFormat::Iso4 } else { PinFormat::Iso0 };
    let under = |from: &PinKey| {
        let (from, to) = (from.decrypting().ok()?, to.encrypting().ok()?);
        translate_pin(from, format, to, PinFormat::Iso0, pan.digits(), &pin).ok()
    };
    let translated = under(&from.current)
        .or_else(|| under(&from.before(now_us)?.key))
        .or_else(|| under(from.offered.as_ref()?));
    translated.map(Some).ok_or(Unsent::Pin)
}

/// Custody, less what only the originator's dialect could read.
fn set_kept<'a>(draft: &mut Draft<'a>, dialect: &Dialect, kept: &'a FieldSet) {
    let pos = dialect.reversal() == ReversalStyle::F61Request;
    for (n, value) in kept.iter().filter(|(n, _)| dialect.knows(*n) && (pos || ![60, 61].contains(n))) {
        draft.set(n, value);
    }
}

fn set_known<'a>(draft: &mut Draft<'a>, dialect: &Dialect, fields: &'a FieldSet) {
    for (n, value) in fields.iter().filter(|(n, _)| dialect.knows(*n)) {
        draft.set(n, value);
    }
}

/// Frame, encode, MAC; what only describes is left out where the dialect cannot hold it. `out` is as before when it
/// fails.
fn frame(draft: &mut Draft<'_>, to: &Towards<'_>, out: &mut Vec<u8>) -> Result<(), ()> {
    let before = out.len();
    // Each turn but the last takes a field out: there is one more turn than there are such fields.
    for _ in 0..=DESCRIPTIVE.iter().count() {
        let Err(fault) = frame_inner(draft, to, out) else { return Ok(()) };
        out[before..].zeroize();
        out.truncate(before);
        match fault {
            Some(n) if DESCRIPTIVE.has(n) => draft.unset(n),
            _ => return Err(()),
        }
    }
    Err(())
}

/// Err: the field whose value the dialect cannot hold, if that is what is wrong.
fn frame_inner(draft: &mut Draft<'_>, to: &Towards<'_>, out: &mut Vec<u8>) -> Result<(), Option<u8>> {
    let mark = to.framing.begin(out);
    if to.mac.is_some() {
        draft.set(to.dialect.mac_field(), &[0; 8]);
    }
    let encoded = to.dialect.encode(draft, out).map_err(|error| match error {
        EncodeError::Length { field, .. } | EncodeError::Content { field, .. } => Some(field),
        _ => None,
    })?;
    if let Some(key) = to.mac {
        // Where a field stands behind it there is no place for a MAC, and without one nothing leaves.
        let place = encoded.mac.as_ref().ok_or(None)?;
        let mac = key.generate(&out[encoded.message.start..place.start]);
        to.dialect.set_mac(out, &encoded, &mac);
    }
    to.framing.finish(out, mark).map_err(|_| None)
}

/// What a format error repeats, so that its request can be found: moment, trace number, reference, terminal, merchant.
/// Never what belongs to a card.
const ADDRESS: FieldMask = FieldMask::of(&[7, 11, 12, 13, 37, 41, 42]);

/// Appends a format error for a request that could be read only up to a fault, with what stood before it.
pub fn write_format_error(
    request: &Message<'_>,
    code: yika_codec::Code,
    to: &Towards<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> bool {
    write_bare_refusal(request, &ADDRESS, code, to, scratch, out)
}
