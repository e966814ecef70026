//! Operations as host commands: what is sent, and what the answer means. `docs/hsm.md` has the layouts.
//!
//! Keys are `S` and the HSM's key block. What a command has no room for is denied by [`can`], so that nothing is ever sent
//! in a form that means something else.

#[cfg(test)]
mod tests;

use yika_keystore::{
    Arpc, ArqcAnswer, BackendError, CardKeyOption, DukptWay, EmvCard, EmvScheme, EncryptedPin, KeyRef,
    MacMethod, MacPadding, MacRule, MacTag, Operation, Outcome, PinFormat, PinFrom, PinIn,
};
use zeroize::Zeroizing;

use crate::code::Code;
use crate::fields::{Fields, Malformed, hex};

/// A command without its header.
pub(crate) struct Command {
    pub(crate) code: [u8; 2],
    pub(crate) body: Vec<u8>,
}

/// `FFF`: the key says by itself what it is.
pub(crate) const KEY_TYPE: &[u8; 3] = b"FFF";
/// The longest message of M6 and GW that every buffer takes.
const MAC_DATA_BYTES_MAX: usize = 9_999;
/// The length of the data under a cryptogram has two hexadecimal digits.
const ARQC_DATA_BYTES_MAX: usize = 255;
const MAX_PIN_LENGTH: &[u8; 2] = b"12";

/// Whether a command has room for such an operation.
pub(crate) fn can(operation: &Operation<'_>) -> bool {
    match *operation {
        Operation::GenerateMac { rule, data, .. } | Operation::VerifyMac { rule, data, .. } => {
            mac_codes(rule).is_some() && data.len() <= MAC_DATA_BYTES_MAX
        }
        Operation::TranslatePin { pin, to_format, .. } => {
            format_code(pin.format).is_some() && format_code(to_format).is_some()
        }
        Operation::VerifyPvv { pin, .. } | Operation::VerifyIbm3624 { pin, .. } => {
            format_code(pin.format).is_some()
        }
        Operation::VerifyArqc { card, scheme, of, answer, .. } => {
            // Padding by a byte 80 makes data of nothing, padding by zeros does not.
            let some = !of.data.is_empty() || scheme != EmvScheme::VISA_CVN10;
            some && of.data.len() < ARQC_DATA_BYTES_MAX - 8 && arqc_form(&card, scheme, answer).is_some()
        }
        Operation::VerifyDukptMac { ksn, data, mac, .. } => {
            matches!(mac.len(), 4 | 8) && data.len() <= MAC_DATA_BYTES_MAX && ksn.len() <= 12
        }
        Operation::EncryptData { .. } | Operation::DecryptData { .. } => false,
        Operation::GenerateCvv { .. }
        | Operation::VerifyCvv { .. }
        | Operation::Random { .. }
        | Operation::CheckValue { .. } => true,
    }
}

/// The command for an operation.
///
/// # Errors
/// `NotServed` for what [`can`] denies; `Input` and `Key` for values that no field could hold.
pub(crate) fn of(operation: &Operation<'_>) -> Result<Command, BackendError> {
    if !can(operation) {
        let (operation, reason) = (operation.kind().words(), "no host command has room for it".to_owned());
        return Err(BackendError::NotServed { operation, reason });
    }
    match *operation {
        Operation::GenerateMac { key, rule, data } => mac(*b"M6", key, rule, data, &[]),
        Operation::VerifyMac { key, rule, data, mac: tag } => mac(*b"M8", key, rule, data, tag),
        Operation::TranslatePin { pin, to, to_format } => translate(&pin, to, to_format),
        Operation::VerifyPvv { pin, key, index, pvv } => {
            // The account field would hide that digits are missing.
            if pin.pan.len() < 12 {
                return Err(input("PAN", "expected at least 12 digits for a PVV"));
            }
            let (code, mut body) = verify(&pin, key, *b"EC", *b"GQ")?;
            pin_fields(&mut body, &pin, &[])?;
            account(&mut body, &pin, pin.format)?;
            body.push(digit(index));
            body.extend_from_slice(pvv);
            Ok(Command { code, body })
        }
        Operation::VerifyIbm3624 { pin, key, table, validation, offset } => {
            ibm_3624(&pin, key, table, validation, offset)
        }
        Operation::GenerateCvv { key, card } => {
            let mut body = key_field(key)?;
            cvv_fields(&mut body, card.pan, &card.expiry, &card.service)?;
            Ok(Command { code: *b"CW", body })
        }
        Operation::VerifyCvv { key, card, value } => {
            let mut body = key_field(key)?;
            body.extend_from_slice(value);
            cvv_fields(&mut body, card.pan, &card.expiry, &card.service)?;
            Ok(Command { code: *b"CY", body })
        }
        Operation::VerifyArqc { .. } => arqc(operation),
        Operation::VerifyDukptMac { base, ksn, way, data, mac } => dukpt_mac(base, ksn, way, data, mac),
        Operation::Random { bytes } => {
            if !(1..=256).contains(&bytes) {
                return Err(input("number of random bytes", "expected 1 to 256"));
            }
            Ok(Command { code: *b"N0", body: format!("{bytes:03}").into_bytes() })
        }
        Operation::CheckValue { key } => {
            // Of 6 digits: more than those ask for authorised state.
            let body = [b"FFF", &key_field(key)?[..], b";FFF;001"].concat();
            Ok(Command { code: *b"BU", body })
        }
        Operation::EncryptData { .. } | Operation::DecryptData { .. } => unreachable!("denied by `can`"),
    }
}

