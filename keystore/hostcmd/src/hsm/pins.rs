//! PINs from zones and from DUKPT terminals: CA, CC, CI, G0; DA, EA, GO by IBM 3624; DC, EC, GQ by PVV.
//! A PIN's length is told by none of the answers.

use yika_keystore::{Operation, Outcome, PinFormat, PinFrom, PinIn};

use super::{Key, Simulator};
use crate::code::Code;
use crate::command::format_code;
use crate::fields::{Fields, hex, nibble};

/// The fields that all of them have.
struct Came {
    from: Key,
    ksn: Option<Vec<u8>>,
    block: Vec<u8>,
    format: PinFormat,
    pan: Vec<u8>,
}

const ZONE: &[&str] = &["P0"];
const TERMINAL: &[&str] = &["B0"];
/// Where a payShield tells the length of the PIN.
const NOT_TOLD: &[u8; 2] = b"00";

impl Simulator {
    /// Source key, destination key, greatest length 2N, block, source format 2N, destination format 2N, account.
    pub(super) fn translate_zone(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let (from, to) = (Key::read(fields)?, Key::read(fields)?);
        fields.digits(2)?;
        self.translate(fields, from, &to, None)
    }

    /// Base key, destination key, KSN descriptor 3H, KSN, block, source format 2N, destination format 2N, account.
    pub(super) fn translate_terminal(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let (base, to) = (Key::read(fields)?, Key::read(fields)?);
        let ksn = serial_number(fields)?;
        self.translate(fields, base, &to, Some(ksn))
    }

    fn translate(
        &self,
        fields: &mut Fields<'_>,
        from: Key,
        to: &Key,
        ksn: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Code> {
        let block = fields.hex(from.pin_block_bytes())?;
        let (format, to_format) = (read_format(fields)?, read_format(fields)?);
        let pan = account(fields, format == PinFormat::Iso4 || to_format == PinFormat::Iso4)?;
        let came = Came { from, ksn, block, format, pan };
        let asked = Operation::TranslatePin { pin: came.pin(), to: &to.reference, to_format };
        match self.one_with(&asked, &[(&came.from, came.uses()), (to, ZONE)])? {
            Outcome::Pin(block) => {
                let code = format_code(to_format).ok_or(Code::INTERNAL)?;
                Ok([NOT_TOLD, hex(block.as_bytes()).as_bytes(), code].concat())
            }
            _ => Err(Code::INTERNAL),
        }
    }

    /// Key, PVK, with DUKPT a mode 1N before and KSN behind them; block, format 2N, account, PVKI 1N, PVV 4N.
    pub(super) fn verify_pvv(&self, fields: &mut Fields<'_>, dukpt: bool) -> Result<Vec<u8>, Code> {
        let (from, pvk, ksn) = keys(fields, dukpt)?;
        let block = fields.hex(from.pin_block_bytes())?;
        let format = read_format(fields)?;
        let pan = account(fields, format == PinFormat::Iso4)?;
        let index = u8::try_from(fields.number(1)?).map_err(|_| Code::INPUT)?;
        let pvv: [u8; 4] = fields.array()?;
        let came = Came { from, ksn, block, format, pan };
        let asked = Operation::VerifyPvv { pin: came.pin(), key: &pvk.reference, index, pvv: &pvv };
        self.verified(&asked, &[(&came.from, came.uses()), (&pvk, &["V2"])])
    }

    /// As for PVV up to the format; then check length 2N, account, table 16N, validation data, offset 12H. The greatest
    /// length 2N stands before the block where there is no KSN. The offset has as many digits as the PIN.
    pub(super) fn verify_ibm(&self, fields: &mut Fields<'_>, dukpt: bool) -> Result<Vec<u8>, Code> {
        let (from, pvk, ksn) = keys(fields, dukpt)?;
        if !dukpt {
            fields.digits(2)?;
        }
        let block = fields.hex(from.pin_block_bytes())?;
        let format = read_format(fields)?;
        let check_length = fields.number(2)?;
        let pan = account(fields, format == PinFormat::Iso4)?;
        let table: [u8; 16] = fields.array()?;
        let validation = validation(fields, &pan)?;
        let padded = fields.take(12)?;
        let digits = padded.iter().position(|c| *c == b'F').unwrap_or(padded.len());
        let (offset, fill) = padded.split_at(digits);
        if check_length > digits || fill.iter().any(|c| *c != b'F') {
            return Err(Code::INPUT);
        }
        let came = Came { from, ksn, block, format, pan };
        let (pin, key) = (came.pin(), &pvk.reference);
        let asked = Operation::VerifyIbm3624 { pin, key, table: &table, validation: &validation, offset };
        self.verified(&asked, &[(&came.from, came.uses()), (&pvk, &["V1"])])
    }
}

impl Came {
    fn pin(&self) -> PinIn<'_> {
        let from = match &self.ksn {
            None => PinFrom::Zone(&self.from.reference),
            Some(ksn) => PinFrom::Dukpt { base: &self.from.reference, ksn },
        };
        PinIn { from, format: self.format, pan: &self.pan, block: &self.block }
    }

    fn uses(&self) -> &'static [&'static str] {
        if self.ksn.is_some() { TERMINAL } else { ZONE }
    }
}

fn keys(fields: &mut Fields<'_>, dukpt: bool) -> Result<(Key, Key, Option<Vec<u8>>), Code> {
    // Mode 0 verifies; the others also check a MAC, which is not served.
    if dukpt && fields.letter()? != b'0' {
        return Err(Code::INVALID_MODE);
    }
    let (from, pvk) = (Key::read(fields)?, Key::read(fields)?);
    let ksn = if dukpt { Some(serial_number(fields)?) } else { None };
    Ok((from, pvk, ksn))
}

/// Three digits that say how long the parts are, and five more digits for the counter.
pub(super) fn serial_number(fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
    let mut digits = 5;
    for digit in fields.take(3)? {
        digits += usize::from(nibble(*digit)?);
    }
    if digits % 2 == 1 {
        return Err(Code::INPUT);
    }
    Ok(fields.hex(digits / 2)?)
}

fn read_format(fields: &mut Fields<'_>) -> Result<PinFormat, Code> {
    let code: [u8; 2] = fields.array()?;
    PinFormat::ALL.into_iter().find(|format| format_code(*format) == Some(&code)).ok_or(Code::PIN_FORMAT)
}

/// The whole PAN and `;` with format 4; else twelve digits, which become a PAN by any check digit.
fn account(fields: &mut Fields<'_>, whole: bool) -> Result<Vec<u8>, Code> {
    let pan = if whole { fields.until(b';', 19)?.to_vec() } else { [fields.digits(12)?, b"0"].concat() };
    if pan.iter().all(u8::is_ascii_digit) { Ok(pan) } else { Err(Code::INPUT) }
}

/// `P` and 16 digits; or 12 characters of which one is `N`, the place of the account's last five digits.
fn validation(fields: &mut Fields<'_>, pan: &[u8]) -> Result<[u8; 8], Code> {
    let text = if fields.accept(b'P') {
        fields.take(16)?.to_vec()
    } else {
        let field = fields.take(12)?;
        let at = field.iter().position(|c| *c == b'N').ok_or(Code::INPUT)?;
        let account = &pan[..pan.len().saturating_sub(1)];
        let last = account.len().checked_sub(5).ok_or(Code::INPUT)?;
        [&field[..at], &account[last..], &field[at + 1..]].concat()
    };
    Fields::new(&text).hex(8)?.try_into().map_err(|_| Code::INPUT)
}