/// The outcome of what needs no HSM: a MAC of another length than was agreed on does not hold, whatever it is.
pub(crate) fn settled(operation: &Operation<'_>) -> Option<Outcome> {
    match operation {
        Operation::VerifyMac { rule, mac, .. } if mac.len() != rule.bytes => Some(Outcome::Verified(false)),
        _ => None,
    }
}

/// What the answer to an operation means: the error code, and the fields behind it.
pub(crate) fn outcome(operation: &Operation<'_>, code: Code, body: &[u8]) -> Result<Outcome, BackendError> {
    let verifies = matches!(
        operation,
        Operation::VerifyMac { .. }
            | Operation::VerifyPvv { .. }
            | Operation::VerifyIbm3624 { .. }
            | Operation::VerifyCvv { .. }
            | Operation::VerifyArqc { .. }
            | Operation::VerifyDukptMac { .. }
    );
    match code {
        Code::OK => {}
        Code::NOT_VERIFIED if verifies => return Ok(Outcome::Verified(false)),
        Code::PVK_LENGTH if matches!(operation, Operation::VerifyIbm3624 { .. }) => {}
        other => return Err(other.error(operation.kind().words())),
    }
    answer(operation, &mut Fields::new(body)).map_err(|Malformed| BackendError::Protocol {
        reason: format!("the answer to {} has other fields than it should", operation.kind().words()),
    })
}

fn answer(operation: &Operation<'_>, fields: &mut Fields<'_>) -> Result<Outcome, Malformed> {
    let outcome = match *operation {
        Operation::GenerateMac { rule, .. } => {
            Outcome::Mac(MacTag::from_bytes(&fields.hex(rule.bytes)?).ok_or(Malformed)?)
        }
        Operation::TranslatePin { to_format, .. } => {
            let _pin_length = fields.take(2)?;
            let block = fields.hex(to_format.block_bytes())?;
            let format: [u8; 2] = fields.array()?;
            if format_code(to_format) != Some(&format) {
                return Err(Malformed);
            }
            Outcome::Pin(EncryptedPin::from_bytes(&block).map_err(|_| Malformed)?)
        }
        Operation::GenerateCvv { .. } => Outcome::Cvv(fields.digits(3)?.try_into().map_err(|_| Malformed)?),
        Operation::VerifyArqc { answer: Some(ArqcAnswer::Method1(_)), .. } => {
            Outcome::Answered(Arpc::Method1(fields.array()?))
        }
        Operation::VerifyArqc { answer: Some(ArqcAnswer::Method2(..)), .. } => {
            Outcome::Answered(Arpc::Method2(fields.array()?))
        }
        Operation::Random { bytes } => Outcome::Random(Zeroizing::new(fields.take(bytes)?.to_vec())),
        Operation::CheckValue { .. } => {
            Outcome::CheckValue(fields.hex(3)?.try_into().map_err(|_| Malformed)?)
        }
        // Behind what was verified may stand more: a payShield repeats a MAC there.
        _ => return Ok(Outcome::Verified(true)),
    };
    fields.end()?;
    Ok(outcome)
}

/// A key as a field: the scheme letter `S` and the block, which has to be as long as it says, so that the HSM finds the
/// field behind it.
pub(crate) fn key_field(key: &KeyRef) -> Result<Vec<u8>, BackendError> {
    let text = key.as_str().as_bytes();
    let mut fields = Fields::new(text);
    let fits = fields.expect(b'S').is_ok() && fields.key_block().is_ok() && fields.rest().is_empty();
    if fits {
        Ok(text.to_vec())
    } else {
        Err(BackendError::Key { reason: "expected S and a key block of the length that it says".to_owned() })
    }
}

/// Algorithm and padding as M6 numbers them.
fn mac_codes(rule: MacRule) -> Option<[u8; 2]> {
    if !matches!(rule.bytes, 4 | 8) {
        return None;
    }
    let padding = match rule.padding {
        MacPadding::Zeros => b'1',
        MacPadding::OneThenZeros => b'2',
        MacPadding::LengthFirst => b'3',
    };
    match rule.method {
        MacMethod::Cbc => Some([b'1', padding]),
        MacMethod::Retail => Some([b'3', padding]),
        MacMethod::Cmac => Some(*b"60"),
        MacMethod::Hmac | MacMethod::UnionPayEcb => None,
    }
}

fn mac(code: [u8; 2], key: &KeyRef, rule: MacRule, data: &[u8], tag: &[u8]) -> Result<Command, BackendError> {
    let codes = mac_codes(rule).expect("`can` was asked before");
    let size = if rule.bytes == 4 { b'0' } else { b'1' };
    // One block only, in binary.
    let mut body = vec![b'0', b'0', size];
    body.extend_from_slice(&codes);
    body.extend_from_slice(KEY_TYPE);
    body.extend_from_slice(&key_field(key)?);
    body.extend_from_slice(format!("{:04X}", data.len()).as_bytes());
    body.extend_from_slice(data);
    body.extend_from_slice(hex(tag).as_bytes());
    Ok(Command { code, body })
}

/// Of a PIN block under a key, by the letter of the key's algorithm.
pub(crate) fn pin_block_bytes(algorithm: u8) -> usize {
    if matches!(algorithm, b'A' | b'4') { 16 } else { 8 }
}

/// The code of a PIN block format, where there is one.
pub(crate) fn format_code(format: PinFormat) -> Option<&'static [u8; 2]> {
    match format {
        PinFormat::Iso0 => Some(b"01"),
        PinFormat::Iso1 => Some(b"05"),
        PinFormat::Iso3 => Some(b"47"),
        PinFormat::Iso4 => Some(b"48"),
        PinFormat::Sm4 => None,
    }
}

fn translate(pin: &PinIn<'_>, to: &KeyRef, to_format: PinFormat) -> Result<Command, BackendError> {
    let to_code = format_code(to_format).expect("`can` was asked before");
    let (code, mut body) = verify(pin, to, *b"CC", *b"G0")?;
    if code == *b"CC" {
        body.extend_from_slice(MAX_PIN_LENGTH);
    }
    pin_fields(&mut body, pin, to_code)?;
    account(&mut body, pin, to_format)?;
    Ok(Command { code, body })
}

/// How every PIN command begins: the key that the PIN is under, the other key, and with DUKPT the serial number.
fn verify(
    pin: &PinIn<'_>,
    key: &KeyRef,
    zone: [u8; 2],
    dukpt: [u8; 2],
) -> Result<([u8; 2], Vec<u8>), BackendError> {
    let (code, from, ksn) = match pin.from {
        PinFrom::Zone(from) => (zone, from, None),
        PinFrom::Dukpt { base, ksn } => (dukpt, base, Some(ksn)),
    };
    let from = key_field(from)?;
    // The length of a block follows from its key, and a field has no other way to say it: S, version, length, use.
    if pin.block.len() != pin_block_bytes(from.get(8).copied().unwrap_or_default()) {
        return Err(input("PIN block", "expected 8 bytes under TDES, 16 under AES and SM4"));
    }
    let mut body = Vec::new();
    if matches!(&code, b"GQ" | b"GO") {
        body.push(b'0');
    }
    body.extend_from_slice(&from);
    body.extend_from_slice(&key_field(key)?);
    if let Some(ksn) = ksn {
        serial_number(&mut body, ksn)?;
    }
    Ok((code, body))
}

fn pin_fields(body: &mut Vec<u8>, pin: &PinIn<'_>, to_format: &[u8]) -> Result<(), BackendError> {
    let format = format_code(pin.format).ok_or_else(|| input("PIN format", "no code for it"))?;
    body.extend_from_slice(hex(pin.block).as_bytes());
    body.extend_from_slice(format);
    body.extend_from_slice(to_format);
    Ok(())
}

/// The twelve digits on the right without the check digit; where format 4 is on either side, the whole PAN and `;`.
fn account(body: &mut Vec<u8>, pin: &PinIn<'_>, to_format: PinFormat) -> Result<(), BackendError> {
    let digits = account_digits(pin.pan)?;
    if pin.format == PinFormat::Iso4 || to_format == PinFormat::Iso4 {
        body.extend_from_slice(pin.pan);
        body.push(b';');
    } else {
        body.extend_from_slice(&digits);
    }
    Ok(())
}

fn account_digits(pan: &[u8]) -> Result<[u8; 12], BackendError> {
    if !(8..=19).contains(&pan.len()) || !pan.iter().all(u8::is_ascii_digit) {
        return Err(input("PAN", "expected 8 to 19 digits"));
    }
    let mut digits = *b"000000000000";
    let own = pan[..pan.len() - 1].iter().rev();
    digits.iter_mut().rev().zip(own).for_each(|(digit, own)| *digit = *own);
    Ok(digits)
}

/// Three digits say how long the parts are; the counter of 21 bits takes five more: 20 digits are `A05`, 24 are `A09`.
fn serial_number(body: &mut Vec<u8>, ksn: &[u8]) -> Result<(), BackendError> {
    let descriptor = match ksn.len() {
        10 => b"A05",
        12 => b"A09",
        _ => return Err(input("key serial number", "expected 10 bytes for TDES, 12 for AES")),
    };
    body.extend_from_slice(descriptor);
    body.extend_from_slice(hex(ksn).as_bytes());
    Ok(())
}

fn ibm_3624(
    pin: &PinIn<'_>,
    key: &KeyRef,
    table: &[u8; 16],
    validation: &[u8; 8],
    offset: &[u8],
) -> Result<Command, BackendError> {
    if !(4..=12).contains(&offset.len()) || !offset.iter().all(u8::is_ascii_digit) {
        return Err(input("PIN offset", "expected 4 to 12 digits"));
    }
    let (code, mut body) = verify(pin, key, *b"EA", *b"GO")?;
    if code == *b"EA" {
        body.extend_from_slice(MAX_PIN_LENGTH);
    }
    pin_fields(&mut body, pin, &[])?;
    body.extend_from_slice(format!("{:02}", offset.len()).as_bytes());
    account(&mut body, pin, pin.format)?;
    body.extend_from_slice(table);
    body.extend_from_slice(&validation_field(pin.pan, validation)?);
    body.extend_from_slice(offset);
    body.extend(std::iter::repeat_n(b'F', 12 - offset.len()));
    Ok(Command { code, body })
}

/// 12 characters, of which `N` stands for the last five digits of the account; where those are not in it, `P` and all 16.
fn validation_field(pan: &[u8], validation: &[u8; 8]) -> Result<Vec<u8>, BackendError> {
    let text = hex(validation).into_bytes();
    let account = account_digits(pan)?;
    let last = &account[7..];
    Ok(match text.windows(5).position(|part| part == last) {
        Some(at) => [&text[..at], b"N", &text[at + 5..]].concat(),
        None => [b"P", &text[..]].concat(),
    })
}

fn cvv_fields(
    body: &mut Vec<u8>,
    pan: &[u8],
    expiry: &[u8; 4],
    service: &[u8; 3],
) -> Result<(), BackendError> {
    if !(12..=19).contains(&pan.len()) || !pan.iter().all(u8::is_ascii_digit) {
        return Err(input("PAN", "expected 12 to 19 digits"));
    }
    body.extend_from_slice(pan);
    body.push(b';');
    body.extend_from_slice(expiry);
    body.extend_from_slice(service);
    Ok(())
}

/// Command, scheme and mode for a cryptogram, where the two commands have them.
fn arqc_form(
    card: &EmvCard<'_>,
    scheme: EmvScheme,
    answer: Option<ArqcAnswer<'_>>,
) -> Option<([u8; 2], [u8; 2])> {
    let a = card.option == CardKeyOption::A;
    let method_1 = !matches!(answer, Some(ArqcAnswer::Method2(..)));
    if (scheme == EmvScheme::VISA_CVN10 || scheme == EmvScheme::MASTERCARD) && a && method_1 {
        let mode = if answer.is_some() { b'1' } else { b'0' };
        let scheme = if scheme == EmvScheme::VISA_CVN10 { b'0' } else { b'1' };
        return Some((*b"KQ", [mode, scheme]));
    }
    let mode = match answer {
        None => b'0',
        Some(ArqcAnswer::Method1(_)) => b'1',
        Some(ArqcAnswer::Method2(..)) => b'3',
    };
    (scheme == EmvScheme::VISA_CVN18).then_some((*b"KW", [mode, if a { b'2' } else { b'3' }]))
}

fn arqc(operation: &Operation<'_>) -> Result<Command, BackendError> {
    let Operation::VerifyArqc { key, card, scheme, of, arqc, answer } = *operation else {
        unreachable!("called for this kind alone")
    };
    let (code, form) = arqc_form(&card, scheme, answer).expect("`can` was asked before");
    let mut body = form.to_vec();
    body.extend_from_slice(&key_field(key)?);
    let digits = card_digits(&card)?;
    if form[1] == b'3' {
        let packed = pack(&digits);
        body.extend_from_slice(format!("{:02}", packed.len()).as_bytes());
        body.extend_from_slice(&packed);
        body.push(b';');
    } else {
        let right = format!("{digits:0>16}");
        body.extend_from_slice(&pack(&right[right.len() - 16..]));
    }
    body.extend_from_slice(&of.counter);
    if code == *b"KQ" {
        body.extend_from_slice(&of.unpredictable);
    }
    // The host pads as the scheme says; whole blocks are taken as they are.
    let mut data = of.data.to_vec();
    if scheme != EmvScheme::VISA_CVN10 {
        data.push(0x80);
    }
    data.resize(data.len().next_multiple_of(8), 0);
    body.extend_from_slice(format!("{:02X}", data.len()).as_bytes());
    body.extend_from_slice(&data);
    body.push(b';');
    body.extend_from_slice(&arqc);
    match answer {
        None => {}
        Some(ArqcAnswer::Method1(response)) => body.extend_from_slice(&response),
        Some(ArqcAnswer::Method2(status, own)) => {
            if own.len() > 8 {
                return Err(input("proprietary authentication data", "expected 0 to 8 bytes"));
            }
            body.extend_from_slice(&status);
            body.push(digit(u8::try_from(own.len()).unwrap_or(0)));
            body.extend_from_slice(own);
        }
    }
    Ok(Command { code, body })
}

/// PAN and sequence number, as text.
fn card_digits(card: &EmvCard<'_>) -> Result<String, BackendError> {
    let pan = std::str::from_utf8(card.pan).unwrap_or_default();
    if !(8..=19).contains(&pan.len()) || !pan.bytes().all(|c| c.is_ascii_digit()) {
        return Err(input("PAN", "expected 8 to 19 digits"));
    }
    if card.sequence > 99 {
        return Err(input("PAN sequence number", "expected 0 to 99"));
    }
    Ok(format!("{pan}{:02}", card.sequence))
}

/// Digits as nibbles, a zero before an odd number of them.
fn pack(digits: &str) -> Vec<u8> {
    let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
    even.as_bytes().chunks(2).map(|pair| (pair[0] & 0x0F) << 4 | (pair[1] & 0x0F)).collect()
}

fn dukpt_mac(
    base: &KeyRef,
    ksn: &[u8],
    way: DukptWay,
    data: &[u8],
    tag: &[u8],
) -> Result<Command, BackendError> {
    let base = key_field(base)?;
    let mode = if tag.len() == 8 { b'1' } else { b'2' };
    let method = match (base.get(8), way) {
        (Some(b'A'), DukptWay::OneWay) => b'2',
        (Some(b'A'), DukptWay::BothWays) => b'3',
        _ => b'1',
    };
    let mut body = vec![mode, method];
    body.extend_from_slice(&base);
    serial_number(&mut body, ksn)?;
    body.extend_from_slice(hex(tag).as_bytes());
    body.extend_from_slice(format!("{:04}", data.len()).as_bytes());
    body.extend_from_slice(data);
    Ok(Command { code: *b"GW", body })
}

fn digit(value: u8) -> u8 {
    b'0' + value.min(9)
}

fn input(field: &'static str, expected: &str) -> BackendError {
    BackendError::Input { field, reason: expected.to_owned() }
}
